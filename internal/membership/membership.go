// Package membership applies the operator's Rules to the Listing of a hub. The result is an immutable Snapshot of the
// group memberships. The same input always produces the same Snapshot.
package membership

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// Snapshot holds the group memberships of a hub at one time, after the rules. It never changes. Series, tables and
// counts all come from it, so they agree.
type Snapshot struct {
	namespace   string
	listing     Listing
	rules       Rules
	exported    []bool // by group
	groups      []Group
	memberships int
	ambiguous   []string
	// multipleAt is the index at which the pseudo-group for users in several groups belongs, and multipleIsGroup
	// reports whether the hub's group at that index has the same name.
	multipleAt      uint32
	multipleIsGroup bool
}

// Group is an exported group, or a pseudo-group for users in no group or in several.
type Group struct {
	Name           string
	Members        int
	RunningServers int // of its members
}

// Row is a membership: a user published in a group. Each user has at least one.
type Row struct {
	User, Group string
	// Share is 1/n for a user in n groups, so a user's shares add up to 1. It is 0 for the pseudo-group "multiple" if
	// the user also has rows for the real groups.
	Share float64
}

// New returns the snapshot of a hub's listing. The caller must not use the listing afterwards.
func New(namespace string, listing *Listing, rules Rules) *Snapshot {
	listing.sort()
	s := &Snapshot{namespace: namespace, listing: *listing, rules: rules.withDefaults()}
	s.listing.index = nil
	allow, deny := Globs(s.rules.Allow), Globs(s.rules.Deny)
	for _, name := range listing.groups {
		s.exported = append(s.exported, name == s.rules.Exempt || (len(s.rules.Allow) == 0 || allow(name)) && !deny(name))
	}
	at, _ := slices.BinarySearch(listing.groups, s.rules.MultipleName)
	s.multipleAt, s.multipleIsGroup = uint32(at), s.exports(s.rules.MultipleName)
	s.ambiguous = slices.DeleteFunc(s.rules.PseudoNames(), func(name string) bool { return !s.exports(name) })
	s.count()
	return s
}

// exports reports whether the hub has a group with a name, and it is exported.
func (s *Snapshot) exports(name string) bool {
	i, found := slices.BinarySearch(s.listing.groups, name)
	return found && s.exported[i]
}

// count counts memberships, and the members and servers of each group.
func (s *Snapshot) count() {
	counts := map[string]*Group{}
	of := func(name string) *Group {
		if counts[name] == nil {
			counts[name] = &Group{Name: name}
		}
		return counts[name]
	}
	for i, name := range s.listing.groups {
		if s.exported[i] {
			of(name)
		}
	}
	s.each(func(u *user, group string, _ float64) bool {
		g := of(group)
		g.Members++
		g.RunningServers += int(u.runningServers)
		s.memberships++
		return true
	})
	for _, g := range counts {
		s.groups = append(s.groups, *g)
	}
	slices.SortFunc(s.groups, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
}

// each yields every membership, sorted by user and then by group. All rules for memberships are applied here.
func (s *Snapshot) each(yield func(u *user, group string, share float64) bool) {
	l := &s.listing
	for i := range l.users {
		u := &l.users[i]
		mine := l.members[u.from:u.to]
		n := 0
		inMultiple := false // the group of that name, if the hub has one
		for _, group := range mine {
			if s.exported[group] {
				n++
				inMultiple = inMultiple || s.multipleIsGroup && group == s.multipleAt
			}
		}
		switch {
		case n == 0:
			if !yield(u, s.rules.NoneName, 1) {
				return
			}
			continue
		case n > 1 && s.rules.MultiGroup == Multiple:
			if !yield(u, s.rules.MultipleName, 1) {
				return
			}
			continue
		}
		beside := n > 1 && s.rules.MultiGroup == Both && !inMultiple
		for _, group := range mine {
			if beside && group >= s.multipleAt {
				beside = false
				if !yield(u, s.rules.MultipleName, 0) {
					return
				}
			}
			if s.exported[group] && !yield(u, l.groups[group], 1/float64(n)) {
				return
			}
		}
		if beside && !yield(u, s.rules.MultipleName, 0) {
			return
		}
	}
}

// Namespace returns the namespace of the hub.
func (s *Snapshot) Namespace() string { return s.namespace }

// HasActivity reports whether the last activity of users is known.
func (s *Snapshot) HasActivity() bool { return s.listing.HasActivity }

// HasServers reports whether the running servers are known.
func (s *Snapshot) HasServers() bool { return s.listing.HasServers }

// HasCreated reports whether the token may read when users were created.
func (s *Snapshot) HasCreated() bool { return s.listing.HasCreated }

// At returns when the listing began.
func (s *Snapshot) At() time.Time { return s.listing.At }

// Len returns the number of users.
func (s *Snapshot) Len() int { return len(s.listing.users) }

// Memberships returns the number of rows.
func (s *Snapshot) Memberships() int { return s.memberships }

// Users yields the names of all users, sorted.
func (s *Snapshot) Users() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range s.listing.users {
			if !yield(s.listing.users[i].name) {
				return
			}
		}
	}
}

// Details yields everything that is known of each user, sorted by name. The groups are those of the user's Rows.
func (s *Snapshot) Details() iter.Seq[User] {
	return func(yield func(User) bool) {
		var last *user
		var groups []string
		show := func() bool {
			return last == nil || yield(User{
				Name: last.name, Groups: groups, LastActivity: fromSeconds(last.lastActivity), Created: fromSeconds(last.created),
				RunningServers: int(last.runningServers), ActiveServers: int(last.activeServers),
			})
		}
		stopped := false
		s.each(func(u *user, group string, _ float64) bool {
			if u != last {
				if stopped = !show(); stopped {
					return false
				}
				last, groups = u, nil
			}
			groups = append(groups, group)
			return true
		})
		if !stopped {
			show()
		}
	}
}

// Rows yields every membership, sorted by user and then by group.
func (s *Snapshot) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		s.each(func(u *user, group string, share float64) bool { return yield(Row{u.name, group, share}) })
	}
}

// Groups returns the exported groups and the pseudo-groups with members, sorted by name.
func (s *Snapshot) Groups() []Group { return slices.Clone(s.groups) }

// HasGroups reports whether any group of the hub is exported.
func (s *Snapshot) HasGroups() bool { return slices.Contains(s.exported, true) }

// Active returns the number of users in each group who were active within a duration before the listing. Groups
// without such users are missing.
func (s *Snapshot) Active(within time.Duration) map[string]int {
	active := map[string]int{}
	since := s.listing.At.Add(-within).Unix()
	s.each(func(u *user, group string, _ float64) bool {
		if u.lastActivity != 0 && u.lastActivity >= since {
			active[group]++
		}
		return true
	})
	return active
}

// Ambiguous returns the names of pseudo-groups that are also names of the hub's groups.
func (s *Snapshot) Ambiguous() []string { return slices.Clone(s.ambiguous) }

// IsMultipleReal reports whether a group of the hub with the name of the pseudo-group for users in several groups is
// exported. The recording rules take that group for the pseudo-group, even if there is none.
func (s *Snapshot) IsMultipleReal() bool { return s.multipleIsGroup }

// Unmatched returns the patterns that match no group of the hub, in their order.
func (s *Snapshot) Unmatched(patterns []string) []string {
	return slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool {
		return slices.ContainsFunc(s.listing.groups, Globs([]string{pattern}))
	})
}

// HasUnnamed reports whether a group without a name is published, as EmptyName.
func (s *Snapshot) HasUnnamed() bool { return s.listing.unnamed && s.exports(EmptyName) }
