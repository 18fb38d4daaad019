// Package groupmap applies an operator's map to the groups of a hub: it renames, merges and drops groups, puts users who
// are in no group into one, and leaves out users. The map is applied before the rules of package membership.
package groupmap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Map is an operator's group map. It is immutable.
type Map struct {
	groups, users, ignored []*line
	parents                map[string]parent // of mapped groups
	none, multiple         string            // the names of the pseudo-groups
}

// line is an entry of groups, users or ignore_users.
type line struct {
	number      int      // in the file
	pattern     *pattern // nil if the line has a property
	property    string
	template    string // of the name
	drop, merge bool
}

// parent is the parent of a group.
type parent struct {
	name string
	line int // in the file
}

func quote(text string) string { return strconv.Quote(text) }

// Properties returns the names of the properties of groups that the map uses.
func (m *Map) Properties() []string {
	names := map[string]bool{}
	for _, l := range m.groups {
		if l.property != "" {
			names[l.property] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Parent returns the parent of a mapped group, or "" if it has none.
func (m *Map) Parent(group string) string { return m.parents[group].name }

// HasParents reports whether any group has a parent.
func (m *Map) HasParents() bool { return len(m.parents) > 0 }

// Ignores reports whether a user is left out.
func (m *Map) Ignores(user string) bool { return first(m.ignored, user) != nil }

// WithoutIgnored returns a copy of the map that leaves out no users, for commands that need every user of a hub.
func (m *Map) WithoutIgnored() *Map {
	all := *m
	all.ignored = nil
	return &all
}

// first returns the first line whose pattern matches a name, or nil.
func first(lines []*line, name string) *line {
	for _, l := range lines {
		if l.pattern.matches(name) {
			return l
		}
	}
	return nil
}

// reserved returns the problem if a name is that of a pseudo-group, or "".
func (m *Map) reserved(name string) string {
	who := "no group"
	switch name {
	case m.none:
	case m.multiple:
		who = "several groups"
	default:
		return ""
	}
	return quote(name) + " is the name for users in " + who + ": choose another name"
}

// orMerge ends the text of a problem that merge: true solves too.
const orMerge = ", or set merge: true"

// Properties maps groups to the names and the values of their properties.
type Properties map[string]map[string]json.RawMessage

// Mapping is a map that is applied to the groups of one hub. It maps each group once.
type Mapping struct {
	m          *Map
	properties Properties
	groups     map[string]target
	alone      map[target]bool // the groups of users in no group
	checked    map[target]bool
	used       map[*line]bool
	problems   map[*line]Problem // the first one of each line
}

// target is the group that a group or a user counts in.
type target struct {
	name string // "" if the group is dropped
	line *line  // nil if no line matches the group, which then keeps its name
}

// For returns a mapping of groups with properties, which may be nil.
func (m *Map) For(properties Properties) *Mapping {
	return &Mapping{
		m: m, properties: properties, groups: map[string]target{}, alone: map[target]bool{}, checked: map[target]bool{},
		used: map[*line]bool{}, problems: map[*line]Problem{},
	}
}

// Groups returns the groups in which a user counts, sorted, given those that the user is in.
func (g *Mapping) Groups(user string, groups []string) []string {
	mapped := make([]string, 0, len(groups))
	for _, name := range groups {
		if to := g.group(name); to.name != "" {
			mapped = append(mapped, to.name)
		}
	}
	if len(mapped) == 0 {
		if group, ok := g.ofAlone(user); ok {
			mapped = append(mapped, group)
		}
	}
	slices.Sort(mapped)
	return slices.Compact(mapped)
}

// group returns the target of a group of the hub, which it checks on the first call.
func (g *Mapping) group(name string) target {
	to, known := g.groups[name]
	if !known {
		to = g.find(name)
		g.groups[name] = to
		if to.line != nil {
			g.used[to.line] = true
			g.check(to.name, to.line)
		}
	}
	return to
}

// find returns the target of a group.
func (g *Mapping) find(name string) target {
	for _, l := range g.m.groups {
		if l.property != "" {
			value, ok := g.property(l, name)
			if ok {
				return target{value, l}
			}
			continue
		}
		switch {
		case !l.pattern.matches(name):
		case l.drop:
			return target{"", l}
		default:
			to := l.pattern.expand(l.template, name)
			if to == "" {
				g.problem(l, "it makes an empty name of %s", quote(name))
			}
			return target{to, l}
		}
	}
	return target{name: name}
}

// property returns a group's value of the property that a line names, and reports whether it has one. An empty text is no
// value.
func (g *Mapping) property(l *line, group string) (string, bool) {
	raw, ok := g.properties[group][l.property]
	if !ok {
		return "", false
	}
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		g.problem(l, "the property %s of the group %s is not text", l.property, quote(group))
		return "", true
	}
	return *text, *text != ""
}

// ofAlone returns the group of a user who is in no group, and reports whether a line puts the user into one.
func (g *Mapping) ofAlone(user string) (string, bool) {
	l := first(g.m.users, user)
	if l == nil {
		return "", false
	}
	g.used[l] = true
	group := l.pattern.expand(l.template, user)
	if group == "" {
		g.problem(l, "it makes an empty name of %s", quote(user))
		return "", false
	}
	g.alone[target{group, l}] = true
	g.check(group, l)
	return group, true
}

// check records a problem if a name that a line makes isn't allowed. The map must not change the name again, so that it
// makes no difference whether it is applied once, or again to the memberships that Prometheus recorded.
func (g *Mapping) check(name string, l *line) {
	if name == "" || g.checked[target{name, l}] {
		return
	}
	g.checked[target{name, l}] = true
	if text := g.m.reserved(name); text != "" && !l.merge {
		g.problem(l, "%s", text+orMerge)
	}
	switch again := g.find(name); {
	case again.line == nil:
	case again.name == name:
		g.used[again.line] = true // it is there to keep the name
	default:
		g.problem(l, "it makes %s, and line %d changes that name again: insert a line before it that keeps %s", quote(name), again.line.number, quote(name))
	}
}

// problem records the first problem of a line.
func (g *Mapping) problem(l *line, format string, args ...any) {
	if _, known := g.problems[l]; !known {
		g.problems[l] = Problem{Line: l.number, Text: fmt.Sprintf(format, args...)}
	}
}

// Err returns an *Error with the first problem of each line, or nil. It doesn't cover the Conflicts.
func (g *Mapping) Err() error {
	if len(g.problems) == 0 {
		return nil
	}
	return &Error{Problems: slices.SortedFunc(maps.Values(g.problems), Problem.Compare)}
}

// Conflict is a group that no line maps and that has a name which a line makes of something else, without merge.
type Conflict struct {
	Name string
	line *line
}

// Problem returns the conflict as a problem of its line.
func (c Conflict) Problem() Problem {
	return Problem{Line: c.line.number, Text: quote(c.Name) + " is also a group that no line maps: choose another name" + orMerge}
}

// Conflicts returns the conflicts among the groups so far, sorted by name.
func (g *Mapping) Conflicts() []Conflict {
	found := map[string]*line{}
	note := func(name string, l *line) {
		own, exists := g.groups[name]
		if exists && own.line == nil && !l.merge && (found[name] == nil || l.number < found[name].number) {
			found[name] = l
		}
	}
	for _, to := range g.groups {
		if to.line != nil {
			note(to.name, to.line)
		}
	}
	for to := range g.alone {
		note(to.name, to.line)
	}
	var all []Conflict
	for _, name := range slices.Sorted(maps.Keys(found)) {
		all = append(all, Conflict{name, found[name]})
	}
	return all
}
