// Package groupmap applies an operator's map to the groups of a hub: it renames, merges and drops groups, puts users who
// are in no group into one, and leaves out users. The map is applied before the rules of package membership.
package groupmap

import (
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
