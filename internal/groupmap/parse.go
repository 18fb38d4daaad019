package groupmap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// Problem is a mistake in a line of a map, or a name that the line must not make.
type Problem struct {
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// compare sorts problems by their lines.
func (p Problem) compare(other Problem) int {
	return cmp.Or(cmp.Compare(p.Line, other.Line), cmp.Compare(p.Text, other.Text))
}

// Error is the error for a map that has mistakes or doesn't fit the groups of a hub.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	var texts []string
	for _, p := range e.Problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

// Parse returns the map in a YAML document. The names of the pseudo-groups are those of the rules. If the document has
// mistakes, the error is an *Error with all of them, unless it isn't YAML.
func Parse(document []byte, rules membership.Rules) (*Map, error) {
	var file, another yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	switch err := decoder.Decode(&file); {
	case errors.Is(err, io.EOF) || err == nil && file.Content[0].Tag == "!!null":
		return nil, errors.New("the map is empty")
	case err != nil:
		return nil, syntaxError(err, document)
	}
	if err := decoder.Decode(&another); !errors.Is(err, io.EOF) {
		return nil, errors.New("a map must be a single YAML document")
	}
	p := &parser{Map: &Map{parents: map[string]*line{}, none: rules.NoneName, multiple: rules.MultipleName}}
	p.mapping(file.Content[0], "a map", map[string]func(*yaml.Node){
		"groups":       func(node *yaml.Node) { p.list(node, "groups", p.readGroup) },
		"users":        func(node *yaml.Node) { p.list(node, "users", p.readUser) },
		"parents":      p.readParents,
		"ignore_users": func(node *yaml.Node) { p.list(node, "ignore_users", p.readIgnored) },
	})
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &Error{p.problems}
	}
	return p.Map, nil
}

// syntaxError returns an error of package yaml with the right line. The package counts lines from 0 if the parser finds the
// mistake, and from 1 if the scanner does. The line may be the one after the last.
func syntaxError(err error, document []byte) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if _, err := fmt.Sscanf(text, "line %d: did not find expected", &line); err == nil {
		last := bytes.Count(bytes.TrimSpace(document), []byte("\n")) + 1
		_, text, _ = strings.Cut(text, ": ")
		text = fmt.Sprintf("line %d: %s", min(line+1, last), text)
	}
	return errors.New(text)
}

// parser fills a map from a document, and collects the mistakes in it.
type parser struct {
	*Map
	problems []Problem
}

// problem adds a mistake in the line of a node.
func (p *parser) problem(node *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, Problem{node.Line, fmt.Sprintf(format, args...)})
}

// mapping calls a function for each key of a mapping.
func (p *parser) mapping(node *yaml.Node, what string, read map[string]func(*yaml.Node)) {
	seen := map[string]bool{}
	p.pairs(node, what, func(key, value *yaml.Node) {
		switch {
		case read[key.Value] == nil:
			p.problem(key, "unknown key %q in %s", key.Value, what)
		case seen[key.Value]:
			p.problem(key, "%s is set twice", key.Value)
		default:
			read[key.Value](value)
		}
		seen[key.Value] = true
	})
}

// pairs calls a function for each pair of a mapping.
func (p *parser) pairs(node *yaml.Node, what string, read func(key, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		p.problem(node, "%s must be a mapping", what)
		return
	}
	for i := 0; i < len(node.Content); i += 2 {
		read(resolved(node.Content[i]), resolved(node.Content[i+1]))
	}
}

// list calls a function for each item of a list.
func (p *parser) list(node *yaml.Node, what string, read func(*yaml.Node)) {
	if node.Kind != yaml.SequenceNode {
		p.problem(node, "%s must be a list", what)
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

// text returns a reader of a single line of text that must not be empty.
func (p *parser) text(what string, value *string) func(*yaml.Node) {
	return func(node *yaml.Node) {
		switch {
		case node.Kind != yaml.ScalarNode:
			p.problem(node, "%s must be text", what)
		case node.Tag != "!!str" && node.Value != "":
			p.problem(node, "%s must be text: put %s in quotes", what, node.Value)
		case node.Value == "":
			p.problem(node, "%s is empty", what)
		case strings.Contains(node.Value, "\n"):
			p.problem(node, "%s has a line break: if the text begins after | or >, write |- or >-", what)
		default:
			*value = node.Value
		}
	}
}

// truth returns a reader of true or false.
func (p *parser) truth(what string, value *bool) func(*yaml.Node) {
	return func(node *yaml.Node) {
		if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" || node.Decode(value) != nil {
			p.problem(node, "%s must be true or false", what)
		}
	}
}

// readPattern returns the pattern with a text, or nil if the text is empty or invalid.
func (p *parser) readPattern(node *yaml.Node, what, text string) *pattern {
	if text == "" {
		return nil
	}
	read, err := newPattern(text)
	if err != nil {
		p.problem(node, "%s is not a regular expression: %s", what, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return read
}

func (p *parser) readGroup(node *yaml.Node) {
	before := len(p.problems)
	var match string
	l := &line{number: node.Line}
	p.mapping(node, "an entry of groups", map[string]func(*yaml.Node){
		"match": p.text("match", &match), "property": p.text("property", &l.property), "name": p.text("name", &l.template),
		"drop": p.truth("drop", &l.drop), "merge": p.truth("merge", &l.merge),
	})
	if len(p.problems) > before {
		return
	}
	switch {
	case match == "" && l.property == "":
		p.problem(node, "match or property is missing")
	case match != "" && l.property != "":
		p.problem(node, "match and property exclude each other")
	case l.property != "" && (l.template != "" || l.drop):
		p.problem(node, "property gives the name, so it excludes name and drop")
	case match != "" && l.template == "" && !l.drop:
		p.problem(node, "name or drop: true is missing")
	case l.drop && (l.template != "" || l.merge):
		p.problem(node, "drop excludes name and merge")
	default:
		l.pattern = p.readPattern(node, "match", match)
		p.checkTarget(node, l, "name")
		p.groups = append(p.groups, l)
	}
}

func (p *parser) readUser(node *yaml.Node) {
	before := len(p.problems)
	var match string
	l := &line{number: node.Line}
	p.mapping(node, "an entry of users", map[string]func(*yaml.Node){
		"match": p.text("match", &match), "group": p.text("group", &l.template), "merge": p.truth("merge", &l.merge),
	})
	switch {
	case len(p.problems) > before:
	case match == "":
		p.problem(node, "match is missing")
	case l.template == "":
		p.problem(node, "group is missing")
	default:
		l.pattern = p.readPattern(node, "match", match)
		p.checkTarget(node, l, "group")
		p.users = append(p.users, l)
	}
}

// checkTarget checks the template of a line. The names that it makes are checked later, when the groups are known.
func (p *parser) checkTarget(node *yaml.Node, l *line, key string) {
	if l.pattern == nil || l.template == "" {
		return
	}
	if err := l.pattern.check(l.template); err != nil {
		p.problem(node, "%s %s", key, err)
	}
	if text := p.reserved(l.template); text != "" && !l.merge {
		p.problem(node, "%s", text+orMerge)
	}
}

func (p *parser) readParents(node *yaml.Node) {
	p.pairs(node, "parents", func(key, value *yaml.Node) {
		var group string
		parent := &line{number: key.Line}
		before := len(p.problems)
		p.text("a group in parents", &group)(key)
		p.text("the parent of "+quote(key.Value), &parent.template)(value)
		switch {
		case len(p.problems) > before:
		case p.parents[group] != nil:
			p.problem(key, "%s has two parents", quote(group))
		case p.reserved(parent.template) != "":
			p.problem(key, "%s", p.reserved(parent.template))
		default:
			p.parents[group] = parent
		}
	})
	for group, parent := range p.parents {
		if above := p.parents[parent.template]; above != nil && above.template != parent.template {
			p.problems = append(p.problems, Problem{parent.number, fmt.Sprintf("%s can't be the parent of %s, because it has a parent itself", quote(parent.template), quote(group))})
		}
	}
}

func (p *parser) readIgnored(node *yaml.Node) {
	var match string
	p.text("an entry of ignore_users", &match)(node)
	if read := p.readPattern(node, "an entry of ignore_users", match); read != nil {
		p.ignored = append(p.ignored, &line{number: node.Line, pattern: read})
	}
}
