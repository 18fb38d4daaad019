package groupmap

import (
	"fmt"
	"maps"
	"slices"
)

// orMerge ends the text of a problem that merge: true solves too.
const orMerge = ", or set merge: true"

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

// Check returns an error that wraps an *Error with the problems of all lines so far, or nil. A conflict is a problem of
// its line.
func (g *Mapping) Check() error {
	for _, c := range g.Conflicts() {
		if _, known := g.problems[c.line]; !known {
			g.problems[c.line] = c.Problem()
		}
	}
	if err := g.Err(); err != nil {
		return fmt.Errorf("the group map doesn't fit the groups of the hub: %w", err)
	}
	return nil
}
