package groupmap

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// Kind says what a Row is about.
type Kind string

// The kinds.
const (
	Group   Kind = "group"   // a group of the hub
	User    Kind = "user"    // a user without groups
	Ignored Kind = "ignored" // an ignored user
)

// Row is a group of the hub or a user, with the group that it counts in.
type Row struct {
	Kind   Kind
	Source string
	Target string // "" for what is dropped or left out
	Line   int    // 0 if no line matches, so that the group keeps its name
}

// Explain returns a row for each group of a listing, and for each user whom a line puts into a group or leaves out. Like
// Apply, it replaces the groups in the listing.
func (g *Mapping) Explain(l *membership.Listing) ([]Row, error) {
	var rows []Row
	l.Replace(membership.Replacement{
		Group: func(name string) (string, bool) {
			to := g.group(name)
			row := Row{Kind: Group, Source: name, Target: to.name}
			if to.line != nil {
				row.Line = to.line.number
			}
			rows = append(rows, row)
			return to.name, to.name != ""
		},
		Alone: func(user string) (string, bool) {
			group, ok := g.ofAlone(user)
			if ok {
				rows = append(rows, Row{User, user, group, first(g.m.users, user).number})
			}
			return group, ok
		},
		Leave: func(user string) bool {
			ignored := g.ignores(user)
			if ignored {
				rows = append(rows, Row{Ignored, user, "", first(g.m.ignored, user).number})
			}
			return ignored
		},
	})
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Source, b.Source))
	})
	return rows, g.Check()
}

// Unused returns the lines that matched nothing in the listing, in the order of the file.
func (g *Mapping) Unused() []Problem {
	var unused []Problem
	note := func(lines []*line, format string) {
		for _, l := range lines {
			switch {
			case g.used[l]:
			case l.property != "":
				unused = append(unused, Problem{Line: l.number, Text: "the lines before it leave no group with the property " + l.property})
			default:
				unused = append(unused, Problem{Line: l.number, Text: fmt.Sprintf(format, quote(l.pattern.text))})
			}
		}
	}
	note(g.m.groups, "%s matches no group that the lines before it leave")
	note(g.m.users, "%s matches no user without a group")
	note(g.m.ignored, "%s in ignore_users matches no user")
	made := map[string]bool{}
	for _, to := range g.groups {
		made[to.name] = true
	}
	for to := range g.alone {
		made[to.name] = true
	}
	for group, above := range g.m.parents {
		if !made[group] {
			unused = append(unused, Problem{Line: above.line, Text: "there is no group " + quote(group) + " that could have a parent"})
		}
	}
	slices.SortFunc(unused, Problem.Compare)
	return unused
}
