package yamlfile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/yamlfile"
)

// The line of an error of package yaml is that of the file.
func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the map is empty"},
		{"# nothing\n", "the map is empty"},
		{"null", "the map is empty"},
		{"a: 1\n---\nb: 2\n", "a map must be a single YAML document"},
		{"a: [\n", "line 1: did not find expected node content"},
		{"a:\n  - b\n c: d\n", "line 3: did not find expected key"},
		{"a: 'b\n", "line 2: found unexpected end of stream"},
		{"a: 1\n", ""},
	} {
		root, err := yamlfile.Parse([]byte(c.text), "map")
		if got := text(err); got != c.want || (root == nil) == (err == nil) {
			t.Errorf("%q: got %v and error %q, want error %q", c.text, root, got, c.want)
		}
	}
}

// All mistakes are found, in the order of their lines. A mistake in what an alias stands for has the line of the alias.
func TestReader(t *testing.T) {
	root, err := yamlfile.Parse([]byte("list: [&word a, b]\nother: 1\nlist: []\n[]: 2\nword: *word\nnumber: {}\n"), "map")
	if err != nil {
		t.Fatal(err)
	}
	var r yamlfile.Reader
	var words []string
	isWord := func(node *yaml.Node) {
		if words = append(words, node.Value); node.Value == "a" {
			r.Problem(node, "a is not a word")
		}
	}
	keys := r.Mapping(root, "a map", map[string]func(*yaml.Node){
		"list": func(node *yaml.Node) { r.List(node, "list", isWord) },
		"word": isWord, "number": func(node *yaml.Node) { r.List(node, "number", isWord) },
	})
	want := `line 1: a is not a word; line 2: unknown key "other" in a map; line 3: list is set twice; ` +
		`line 4: unknown key "" in a map; line 5: a is not a word; line 6: number must be a list`
	if got := text(r.Err()); got != want || r.Len() != 6 {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"a", "b", "a"}, words); diff != "" || !keys["word"] || keys["words"] {
		t.Errorf("keys %v; words (-want +got):\n%s", keys, diff)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
