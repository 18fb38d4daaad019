package groupmap

import (
	"encoding/json"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

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

// ofAlone returns the group into which a line of users puts a user without groups. It returns false if no line does.
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

// Apply replaces the groups in a hub's listing. If it returns an error, which wraps an *Error, the listing must not be
// used.
func (g *Mapping) Apply(l *membership.Listing) error {
	l.Replace(membership.Replacement{
		Group: func(name string) (string, bool) {
			to := g.group(name)
			return to.name, to.name != ""
		},
		Alone: g.ofAlone,
		Leave: g.ignores,
	})
	return g.Check()
}

// ignores is like Map.Ignores, and also records that the line is used.
func (g *Mapping) ignores(user string) bool {
	l := first(g.m.ignored, user)
	if l != nil {
		g.used[l] = true
	}
	return l != nil
}
