package membership

import (
	"cmp"
	"slices"
	"time"
)

// User is a user as a hub lists it. The order of Groups doesn't matter.
type User struct {
	Name   string
	Groups []string
	// LastActivity is the zero time for a user who was never active.
	LastActivity time.Time
	// Created is the zero time if it isn't known.
	Created time.Time
	// RunningServers counts the servers that are ready, and not those that are starting.
	RunningServers int
	// ActiveServers counts the servers that aren't stopped: those that are ready, start or stop.
	ActiveServers int
}

// Listing is everything that a hub listed at one time. It is filled user by user, and compact: the users of a hub
// share the names of few groups.
type Listing struct {
	At time.Time // when the listing began
	// HasActivity, HasServers and HasCreated report whether the token may read the last activity, the servers and the time
	// of creation of all users.
	HasActivity, HasServers, HasCreated bool

	users   []user
	members []uint32 // the groups of a user are members[from:to], which are indices of groups
	groups  []string
	index   map[string]uint32 // of groups
	names   int               // the length of all names
	unnamed bool              // whether the hub has a group without a name
}

type user struct {
	name           string
	from, to       uint32
	lastActivity   int64 // in Unix seconds, 0 for never
	created        int64 // in Unix seconds, 0 if unknown
	runningServers int32
	activeServers  int32
}

// NewListing returns a listing of users.
func NewListing(at time.Time, users ...User) *Listing {
	l := &Listing{At: at}
	for _, u := range users {
		l.Add(u)
	}
	return l
}

// Size returns the approximate memory of the listing, in bytes.
func (l *Listing) Size() int {
	const user, member = 56, 4
	return l.names + user*len(l.users) + member*len(l.members) + GroupSize("")*len(l.groups)
}

// GroupSize returns the approximate memory of a group in a listing, in bytes.
func GroupSize(name string) int { return 80 + len(name) }

// Add adds a user and the user's groups. If several users have the same name, the first one counts.
func (l *Listing) Add(u User) {
	from := uint32(len(l.members))
	for _, name := range u.Groups {
		l.members = append(l.members, l.group(name))
	}
	added := user{
		name: u.Name, from: from, to: uint32(len(l.members)), lastActivity: seconds(u.LastActivity), created: seconds(u.Created),
		runningServers: int32(u.RunningServers), activeServers: int32(u.ActiveServers),
	}
	l.names += len(u.Name)
	l.users = append(l.users, added)
}

// seconds returns a time in Unix seconds, and 0 for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// fromSeconds is the inverse of seconds.
func fromSeconds(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// AddGroups adds groups, which may have no members.
func (l *Listing) AddGroups(names ...string) {
	for _, name := range names {
		l.group(name)
	}
}

// Groups returns the names of all groups so far. The caller must not change them.
func (l *Listing) Groups() []string { return l.groups }

func (l *Listing) group(name string) uint32 {
	if name == "" {
		name, l.unnamed = EmptyName, true
	}
	i, ok := l.index[name]
	if !ok {
		if l.index == nil {
			l.index = map[string]uint32{}
		}
		i = uint32(len(l.groups))
		l.index[name], l.groups = i, append(l.groups, name)
		l.names += len(name)
	}
	return i
}

// Replacement says what the groups and users of a listing count as.
type Replacement struct {
	// Group returns the group that a group counts as, or false to drop it. It is called once for each group.
	Group func(name string) (string, bool)
	// Alone returns the group for a user without groups, or false if the user stays without one.
	Alone func(user string) (string, bool)
	// Leave reports whether to leave out a user.
	Leave func(user string) bool
}

// Replace replaces the groups of the listing and of its users. Groups that count as the same group become one.
func (l *Listing) Replace(r Replacement) {
	old := *l
	l.users, l.members, l.groups, l.index = l.users[:0], make([]uint32, 0, len(old.members)), nil, nil
	const dropped = ^uint32(0)
	moved := make([]uint32, len(old.groups)) // from the old index to the new
	for i, name := range old.groups {
		moved[i] = dropped
		if to, ok := r.Group(name); ok {
			moved[i] = l.group(to)
			l.unnamed = l.unnamed && (name != EmptyName || to == EmptyName)
		} else if name == EmptyName {
			l.unnamed = false
		}
	}
	for _, u := range old.users {
		if r.Leave(u.name) {
			continue
		}
		from := uint32(len(l.members))
		for _, group := range old.members[u.from:u.to] {
			if moved[group] != dropped {
				l.members = append(l.members, moved[group])
			}
		}
		if uint32(len(l.members)) == from {
			if name, ok := r.Alone(u.name); ok {
				l.members = append(l.members, l.group(name))
			}
		}
		u.from, u.to = from, uint32(len(l.members))
		l.users = append(l.users, u)
	}
}

// sort sorts users, groups and each user's groups, and removes duplicates.
func (l *Listing) sort() {
	slices.Sort(l.groups)
	moved := make([]uint32, len(l.groups)) // from the old index to the new
	for to, name := range l.groups {
		moved[l.index[name]] = uint32(to)
		l.index[name] = uint32(to)
	}
	for i, group := range l.members {
		l.members[i] = moved[group]
	}
	for i, u := range l.users {
		mine := l.members[u.from:u.to]
		slices.Sort(mine)
		l.users[i].to = u.from + uint32(len(slices.Compact(mine)))
	}
	// Of users with the same name, the first one has the lower indices. A stable sort takes twice as long.
	slices.SortFunc(l.users, func(a, b user) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	l.users = slices.CompactFunc(l.users, func(a, b user) bool { return a.name == b.name })
}
