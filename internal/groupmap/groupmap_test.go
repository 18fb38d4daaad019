package groupmap_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

func rules() membership.Rules {
	return membership.Rules{NoneName: membership.DefaultNoneName, MultipleName: membership.DefaultMultipleName}
}

func parse(t testing.TB, text string) *groupmap.Map {
	t.Helper()
	m, err := groupmap.Parse([]byte(text), rules())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func properties(text string) groupmap.Properties {
	var all groupmap.Properties
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		panic(err)
	}
	return all
}

// listing returns a listing of users, each written as "name: group, group".
func listing(users ...string) *membership.Listing {
	l := &membership.Listing{At: time.Unix(0, 0)}
	for _, user := range users {
		name, groups, _ := strings.Cut(user, ":")
		l.Add(membership.User{Name: name, Groups: strings.FieldsFunc(groups, func(r rune) bool { return r == ',' || r == ' ' })})
	}
	return l
}

func rows(l *membership.Listing) string {
	var rows []string
	for row := range membership.New("hub", l, membership.Rules{}).Rows() {
		rows = append(rows, fmt.Sprintf("%s:%s:%.3g", row.User, row.Group, row.Share))
	}
	return strings.Join(rows, " ")
}

// mapped is a map, its effect on a listing, and the problem if there is one.
type mapped struct {
	what, text, properties string
	users                  []string
	want, problem          string
}

func (c mapped) check(t *testing.T) {
	if c.properties == "" {
		c.properties = "null"
	}
	m, l := parse(t, c.text), listing(c.users...)
	err := m.For(properties(c.properties)).Apply(l)
	if c.want == "" || err != nil {
		if got := strings.TrimPrefix(fmt.Sprint(err), "the group map doesn't fit the groups of the hub: "); got != c.problem && !strings.Contains(fmt.Sprint(err), `"`+c.problem+`"`) {
			t.Fatalf("got %v, want %s", err, c.problem)
		}
		return
	}
	if got := rows(l); got != c.want {
		t.Errorf("got %s\nwant %s", got, c.want)
	}
}

func TestApply(t *testing.T) {
	const courses = `
groups:
- {match: 'course::(\d+)::.*', name: course-$1}
- {match: '/?chem/.*', name: chemistry}
- {match: 'query-.*|manage-.*', drop: true}
`
	for _, c := range []mapped{
		{
			what: "two sources with one target count once, and shares follow", text: courses,
			users: []string{"ada: course::1::ta, course::1::student, bio", "bob: course::2::ta, course::1::ta, chem/a"},
			want:  "ada:bio:0.5 ada:course-1:0.5 bob:chemistry:0.333 bob:course-1:0.333 bob:course-2:0.333",
		},
		{
			what: "a user who has only dropped groups is in none", text: courses,
			users: []string{"ada: query-a, manage-b", "bob: query-a, bio"},
			want:  "ada:none:1 bob:bio:1",
		},
		{
			what: "patterns are for whole names", text: courses,
			users: []string{"ada: xcourse::1::ta, a/chem/b, query-, queries"},
			want:  "ada:a/chem/b:0.333 ada:queries:0.333 ada:xcourse::1::ta:0.333",
		},
		{
			what: "the first line wins", text: `groups: [{match: a1, name: one}, {match: 'a.', name: all}, {match: a2, name: two}]`,
			users: []string{"ada: a1", "bob: a2"},
			want:  "ada:one:1 bob:all:1",
		},
		{
			what: "names, braces, the whole name and a dollar sign", text: `groups: [{match: '(?P<what>lab)-(?i)(x)', name: '${what}${2}y'}, {match: 'US', name: '$$-$0'}]`,
			users: []string{"ada: lab-X, US"},
			want:  "ada:$-US:0.5 ada:labXy:0.5",
		},
		{
			what: "users without a group, also after dropped ones", text: courses + `
users:
- {match: '.*@chem\.example', group: chemistry}
- {match: '.*@(\w+)\.example', group: $1}
`,
			users: []string{"a@chem.example: query-x", "b@bio.example", "c@chem.example: bio", "d"},
			want:  "a@chem.example:chemistry:1 b@bio.example:bio:1 c@chem.example:bio:1 d:none:1", problem: "bio",
		},
		{
			what: "users who are ignored", text: `ignore_users: [check, 'bot-.*']`,
			users: []string{"check: a", "bot-1", "bots: a"},
			want:  "bots:a:1",
		},
	} {
		t.Run(c.what, c.check)
	}
}

func TestProperties(t *testing.T) {
	for _, c := range []mapped{
		{
			what: "properties", text: `groups: [{match: x, name: y}, {property: code}, {match: '[ab]', name: rest}]`,
			properties: `{"a": {"code": "BIO"}, "b": {"code": ""}, "x": {"code": 7}}`,
			users:      []string{"ada: a, b, x, c"},
			want:       "ada:BIO:0.25 ada:c:0.25 ada:rest:0.25 ada:y:0.25",
		},
		{
			what: "a property that is a number", text: "groups:\n- {property: code}", properties: `{"a": {"code": 7}}`,
			users: []string{"ada: a"}, problem: `line 2: the property code of the group "a" is not text`,
		},
		{
			what: "a property that is null", text: "groups:\n- {property: code}", properties: `{"a": {"code": null}}`,
			users: []string{"ada: a"}, problem: `line 2: the property code of the group "a" is not text`,
		},
	} {
		t.Run(c.what, c.check)
	}
}

// The names that a map makes must not be taken.
func TestTargets(t *testing.T) {
	for _, c := range []mapped{
		{
			what: "a target that is an unmapped group", text: "groups:\n- {match: 'chem-.*', name: chem}",
			users: []string{"ada: chem-a", "bob: chem"}, problem: `line 2: "chem" is also a group that no line maps: choose another name, or set merge: true`,
		},
		{
			what: "merged with it", text: "groups:\n- {match: 'chem-.*', name: chem, merge: true}",
			users: []string{"ada: chem-a, chem", "bob: chem"}, want: "ada:chem:1 bob:chem:1",
		},
		{
			what: "a target that is a mapped group", text: "groups: [{match: 'chem.*', name: chem}]",
			users: []string{"ada: chem-a", "bob: chem"}, want: "ada:chem:1 bob:chem:1",
		},
		{
			what: "a user's target that is an unmapped group", text: "users:\n- {match: ada, group: bio}",
			users: []string{"ada", "bob: bio"}, problem: `line 2: "bio" is also a group that no line maps: choose another name, or set merge: true`,
		},
		{
			what: "merged with it", text: "users:\n- {match: ada, group: bio, merge: true}",
			users: []string{"ada", "bob: bio"}, want: "ada:bio:1 bob:bio:1",
		},
		{
			what: "merged with it by one of two lines", text: "users:\n- {match: ada, group: bio, merge: true}\n- {match: bob, group: bio}",
			users: []string{"ada", "bob", "cy: bio"}, problem: `line 3: "bio" is also a group that no line maps: choose another name, or set merge: true`,
		},
		{
			what: "a pseudo-group of one of two lines", text: "users:\n- {match: 'x-(.*)', group: $1, merge: true}\n- {match: 'y-(.*)', group: $1}",
			users: []string{"x-none", "y-none"}, problem: `line 3: "none" is the name for users in no group: choose another name, or set merge: true`,
		},
		{
			what: "a target that is mapped again", text: "groups:\n- {match: 'course::(.*)', name: 'c-$1'}\n- {match: '.*', name: other}",
			users: []string{"ada: course::1"}, problem: `line 2: it makes "c-1", and line 3 changes that name again: insert a line before it that keeps "c-1"`,
		},
		{
			what: "a target that maps to itself", text: "groups:\n- {match: 'course::(.*)', name: 'c-$1'}\n- {match: 'c-.*', name: $0}\n- {match: '.*', name: other}",
			users: []string{"ada: course::1, x"}, want: "ada:c-1:0.5 ada:other:0.5",
		},
		{
			what: "a target that is a pseudo-group", text: "groups:\n- {match: 'x-(.*)', name: $1}",
			users: []string{"ada: x-none", "bob: x-multiple"}, problem: `line 2: "none" is the name for users in no group: choose another name, or set merge: true`,
		},
		{
			what: "merged with it", text: "groups:\n- {match: 'x-(.*)', name: $1, merge: true}",
			users: []string{"ada: x-none"}, want: "ada:none:1",
		},
		{
			what: "an empty target", text: "groups:\n- {match: 'x(.*)', name: $1}",
			users: []string{"ada: x"}, problem: `line 2: it makes an empty name of "x"`,
		},
		{
			what: "problems of several lines", text: "groups:\n- {match: 'x(.*)', name: $1}\n- {match: 'y', name: bio}",
			users: []string{"ada: x, y, bio"}, problem: `line 2: it makes an empty name of "x"; line 3: "bio" is also a group that no line maps: choose another name, or set merge: true`,
		},
	} {
		t.Run(c.what, c.check)
	}
}

// A group without members is a group too, and so are its name and that of the group without a name.
func TestEmptyGroups(t *testing.T) {
	l := listing("ada: a")
	l.AddGroups("b", "empty", "")
	if err := parse(t, `groups: [{match: b, name: c}, {match: '\(empty\)', name: unnamed}]`).For(nil).Apply(l); err != nil {
		t.Fatal(err)
	}
	s := membership.New("hub", l, membership.Rules{})
	var names []string
	for _, g := range s.Groups() {
		names = append(names, g.Name)
	}
	if diff := cmp.Diff([]string{"a", "c", "empty", "unnamed"}, names); diff != "" || s.HasUnnamed() {
		t.Errorf("unnamed: %v, -want +got:\n%s", s.HasUnnamed(), diff)
	}
}

// Groups maps like Apply does, one user at a time.
func TestGroups(t *testing.T) {
	g := parse(t, `{groups: [{match: 'a.', name: a}, {match: 'q', drop: true}], users: [{match: ada, group: u}], ignore_users: [bot]}`).For(nil)
	for _, c := range []struct {
		user   string
		groups []string
		want   []string
	}{
		{"ada", []string{"z", "a2", "a1", "q"}, []string{"a", "z"}},
		{"ada", []string{"q"}, []string{"u"}},
		{"ada", nil, []string{"u"}},
		{"bob", nil, []string{}},
	} {
		if diff := cmp.Diff(c.want, g.Groups(c.user, c.groups)); diff != "" {
			t.Errorf("%s in %q, -want +got:\n%s", c.user, c.groups, diff)
		}
	}
	if err := g.Err(); err != nil {
		t.Error(err)
	}
}

func TestMap(t *testing.T) {
	m := parse(t, `{groups: [{property: b}, {property: a}, {property: b}], parents: {x: y}, ignore_users: ['bot-.*']}`)
	if diff := cmp.Diff([]string{"a", "b"}, m.Properties()); diff != "" {
		t.Errorf("properties, -want +got:\n%s", diff)
	}
	if m.Parent("x") != "y" || m.Parent("y") != "" || !m.HasParents() || parse(t, "groups: []").HasParents() {
		t.Errorf("parents: %q, %q; want y and none", m.Parent("x"), m.Parent("y"))
	}
	if m.WithoutIgnored().Ignores("bot-1") || m.WithoutIgnored().Parent("x") != "y" {
		t.Error("without ignored users, bot-1 is ignored, or a parent is missing")
	}
	if !m.Ignores("bot-1") || m.Ignores("a-bot-1") {
		t.Error("bot-1 isn't ignored, or a-bot-1 is")
	}
}

func TestExplain(t *testing.T) {
	m := parse(t, `groups:
- {match: 'course::(\d+)::.*', name: 'course $1'}
- {match: 'never', name: x}
- {match: 'query-.*', drop: true}
- {match: 'course::2.*', name: shadowed}
users:
- {match: 'ada.*', group: labs}
- {match: 'nobody', group: labs}
parents:
  course 1: statistics
  course 9: physics
ignore_users: [check, ghost]
`)
	l := listing("ada: query-a", "bob: course::1::ta, bio", "check", "cy: course::2::ta")
	g := m.For(nil)
	got, err := g.Explain(l)
	if err != nil {
		t.Fatal(err)
	}
	want := []groupmap.Row{
		{Kind: groupmap.Group, Source: "bio", Target: "bio"},
		{Kind: groupmap.Group, Source: "course::1::ta", Target: "course 1", Line: 2},
		{Kind: groupmap.Group, Source: "course::2::ta", Target: "course 2", Line: 2},
		{Kind: groupmap.Group, Source: "query-a", Line: 4},
		{Kind: groupmap.Ignored, Source: "check", Line: 12},
		{Kind: groupmap.User, Source: "ada", Target: "labs", Line: 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows, -want +got:\n%s", diff)
	}
	if got, want := rows(l), "ada:labs:1 bob:bio:0.5 bob:course 1:0.5 cy:course 2:1"; got != want {
		t.Errorf("got %s, want the listing mapped to %s", got, want)
	}
	unused := []groupmap.Problem{
		{Line: 3, Text: `"never" matches no group that the lines before it leave`},
		{Line: 5, Text: `"course::2.*" matches no group that the lines before it leave`},
		{Line: 8, Text: `"nobody" matches no user without a group`},
		{Line: 11, Text: `there is no group "course 9" that could have a parent`},
		{Line: 12, Text: `"ghost" in ignore_users matches no user`},
	}
	if diff := cmp.Diff(unused, g.Unused()); diff != "" {
		t.Errorf("unused, -want +got:\n%s", diff)
	}
}

func TestLinesThatKeepNewNamesAreUsed(t *testing.T) {
	m := parse(t, `groups:
- {match: 'course::(\d+)::.*', name: 'course $1'}
- {match: 'course \d+', name: $0}
- {match: 'lab \d+', name: $0}
- {match: 'guests', name: $0}
- {match: '.*', name: others}
users:
- {match: 'bob', group: guests}
`)
	g := m.For(nil)
	if _, err := g.Explain(listing("ada: course::1::ta, chess", "bob")); err != nil {
		t.Fatal(err)
	}
	unused := []groupmap.Problem{{Line: 4, Text: `"lab \\d+" matches no group that the lines before it leave`}}
	if diff := cmp.Diff(unused, g.Unused()); diff != "" {
		t.Errorf("unused, -want +got:\n%s", diff)
	}
}
