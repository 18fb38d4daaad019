// Package yamlfile reads YAML files that people write. It finds all mistakes in a file, and the line of each.
package yamlfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is a mistake in a line of a file.
type Problem struct {
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// Compare orders problems by their lines, and those of a line by their texts.
func (p Problem) Compare(other Problem) int {
	return cmp.Or(cmp.Compare(p.Line, other.Line), cmp.Compare(p.Text, other.Text))
}

// Error is the error for a file with mistakes.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	var texts []string
	for _, p := range e.Problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

// Parse returns the root of the only document in a file, or an error if the file isn't a single YAML document. What the
// file is, like "price file", is for the text of the error.
func Parse(file []byte, what string) (*yaml.Node, error) {
	var document, another yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF) || err == nil && document.Content[0].Tag == "!!null":
		return nil, fmt.Errorf("the %s is empty", what)
	case err != nil:
		return nil, syntaxError(err, file)
	}
	if err := decoder.Decode(&another); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("a %s must be a single YAML document", what)
	}
	return document.Content[0], nil
}

// syntaxError returns an error of package yaml with the right line. The package counts lines from 0 if its parser finds the
// mistake, and from 1 if its scanner does. The parser may also name the line after the last one.
func syntaxError(err error, file []byte) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if _, err := fmt.Sscanf(text, "line %d: did not find expected", &line); err == nil {
		last := bytes.Count(bytes.TrimSpace(file), []byte("\n")) + 1
		_, text, _ = strings.Cut(text, ": ")
		text = fmt.Sprintf("line %d: %s", min(line+1, last), text)
	}
	return errors.New(text)
}

// Reader reads the nodes of a file and collects the mistakes in them.
type Reader struct{ problems []Problem }

// Problem adds a mistake in the line of a node.
func (r *Reader) Problem(node *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{node.Line, fmt.Sprintf(format, args...)})
}

// Len returns the number of mistakes so far.
func (r *Reader) Len() int { return len(r.problems) }

// Err returns an *Error with all mistakes, or nil if there are none. They are sorted by line; those of a line stay in the
// order in which they were found.
func (r *Reader) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{r.problems}
}

// Mapping calls the function for each key of a mapping with the key's value, and returns the keys. A key without a function
// and a key that is set twice are mistakes.
func (r *Reader) Mapping(node *yaml.Node, what string, read map[string]func(*yaml.Node)) map[string]bool {
	keys := map[string]bool{}
	r.Pairs(node, what, func(key, value *yaml.Node) {
		switch {
		case read[key.Value] == nil || key.Kind != yaml.ScalarNode:
			r.Problem(key, "unknown key %q in %s", key.Value, what)
		case keys[key.Value]:
			r.Problem(key, "%s is set twice", key.Value)
		default:
			read[key.Value](value)
		}
		keys[key.Value] = true
	})
	return keys
}

// Pairs calls a function for each key of a mapping and its value. Another node is a mistake.
func (r *Reader) Pairs(node *yaml.Node, what string, read func(key, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		r.Problem(node, "%s must be a mapping", what)
		return
	}
	for i := 0; i < len(node.Content); i += 2 {
		read(resolved(node.Content[i]), resolved(node.Content[i+1]))
	}
}

// List calls a function for each item of a list. Another node is a mistake.
func (r *Reader) List(node *yaml.Node, what string, read func(*yaml.Node)) {
	if node.Kind != yaml.SequenceNode {
		r.Problem(node, "%s must be a list", what)
		return
	}
	for _, item := range node.Content {
		read(resolved(item))
	}
}

// resolved returns the node that an alias stands for, in the line of the alias. It returns other nodes as they are.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind != yaml.AliasNode {
		return node
	}
	target := *node.Alias
	target.Line = node.Line
	return &target
}
