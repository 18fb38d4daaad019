package membership

import (
	"cmp"
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

// Listing is all that a hub told at one moment. It is filled user by user and
// holds them closely: a hub of 100,000 users repeats the names of few groups.
type Listing struct {
	// At is when the hub was asked.
	At time.Time
	// HasActivity and HasServers tell whether every user came with its last
	// activity and its servers, or the token may not read them.
	HasActivity, HasServers bool

	users []user
	// members are the users' groups: those of a user are members[from:to],
	// indices into groups.
	members []uint32
	groups  []string
	index   map[string]uint32
	names   int // the length of all names
}

type user struct {
	name           string
	from, to       uint32
	lastActivity   int64 // in Unix seconds, 0 for never
	runningServers int32
}

// NewListing returns a listing with these users.
func NewListing(at time.Time, users ...User) *Listing {
	l := &Listing{At: at}
	for _, u := range users {
		l.Add(u)
	}
	return l
}

// Size returns the approximate memory of the listing, in bytes.
func (l *Listing) Size() int {
	const user, member = 48, 4
	return l.names + user*len(l.users) + member*len(l.members) + GroupSize("")*len(l.groups)
}

// GroupSize returns the approximate memory of a group in a listing, in bytes.
func GroupSize(name string) int { return 80 + len(name) }

// Add adds a user, and the user's groups. Nothing of it is kept but strings. Of users with the same name
// the first one counts.
func (l *Listing) Add(u User) {
	from := uint32(len(l.members))
	for _, name := range u.Groups {
		l.members = append(l.members, l.group(name))
	}
	added := user{name: u.Name, from: from, to: uint32(len(l.members)), runningServers: int32(u.RunningServers)}
	if !u.LastActivity.IsZero() {
		added.lastActivity = u.LastActivity.Unix()
	}
	l.names += len(u.Name)
	l.users = append(l.users, added)
}

// AddGroups adds groups that may have no member.
func (l *Listing) AddGroups(names ...string) {
	for _, name := range names {
		l.group(name)
	}
}

func (l *Listing) group(name string) uint32 {
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

// sort brings users, groups and each user's groups into order, each once.
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
	// Of users with the same name who was added first comes first, by their groups: a
	// stable sort takes twice as long.
	slices.SortFunc(l.users, func(a, b user) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	l.users = slices.CompactFunc(l.users, func(a, b user) bool { return a.name == b.name })
}
