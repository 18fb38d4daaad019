package membership

import "slices"

// Update makes the next listing of a hub from the last one, of what is told since:
// for each group its members or that they are the same, and the users who are new.
// Groups that aren't named are gone. The last listing stays as it is.
type Update struct {
	last, next *Listing
	kept       []bool            // by the last listing's groups
	users      map[string]Member // nil until somebody is looked up
	joined     []joined
	told       bool // something is new
}

type joined struct {
	user  Member // among next's users
	group uint32 // among next's groups
}

// Update starts one.
func (l *Listing) Update() *Update {
	l.sort()
	next := *l
	// Of the groups none, and of the users all, in none.
	next.users, next.members, next.groups, next.index = slices.Clone(l.users), nil, nil, nil
	next.shared, next.names = false, 0
	for i := range next.users {
		u := &next.users[i]
		u.from, u.to = 0, 0
		next.names += len(u.name)
	}
	return &Update{last: l, next: &next, kept: make([]bool, len(l.groups))}
}

// AddUser adds a user who is new, in the user's groups.
func (u *Update) AddUser(added User) {
	u.told = true
	for _, group := range added.Groups {
		u.joined = append(u.joined, joined{Member(len(u.next.users)), u.next.group(group)})
	}
	added.Groups = nil
	u.next.Add(added)
}

// Member is a user of the last listing.
type Member uint32

// Find gives the users of the last listing who have these names, and those names that none
// of them has.
func (u *Update) Find(names []string) (found []Member, unknown []string) {
	if u.users == nil {
		u.users = make(map[string]Member, len(u.last.users))
		for i, user := range u.last.users {
			u.users[user.name] = Member(i)
		}
	}
	found = make([]Member, 0, len(names))
	for _, name := range names {
		if member, known := u.users[name]; known {
			found = append(found, member)
		} else {
			unknown = append(unknown, name)
		}
	}
	return found, unknown
}

// SetMembers tells those members of a group who were in the last listing.
func (u *Update) SetMembers(group string, members []Member) {
	u.told = true
	g := u.next.group(group)
	for _, member := range members {
		u.joined = append(u.joined, joined{member, g})
	}
}

// KeepMembers tells that a group has the members that it had.
func (u *Update) KeepMembers(group string) {
	if i, found := slices.BinarySearch(u.last.groups, group); found {
		u.kept[i] = true
	}
}

// Size is how much memory the next listing takes, in bytes and about.
func (u *Update) Size() int { return u.next.Size() + 8*len(u.joined) }

// Listing returns the next listing: the last one itself where nothing is new.
func (u *Update) Listing() *Listing {
	if !u.told && !slices.Contains(u.kept, false) {
		return u.last
	}
	next := u.next
	moved := make([]uint32, len(u.kept)) // from the last listing's groups to the next one's
	for i, name := range u.last.groups {
		if u.kept[i] {
			moved[i] = next.group(name)
		}
	}
	for i := range u.last.users {
		for _, group := range u.last.members[u.last.users[i].from:u.last.users[i].to] {
			if u.kept[group] {
				u.joined = append(u.joined, joined{Member(i), moved[group]})
			}
		}
	}
	// Each user's groups side by side: first how many, then where, then which.
	for _, j := range u.joined {
		next.users[j.user].to++
	}
	var end uint32
	for i := range next.users {
		user := &next.users[i]
		user.from, end = end, end+user.to
		user.to = user.from
	}
	next.members = make([]uint32, end)
	for _, j := range u.joined {
		user := &next.users[j.user]
		next.members[user.to] = j.group
		user.to++
	}
	next.sorted = false
	return next
}
