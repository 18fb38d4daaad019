package groupmap_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
)

// mistakes maps documents to the problems that Parse finds in them. The schema finds those that aren't about the text of
// a pattern or a name.
func mistakes() []struct{ text, want string } {
	return []struct{ text, want string }{
		{"groups: [{match: a, name: b}]", ""},
		{"groups: [{match: a, drop: true}, {match: b, drop: false, name: c, merge: true}, {property: p, merge: true}]", ""},
		{"groups: [{match: a, drop: true, merge: false}]", ""},
		{"users: [{match: a, group: b, merge: true}]\nparents: {a: b}\nignore_users: [a]", ""},
		{"groups: []", ""},
		{"groups: [&a {match: a, name: b}, *a]", ""},
		{"groups: [{match: a, name: b, merge: True}, {match: b, drop: TRUE}, {match: c, drop: False, name: d}]", ""},
		{"a", "line 1: a map must be a mapping"},
		{"[a]", "line 1: a map must be a mapping"},
		{"group: []", `line 1: unknown key "group" in a map`},
		{"groups: {}", "line 1: groups must be a list"},
		{"groups:", "line 1: groups must be a list"},
		{"users: a", "line 1: users must be a list"},
		{"ignore_users: a", "line 1: ignore_users must be a list"},
		{"parents: []", "line 1: parents must be a mapping"},
		{"groups: [a]", "line 1: an entry of groups must be a mapping"},
		{"groups: [{}]", "line 1: match or property is missing"},
		{"groups: [{name: a}]", "line 1: match or property is missing"},
		{"groups: [{match: a}]", "line 1: name or drop: true is missing"},
		{"groups: [{match: a, drop: false}]", "line 1: name or drop: true is missing"},
		{"groups: [{match: a, name: b, drop: true}]", "line 1: drop excludes name and merge"},
		{"groups: [{match: a, drop: true, merge: true}]", "line 1: drop excludes name and merge"},
		{"groups: [{match: a, property: b}]", "line 1: match and property exclude each other"},
		{"groups: [{property: a, name: b}]", "line 1: property gives the name, so it excludes name and drop"},
		{"groups: [{property: a, drop: true}]", "line 1: property gives the name, so it excludes name and drop"},
		{"groups: [{match: 1, name: b}]", "line 1: match must be text: put 1 in quotes"},
		{"groups: [{match: a, name: true}]", "line 1: name must be text: put true in quotes"},
		{"groups: [{match: a, name: }]", "line 1: name is empty"},
		{"groups: [{match: '', name: a}]", "line 1: match is empty"},
		{"groups:\n- match: |-\n    a\n  name: >-\n    b", ""},
		{"groups:\n- match: |\n    a\n  name: a", "line 2: match has a line break: if the text begins after | or >, write |- or >-"},
		{"groups: [{match: [a], name: a}]", "line 1: match must be text"},
		{"groups: [{match: a, drop: 1}]", "line 1: drop must be true or false"},
		{"groups: [{match: a, nme: b}]", `line 1: unknown key "nme" in an entry of groups`},
		{"users: [{match: a, name: b}]", `line 1: unknown key "name" in an entry of users`},
		{"users: [{match: a}]", "line 1: group is missing"},
		{"users: [{group: a}]", "line 1: match is missing"},
		{"users: [{match: a, group: b, drop: true}]", `line 1: unknown key "drop" in an entry of users`},
		{"parents: {a: 1}", `line 1: the parent of "a" must be text: put 1 in quotes`},
		{"parents: {a: ''}", `line 1: the parent of "a" is empty`},
		{"parents: {\"a\\n\": b}", "line 1: a group in parents has a line break: if the text begins after | or >, write |- or >-"},
		{"parents: {'': a}", "line 1: a group in parents is empty"},
		{"ignore_users: [1]", "line 1: an entry of ignore_users must be text: put 1 in quotes"},
		{"groups:\n- {match: 1, name: a}\n- {match: b, nme: c}\nuser: []", `line 2: match must be text: put 1 in quotes; line 3: unknown key "nme" in an entry of groups; line 4: unknown key "user" in a map`},
	}
}

// onlyParser are mistakes that the schema can't find.
func onlyParser() []struct{ text, want string } {
	return []struct{ text, want string }{
		{"", "the map is empty"},
		{"# nothing", "the map is empty"},
		{"null", "the map is empty"},
		{"groups: []\n---\ngroups: []", "a map must be a single YAML document"},
		{"groups: [", "line 1: did not find expected node content"},
		{"groups:\n- {match: a, name: b\n- {match: c, name: d}", "line 2: did not find expected ',' or '}'"},
		{"groups:\n- {match: a, name: b}\nx\n: - y\n", "line 3: could not find expected ':'"},
		{"groups:\n- {match: a, name: b}\n  - x\n", "line 3: did not find expected key"},
		{"groups:\n- match: \"\\d\"\n", "line 2: found unknown escape character"},
		{"groups:\n- match: *a\n", "unknown anchor 'a' referenced"},
		{"groups:\n- &a\n  match: '('\n  name: b\n- *a", "line 2: match is not a regular expression: missing closing ): `(`; line 5: match is not a regular expression: missing closing ): `(`"},
		{"groups:\n- {match: &name a, *name : b}", `line 2: unknown key "a" in an entry of groups`},
		{"parents:\n  &a b: c\n  *a : d", `line 3: "b" has two parents`},
		{"groups: []\ngroups: []", "line 2: groups is set twice"},
		{"groups: [{match: a, match: b, name: c}]", "line 1: match is set twice"},
		{"parents:\n  a: b\n  a: c", `line 3: "a" has two parents`},
		{"parents: {a: none}", `line 1: "none" is the name for users in no group: choose another name`},
		{"parents: {a: multiple}", `line 1: "multiple" is the name for users in several groups: choose another name`},
		{"parents: {a: b, b: b}", ""},
		{"parents: {a: b, b: c, d: b}", `line 1: "b" can't be the parent of "a", because it has a parent itself; line 1: "b" can't be the parent of "d", because it has a parent itself`},
		{"parents:\n  a: b\n  b: c", `line 2: "b" can't be the parent of "a", because it has a parent itself`},
		{"groups: [{match: '(', name: a}]", "line 1: match is not a regular expression: missing closing ): `(`"},
		{"groups: [{match: 'a)(b', name: a}]", "line 1: match is not a regular expression: unexpected ): `a)(b`"},
		{"groups: [{match: '(?=a)', name: a}]", "line 1: match is not a regular expression: invalid or unsupported Perl syntax: `(?=`"},
		{"ignore_users: ['[']", "line 1: an entry of ignore_users is not a regular expression: missing closing ]: `[`"},
		{"groups: [{match: a, name: $1}]", "line 1: name refers to $1, but match has no part in ( )"},
		{"groups: [{match: (a), name: '$2'}]", "line 1: name refers to $2, but match has one part in ( )"},
		{"groups: [{match: (a)(b), name: $1st}]", "line 1: name refers to $1st, but match has 2 parts in ( )"},
		{"groups: [{match: a, name: 'US$'}]", "line 1: name has a $ without the number or the name of a part: write $1, ${1} or, for the sign itself, $$"},
		{"groups: [{match: (a), name: $1é}]", "line 1: name refers to $1é, but match has one part in ( )"},
		{"groups: [{match: (a), name: '${{1}}'}]", "line 1: name has a $ without the number or the name of a part: write $1, ${1} or, for the sign itself, $$"},
		{"groups: [{match: (a), name: '${$}'}]", "line 1: name has a $ without the number or the name of a part: write $1, ${1} or, for the sign itself, $$"},
		{"groups: [{match: (a), name: '${-1}'}]", "line 1: name has a $ without the number or the name of a part: write $1, ${1} or, for the sign itself, $$"},
		{"groups: [{match: '\\Q(a', name: b}]", ""},
		{"users: [{match: a, group: '${x}'}]", "line 1: group refers to ${x}, but match has no part in ( )"},
		{"groups: [{match: a, name: none}]", `line 1: "none" is the name for users in no group: choose another name, or set merge: true`},
		{"users: [{match: a, group: multiple}]", `line 1: "multiple" is the name for users in several groups: choose another name, or set merge: true`},
		{
			"groups:\n- {match: '(', name: a}\n- {match: a, name: $1}\nusers:\n- {match: '[', group: a}",
			"line 2: match is not a regular expression: missing closing ): `(`; line 3: name refers to $1, but match has no part in ( ); line 5: match is not a regular expression: missing closing ]: `[`",
		},
	}
}

func TestParse(t *testing.T) {
	for _, c := range append(mistakes(), onlyParser()...) {
		_, err := groupmap.Parse([]byte(c.text), rules())
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// The schema for editors accepts what Parse accepts.
func TestSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile("../../docs/reference/group-map.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range mistakes() {
		var document any
		if err := yaml.Unmarshal([]byte(c.text), &document); err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		if err := schema.Validate(document); (err == nil) != (c.want == "") {
			t.Errorf("%q: the schema finds %v, the parser %q", c.text, err, c.want)
		}
	}
}

// The schema knows the keys that Parse knows, and no others.
func TestSchemaHasTheKeys(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/group-map.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]struct {
			Items struct{ Properties map[string]any }
		}
	}
	var schema object
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&schema); err != nil {
		t.Fatal(err)
	}
	isKnown := func(document string) bool {
		_, err := groupmap.Parse([]byte(document), rules())
		_, isProblem := errors.AsType[*groupmap.Error](err)
		return isProblem && !strings.Contains(err.Error(), "unknown key") // 7 is no list, text or truth
	}
	keys := map[string]bool{}
	for key, value := range schema.Properties {
		keys[key] = true
		if !isKnown(key + ": 7") {
			t.Errorf("the parser doesn't know %s", key)
		}
		for inner := range value.Items.Properties {
			if !isKnown(key + ": [{" + inner + ": 7}]") {
				t.Errorf("the parser doesn't know %s in %s", inner, key)
			}
		}
	}
	if len(keys) != 4 || isKnown("nosuch: 7") {
		t.Errorf("the schema has the keys %v", keys)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range append(mistakes(), onlyParser()...) {
		f.Add(c.text, "course::1::ta")
	}
	f.Fuzz(func(t *testing.T, text, group string) {
		m, err := groupmap.Parse([]byte(text), rules())
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		_ = m.For(nil).Apply(listing("ada: "+group, "bob"))
	})
}
