package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
)

// mapGroups replaces the groups of all users by those that they count as. The pseudo-group for users in several groups
// stays, because it isn't known which groups these were.
func (t *timeline) mapGroups(g *groupmap.Mapping, multiple string) error {
	recorded := t.users
	t.users = make(map[string][]run, len(recorded))
	for user, runs := range recorded {
		var mapped []run
		for _, r := range runs {
			if len(r.groups) != 1 || r.groups[0] != multiple {
				r.groups = g.Groups(user, r.groups)
			}
			last := len(mapped) - 1
			if last >= 0 && mapped[last].to == r.from && slices.Equal(mapped[last].groups, r.groups) {
				mapped[last].to = r.to
			} else {
				mapped = append(mapped, r)
			}
		}
		t.users[user] = mapped
	}
	if err := g.Err(); err != nil {
		return err
	}
	for _, c := range g.Conflicts() {
		if overlap(recorded, g, c.Name) > maxOverlap {
			return &groupmap.Error{Problems: []groupmap.Problem{c.Problem()}}
		}
	}
	return nil
}

// maxOverlap is how long two exporters may publish groups under old and new names while one replaces the other.
const maxOverlap = 15 * time.Minute

// overlap returns how long some users were in a group of a name that the map doesn't change, while the map made the same
// name of other groups or users. If serve had no map at first, a month has both, but not at the same time.
func overlap(recorded map[string][]run, g *groupmap.Mapping, name string) time.Duration {
	var own, made []window
	for user, runs := range recorded {
		for _, r := range runs {
			others := slices.DeleteFunc(slices.Clone(r.groups), func(group string) bool { return group == name })
			if len(others) < len(r.groups) {
				own = append(own, r.window)
			}
			if (len(others) > 0 || len(r.groups) == 0) && slices.Contains(g.Groups(user, others), name) {
				made = append(made, r.window)
			}
		}
	}
	length := time.Duration(0)
	for _, common := range intersection(merged(own), merged(made)) {
		length += common.length()
	}
	return length
}

// merged returns windows in the order of time, with those that touch each other as one.
func merged(windows []window) []window {
	slices.SortFunc(windows, func(a, b window) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var all []window
	for _, w := range windows {
		all = appendWindow(all, w)
	}
	return all
}
