package groupmap

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/yamlfile"
)

// Problem is a mistake in a line of a map, or a name that the line must not make.
type Problem = yamlfile.Problem

// Error is the error for a map that has mistakes or doesn't fit the groups of a hub.
type Error = yamlfile.Error

// Parse returns the map in a YAML document. The names of the pseudo-groups are those of the rules. If the document has
// mistakes, the error is an *Error with all of them, unless it isn't YAML.
func Parse(document []byte, rules membership.Rules) (*Map, error) {
	root, err := yamlfile.Parse(document, "map")
	if err != nil {
		return nil, err
	}
	p := &parser{Map: &Map{parents: map[string]parent{}, none: rules.NoneName, multiple: rules.MultipleName}}
	p.Mapping(root, "a map", map[string]func(*yaml.Node){
		"groups":       func(node *yaml.Node) { p.List(node, "groups", p.readGroup) },
		"users":        func(node *yaml.Node) { p.List(node, "users", p.readUser) },
		"parents":      p.readParents,
		"ignore_users": func(node *yaml.Node) { p.List(node, "ignore_users", p.readIgnored) },
	})
	if err := p.Err(); err != nil {
		return nil, err
	}
	return p.Map, nil
}

// parser fills a map from a document.
type parser struct {
	*Map
	yamlfile.Reader
}

// text returns a reader of a single line of text that must not be empty.
func (p *parser) text(what string, value *string) func(*yaml.Node) {
	return func(node *yaml.Node) {
		switch {
		case node.Kind != yaml.ScalarNode:
			p.Problem(node, "%s must be text", what)
		case node.Tag != "!!str" && node.Value != "":
			p.Problem(node, "%s must be text: put %s in quotes", what, node.Value)
		case node.Value == "":
			p.Problem(node, "%s is empty", what)
		case strings.Contains(node.Value, "\n"):
			p.Problem(node, "%s has a line break: if the text begins after | or >, write |- or >-", what)
		default:
			*value = node.Value
		}
	}
}

// truth returns a reader of true or false.
func (p *parser) truth(what string, value *bool) func(*yaml.Node) {
	return func(node *yaml.Node) {
		if node.Kind != yaml.ScalarNode || node.Tag != "!!bool" || node.Decode(value) != nil {
			p.Problem(node, "%s must be true or false", what)
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
		p.Problem(node, "%s is not a regular expression: %s", what, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return read
}

func (p *parser) readGroup(node *yaml.Node) {
	before := p.Len()
	var match string
	l := &line{number: node.Line}
	p.Mapping(node, "an entry of groups", map[string]func(*yaml.Node){
		"match": p.text("match", &match), "property": p.text("property", &l.property), "name": p.text("name", &l.template),
		"drop": p.truth("drop", &l.drop), "merge": p.truth("merge", &l.merge),
	})
	if p.Len() > before {
		return
	}
	switch {
	case match == "" && l.property == "":
		p.Problem(node, "match or property is missing")
	case match != "" && l.property != "":
		p.Problem(node, "match and property exclude each other")
	case l.property != "" && (l.template != "" || l.drop):
		p.Problem(node, "property gives the name, so it excludes name and drop")
	case match != "" && l.template == "" && !l.drop:
		p.Problem(node, "name or drop: true is missing")
	case l.drop && (l.template != "" || l.merge):
		p.Problem(node, "drop excludes name and merge")
	default:
		l.pattern = p.readPattern(node, "match", match)
		p.checkTarget(node, l, "name")
		p.groups = append(p.groups, l)
	}
}

func (p *parser) readUser(node *yaml.Node) {
	before := p.Len()
	var match string
	l := &line{number: node.Line}
	p.Mapping(node, "an entry of users", map[string]func(*yaml.Node){
		"match": p.text("match", &match), "group": p.text("group", &l.template), "merge": p.truth("merge", &l.merge),
	})
	switch {
	case p.Len() > before:
	case match == "":
		p.Problem(node, "match is missing")
	case l.template == "":
		p.Problem(node, "group is missing")
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
		p.Problem(node, "%s %s", key, err)
	}
	if text := p.reserved(l.template); text != "" && !l.merge {
		p.Problem(node, "%s", text+orMerge)
	}
}

func (p *parser) readParents(node *yaml.Node) {
	p.Pairs(node, "parents", func(key, value *yaml.Node) {
		var group string
		above := parent{line: key.Line}
		before := p.Len()
		p.text("a group in parents", &group)(key)
		p.text("the parent of "+quote(key.Value), &above.name)(value)
		switch {
		case p.Len() > before:
		case p.parents[group].name != "":
			p.Problem(key, "%s has two parents", quote(group))
		case p.reserved(above.name) != "":
			p.Problem(key, "%s", p.reserved(above.name))
		default:
			p.parents[group] = above
		}
	})
	for _, group := range slices.Sorted(maps.Keys(p.parents)) {
		above := p.parents[group]
		if top := p.Parent(above.name); top != "" && top != above.name {
			p.Problem(&yaml.Node{Line: above.line}, "%s can't be the parent of %s, because it has a parent itself", quote(above.name), quote(group))
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
