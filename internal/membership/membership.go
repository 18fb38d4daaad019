// Package membership decides who belongs where: it turns what a hub tells
// about its users into an immutable Snapshot, by the operator's rules. It asks
// nothing, logs nothing and has no clock: the same input gives the same Snapshot.
package membership

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// User is one user as a hub lists it. The order of Groups never matters.
type User struct {
	Name   string
	Groups []string
	// LastActivity is the zero time for a user who was never seen.
	LastActivity time.Time
	// RunningServers counts the servers that are up, not those being started.
	RunningServers int
}

// Listing is all that a hub told at one moment.
type Listing struct {
	// At is when the hub was asked.
	At    time.Time
	Users []User
	// Groups names the hub's groups, those without members among them. It is
	// empty where the token may not list groups: groups with members are then
	// known from the users alone.
	Groups []string
	// HasActivity and HasServers tell whether every user came with its last
	// activity and its servers, or the token may not read them.
	HasActivity, HasServers bool
}

// Snapshot is the answer to "who is in which group", at one moment, after the
// rules. It never changes. The info series, the tables, the counts and the joins
// all ask it, so they can't disagree.
type Snapshot struct {
	namespace               string
	at                      time.Time
	hasActivity, hasServers bool

	// Both are sorted by name. A user's rows are rows[from:to], indices into
	// groups: a hub of 100,000 users repeats few names very often.
	groups []group
	users  []user
	rows   []uint32

	multiple  uint32 // the pseudo-group's index
	ambiguous []string
}

type user struct {
	name           string
	lastActivity   time.Time
	runningServers int
	from, to       uint32
	share          float64
	// beside marks a user whose row "multiple" stands beside the real groups
	// and so carries no share.
	beside bool
}

type group struct {
	Group
	pseudo bool
}

// Group is an exported group, or one of the pseudo-groups for users in none and
// in several.
type Group struct {
	Name string
	// Members counts the users who are published in this group.
	Members int
	// RunningServers counts their servers.
	RunningServers int
}

// Row is one membership: a user published in a group. A user has at least one.
type Row struct {
	User, Group string
	// Share is 1/n for a user in n groups: a user's shares add up to 1. It is 0
	// for the pseudo-group "multiple" where it stands beside the real ones.
	Share float64
}

// New applies the rules to a hub's listing. The listing is neither kept nor
// changed. A user listed twice counts once.
func New(namespace string, listing Listing, rules Rules) *Snapshot {
	rules = rules.withDefaults()
	s := &Snapshot{
		namespace:   namespace,
		at:          listing.At,
		hasActivity: listing.HasActivity,
		hasServers:  listing.HasServers,
	}
	index := s.addGroups(listing, rules)
	none, multiple := s.indexOf(rules.NoneName), s.indexOf(rules.MultipleName)
	s.multiple = multiple

	listed := sortedByName(listing.Users)
	s.users = make([]user, 0, len(listed))
	s.rows = make([]uint32, 0, len(listed))
	var mine []uint32 // the groups of one user, reused
	for _, u := range listed {
		mine = mine[:0]
		for _, name := range u.Groups {
			if i, ok := index[name]; ok {
				mine = append(mine, i)
			}
		}
		slices.Sort(mine)
		mine = slices.Compact(mine)

		share, beside := 1.0, false
		switch n := len(mine); {
		case n == 0:
			mine = append(mine, none)
		case n > 1 && rules.MultiGroup == Multiple:
			mine = append(mine[:0], multiple)
		case n > 1:
			share = 1 / float64(n)
			if at, found := slices.BinarySearch(mine, multiple); rules.MultiGroup == Both && !found {
				mine, beside = slices.Insert(mine, at, multiple), true
			}
		}
		from := uint32(len(s.rows))
		s.rows = append(s.rows, mine...)
		for _, i := range mine {
			s.groups[i].Members++
			s.groups[i].RunningServers += u.RunningServers
		}
		s.users = append(s.users, user{
			name: u.Name, lastActivity: u.LastActivity, runningServers: u.RunningServers,
			from: from, to: uint32(len(s.rows)), share: share, beside: beside,
		})
	}
	return s
}

// addGroups fills s.groups with every exported group and the two pseudo-groups,
// and gives the index of each exported group by name.
func (s *Snapshot) addGroups(listing Listing, rules Rules) map[string]uint32 {
	exports := rules.filter()
	seen := map[string]bool{} // whether a name that the hub uses is exported
	add := func(name string) {
		if _, ok := seen[name]; !ok {
			seen[name] = exports(name)
		}
	}
	for _, u := range listing.Users {
		for _, name := range u.Groups {
			add(name)
		}
	}
	for _, name := range listing.Groups {
		add(name)
	}
	for name, exported := range seen {
		if exported {
			s.groups = append(s.groups, group{Group: Group{Name: name}})
		}
	}
	for _, name := range rules.pseudoNames() {
		if seen[name] {
			s.ambiguous = append(s.ambiguous, name)
		}
	}
	for _, name := range []string{rules.NoneName, rules.MultipleName} {
		if !seen[name] {
			s.groups = append(s.groups, group{Group: Group{Name: name}, pseudo: true})
		}
	}
	slices.SortFunc(s.groups, func(a, b group) int { return cmp.Compare(a.Name, b.Name) })
	index := make(map[string]uint32, len(s.groups))
	for i, g := range s.groups {
		if seen[g.Name] {
			index[g.Name] = uint32(i)
		}
	}
	return index
}

func (s *Snapshot) indexOf(name string) uint32 {
	i, _ := slices.BinarySearchFunc(s.groups, name, func(g group, name string) int { return cmp.Compare(g.Name, name) })
	return uint32(i)
}

// sortedByName returns the users by name, each name once, in a slice of its own.
func sortedByName(users []User) []User {
	byName := slices.Clone(users)
	slices.SortStableFunc(byName, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(byName, func(a, b User) bool { return a.Name == b.Name })
}

// Namespace says which hub this is of.
func (s *Snapshot) Namespace() string { return s.namespace }

// HasActivity tells whether it is known when users were last active.
func (s *Snapshot) HasActivity() bool { return s.hasActivity }

// HasServers tells whether it is known which servers run.
func (s *Snapshot) HasServers() bool { return s.hasServers }

// Len is the number of users.
func (s *Snapshot) Len() int { return len(s.users) }

// Memberships is the number of rows.
func (s *Snapshot) Memberships() int { return len(s.rows) }

// Users yields the users' names in order.
func (s *Snapshot) Users() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, u := range s.users {
			if !yield(u.name) {
				return
			}
		}
	}
}

// Rows yields every membership, by user and then by group.
func (s *Snapshot) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for _, u := range s.users {
			for _, i := range s.rows[u.from:u.to] {
				row := Row{User: u.name, Group: s.groups[i].Name, Share: u.share}
				if u.beside && i == s.multiple {
					row.Share = 0
				}
				if !yield(row) {
					return
				}
			}
		}
	}
}

// Groups returns the exported groups by name, empty ones included, and those
// pseudo-groups that somebody is in.
func (s *Snapshot) Groups() []Group {
	var groups []Group
	for _, g := range s.groups {
		if g.Members > 0 || !g.pseudo {
			groups = append(groups, g.Group)
		}
	}
	return groups
}

// Active counts, by group, the users who were seen in the given time before the
// hub was asked. A group without any is not in it.
func (s *Snapshot) Active(within time.Duration) map[string]int {
	active := map[string]int{}
	since := s.at.Add(-within)
	for _, u := range s.users {
		if u.lastActivity.Before(since) {
			continue
		}
		for _, i := range s.rows[u.from:u.to] {
			active[s.groups[i].Name]++
		}
	}
	return active
}

// Ambiguous names the pseudo-groups in use that the hub also has as real groups:
// the two can't be told apart in what is published.
func (s *Snapshot) Ambiguous() []string { return slices.Clone(s.ambiguous) }
