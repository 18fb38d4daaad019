package report

import (
	"cmp"
	"maps"
	"slices"

	"github.com/maruel/natural"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// key identifies a line.
type key struct {
	namespace, parent, group, user string
	kind                           Kind
	leftOut                        bool
}

// id is the name of a user or of a session in a namespace.
type id struct{ namespace, name string }

// counter sums the amounts of a line, and collects its distinct users and sessions.
type counter struct {
	amounts         Amounts
	users, sessions map[id]bool
}

func newCounter() *counter { return &counter{users: map[id]bool{}, sessions: map[id]bool{}} }

func (c *counter) add(use *Use, amounts *Amounts, part float64) {
	c.amounts.Add(amounts, part)
	for _, session := range use.Sessions {
		c.users[id{use.Namespace, use.User}] = true
		c.sessions[id{use.Namespace, session}] = true
	}
}

// finish sets the distinct counts.
func (c *counter) finish() {
	c.amounts[ActiveUsers], c.amounts[Sessions] = float64(len(c.users)), float64(len(c.sessions))
}

// aggregate sums usage by line. It adds in a fixed order, so the same usage always has the same sums.
func aggregate(uses *Uses, o *Options) (lines []*line, total *Row) {
	folded := smallGroups(uses, o)
	counters := map[key]*counter{}
	all := newCounter()
	monthsPerHour := uses.monthsPerHour()
	for _, use := range inOrder(uses.Uses) {
		amounts := use.Amounts
		amounts[Home] *= monthsPerHour[use.Namespace]
		all.add(use, &amounts, 1)
		for _, p := range portions(use, o, folded) {
			if counters[p.key] == nil {
				counters[p.key] = newCounter()
			}
			counters[p.key].add(use, &amounts, p.part)
		}
	}
	all.finish()
	for _, c := range counters {
		c.finish()
	}
	return newLines(counters, o), &Row{Amounts: all.amounts}
}

// newLines returns the lines, sorted.
func newLines(counters map[key]*counter, o *Options) []*line {
	users, sessions := map[id]int{}, map[id]int{} // the number of lines that each counts in
	for _, c := range counters {
		for user := range c.users {
			users[user]++
		}
		for session := range c.sessions {
			sessions[session]++
		}
	}
	lines := make([]*line, 0, len(counters))
	for k, c := range counters {
		row := &Row{Namespace: k.namespace, Parent: k.parent, Group: k.group, User: k.user, Kind: k.kind, Amounts: c.amounts}
		l := &line{Row: row, sums: c.amounts, leftOut: k.leftOut}
		if o.Attribution != usage.Full {
			l.sums[ActiveUsers], l.sums[Sessions] = equalParts(c.users, users), equalParts(c.sessions, sessions)
		}
		lines = append(lines, l)
	}
	slices.SortFunc(lines, compareLines)
	return lines
}

// equalParts returns a line's part of its users or sessions, if each of them is divided equally among the lines that it
// counts in.
func equalParts(ids map[id]bool, counted map[id]int) float64 {
	byLines := map[int]int{} // summed in a fixed order
	for i := range ids {
		byLines[counted[i]]++
	}
	sum := 0.0
	for _, lines := range slices.Sorted(maps.Keys(byLines)) {
		sum += float64(byLines[lines]) / float64(lines)
	}
	return sum
}

// inOrder returns usage in the order in which it is summed.
func inOrder(uses []*Use) []*Use {
	sorted := slices.Clone(uses)
	slices.SortFunc(sorted, func(a, b *Use) int {
		return cmp.Or(
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.User, b.User), cmp.Compare(a.Kind, b.Kind),
			slices.Compare(a.Groups, b.Groups), slices.Compare(a.Amounts[:], b.Amounts[:]),
		)
	})
	return sorted
}

// portion is the part of a use that counts in a line.
type portion struct {
	key  key
	part float64
}

// portions returns the lines that a use counts in. A line that stands for several of the user's groups counts it once.
func portions(use *Use, o *Options, folded map[key]bool) []portion {
	groups := groupsOf(use)
	var all []portion
	for _, group := range groups {
		k := keyOf(use, group, o, folded)
		i := slices.IndexFunc(all, func(p portion) bool { return p.key == k })
		if i < 0 {
			i = len(all)
			all = append(all, portion{key: k})
		}
		all[i].part++
	}
	for i := range all {
		if o.Attribution == usage.Full {
			all[i].part = 1
		} else {
			all[i].part /= float64(len(groups))
		}
	}
	return all
}

// groupsOf returns the groups and pseudo-groups that a use counts in.
func groupsOf(use *Use) []string {
	switch {
	case use.Kind != Known:
		return []string{use.Kind.String()}
	case len(use.Groups) == 0:
		return []string{membership.DefaultNoneName}
	default:
		return use.Groups
	}
}

// keyOf returns the key of the line that a use counts in, for one of its groups.
func keyOf(use *Use, group string, o *Options, folded map[key]bool) key {
	var k key
	if o.by(ByNamespace) {
		k.namespace = use.Namespace
	}
	if use.Kind == Known && folded[key{namespace: k.namespace, group: group}] {
		return otherKey(k.namespace, o)
	}
	if o.by(ByParent) {
		k.parent = o.parentOf(use, group)
	}
	if o.by(ByGroup) {
		k.group = group
	} else {
		k.leftOut = o.Groups != nil && !o.Groups(group)
	}
	if o.by(ByUser) {
		k.user = use.User
		if use.Kind == Unowned {
			k.user = Unowned.String()
		}
	}
	hasGroup := o.by(ByGroup) || o.by(ByParent)
	if hasGroup || o.by(ByUser) || k.leftOut {
		k.kind = use.Kind
	}
	if k.kind == Unknown && !hasGroup && !k.leftOut && !slices.Contains(o.Spread, Unknown) {
		k.kind = Known // without groups, it doesn't matter that they are unknown
	}
	return k
}

// parentOf returns the parent of one of the groups that a use counts in. A pseudo-group is its own parent.
func (o *Options) parentOf(use *Use, group string) string {
	if use.Kind != Known || len(use.Groups) == 0 {
		return group
	}
	return cmp.Or(o.Parent(group), group)
}

// compareLines sorts lines by namespace, then real groups before pseudo-groups, then by names.
func compareLines(a, b *line) int {
	return cmp.Or(compareRows(a.Row, b.Row), cmp.Compare(leftOutLast(a), leftOutLast(b)))
}

func compareRows(a, b *Row) int {
	return cmp.Or(
		natural.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(place(a), place(b)),
		natural.Compare(a.Parent, b.Parent), cmp.Compare(a.Parent, b.Parent),
		natural.Compare(a.Group, b.Group), cmp.Compare(a.Group, b.Group),
		natural.Compare(a.User, b.User), cmp.Compare(a.User, b.User),
	)
}

func leftOutLast(l *line) int {
	if l.leftOut {
		return 1
	}
	return 0
}

// place sorts real groups before pseudo-groups.
func place(r *Row) int {
	if r.Kind == Known && !r.isNone() {
		return 0
	}
	return 1 + int(r.Kind)
}
