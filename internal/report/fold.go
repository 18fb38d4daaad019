package report

import (
	"cmp"
	"maps"
	"slices"

	"github.com/maruel/natural"
)

// spread distributes the lines of the kinds in o.Spread over the lines of groups and of none: each measure in
// proportion to what these have of it. With rows by namespace, it does so within each namespace. If no other line has
// any of a measure, it isn't distributed. Lines with nothing left are removed.
func spread(lines []*line, o *Options) []*line {
	gives := func(l *line) bool { return slices.Contains(o.Spread, l.Kind) }
	given, received := map[string]*Amounts{}, map[string]*Amounts{} // by namespace
	for _, l := range lines {
		if given[l.Namespace] == nil {
			given[l.Namespace], received[l.Namespace] = &Amounts{}, &Amounts{}
		}
		switch {
		case gives(l):
			given[l.Namespace].Add(&l.sums, 1)
		case l.receives():
			received[l.Namespace].Add(&l.sums, 1)
		}
	}
	for _, l := range lines {
		for _, measure := range Measures() {
			all := received[l.Namespace][measure]
			switch {
			case all <= 0:
				continue
			case gives(l):
				l.sums[measure] = 0
			case l.receives():
				l.sums[measure] += given[l.Namespace][measure] * l.sums[measure] / all
			}
			if measure != ActiveUsers && measure != Sessions { // rows show distinct users and sessions
				l.Amounts[measure] = l.sums[measure]
			}
		}
	}
	return slices.DeleteFunc(lines, func(l *line) bool { return gives(l) && l.sums == Amounts{} })
}

// receives reports whether usage is distributed over a line.
func (l *line) receives() bool { return l.Kind == Known || l.Kind == Other }

// smallGroups returns the groups that are shown as one row: those with fewer than o.MinUsers active users. So that the
// row never stands for one group or for few users, smallGroups adds the next smallest groups until it has at least two,
// with o.MinUsers active users together. With rows by namespace, each namespace has its own row.
func smallGroups(uses *Uses, o *Options) map[key]bool {
	if !o.by(ByGroup) || o.MinUsers == 0 {
		return nil
	}
	users := map[string]map[string]map[id]bool{} // by namespace and group
	for _, use := range uses.Uses {
		if use.Kind != Known {
			continue
		}
		namespace := ""
		if o.by(ByNamespace) {
			namespace = use.Namespace
		}
		if users[namespace] == nil {
			users[namespace] = map[string]map[id]bool{}
		}
		for _, group := range groupsOf(use) {
			if users[namespace][group] == nil {
				users[namespace][group] = map[id]bool{}
			}
			if len(use.Sessions) > 0 {
				users[namespace][group][id{use.Namespace, use.User}] = true
			}
		}
	}
	folded := map[key]bool{}
	for namespace, groups := range users {
		for _, group := range smallest(groups, o.MinUsers) {
			folded[key{namespace: namespace, group: group}] = true
		}
	}
	return folded
}

// smallest returns the groups that have fewer than minUsers active users, and as many of the next smallest ones as the
// row for them needs.
func smallest(users map[string]map[id]bool, minUsers int) []string {
	groups := slices.SortedFunc(maps.Keys(users), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(users[a]), len(users[b])), natural.Compare(a, b), cmp.Compare(a, b))
	})
	together := map[id]bool{}
	for i, group := range groups {
		if len(users[group]) >= minUsers && (i == 0 || len(together) >= minUsers) {
			return groups[:i]
		}
		maps.Copy(together, users[group])
	}
	return groups
}

// otherKey is the key of the line of groups that are too small to be shown.
func otherKey(namespace string, o *Options) key {
	k := key{namespace: namespace, group: Other.String(), kind: Other}
	if o.by(ByParent) {
		k.parent = Other.String()
	}
	if o.by(ByUser) {
		k.user = Other.String()
	}
	return k
}
