package homes

import (
	"fmt"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
)

// Verdict says what may be done with a home.
type Verdict string

// The verdicts. If several apply, the first one counts.
const (
	Orphan    Verdict = "orphan"    // no user of the hub can have it
	Ambiguous Verdict = "ambiguous" // several users can have it, or it can't be known
	Double    Verdict = "double"    // its user has another one of the same kind, for the same server
	Stale     Verdict = "stale"     // its user has been inactive for long
	OK        Verdict = "ok"
)

// MatchedBy says how the owner of a home was found.
type MatchedBy string

// How owners are found.
const (
	ByAnnotation MatchedBy = "annotation"
	ByEscape     MatchedBy = "escape"   // the name is that of the scheme "escape" only
	BySafe       MatchedBy = "safe"     // the name is that of the scheme "safe" only
	ByBoth       MatchedBy = "both"     // the name is the same in both schemes
	ByName       MatchedBy = "name"     // it is the name of the user itself
	ByBeginning  MatchedBy = "possible" // the name begins like one of the user's, and has a hash that nobody's name proves
	ByHistory    MatchedBy = "history"  // recorded memberships have the user, and the hub doesn't
)

// Owner is a possible owner of a home: a user of the hub or, for an orphan, a former user.
type Owner struct {
	User      string
	MatchedBy MatchedBy
	// LastSeen is when a former user was last recorded. It is the zero time if that isn't known.
	LastSeen time.Time

	server string
	known  bool // the hub has the user
}

// Row is a home with its verdict.
type Row struct {
	Home
	// Owners has the users who can own the home. If there are several, the verdict is Ambiguous. The owners of an Orphan are
	// former users: the one in the annotation, or those that AddFormer found.
	Owners []Owner
	// User is the only owner, if the hub has it, and nil otherwise.
	User    *membership.User
	Verdict Verdict
}

// Hub is what is known of a hub.
type Hub struct {
	Users []membership.User
	// Servers are the named servers of users, also those that are stopped, by the user's name. It is nil if the token may not
	// read them. Then fewer names of claims prove their owner.
	Servers map[string][]string
	// HasCreated reports whether the time of creation of users is known.
	HasCreated bool
	Templates  owner.Templates
}

// CreationUnknown is the error if a user was never active and the token may not read when the user was created.
type CreationUnknown struct{ User string }

func (e *CreationUnknown) Error() string {
	return fmt.Sprintf("the user %q was never active, and the hub token can't read when users were created", e.User)
}

// NoOwners is the error if no home in a list belongs to a user of the hub.
type NoOwners struct{ Homes int }

func (e *NoOwners) Error() string {
	return fmt.Sprintf("none of the %d homes belongs to a user of the hub", e.Homes)
}

// minHomes is the number of homes from which on it is an error if none has an owner. They probably belong to another hub,
// or their names come from another template.
const minHomes = 10

// judge finds the owners of homes and decides on verdicts.
type judge struct {
	hub   Hub
	since time.Time // users without activity since then are inactive
	users map[string]*membership.User
	index *owner.Index
	homes map[slot]int // the number of homes that can be that of a slot
}

// slot is what a user has one home for.
type slot struct {
	kind         Kind
	user, server string
}

// Judge returns a verdict for each home. A home is stale if its user has had no server and no activity since a time, or
// was never active and was created before it. If that time is zero, no home is stale.
func Judge(list []Home, hub Hub, inactiveSince time.Time) ([]Row, error) {
	j := newJudge(hub, inactiveSince)
	rows := make([]Row, len(list))
	for i, h := range list {
		rows[i] = Row{Home: h, Owners: j.owners(h)}
		for _, o := range rows[i].Owners {
			if o.MatchedBy != ByBeginning { // else it is of a server whose name isn't known, and so of no known slot
				j.homes[slot{h.Kind, o.User, o.server}]++
			}
		}
	}
	for i := range rows {
		if err := j.decide(&rows[i]); err != nil {
			return nil, err
		}
	}
	if len(rows) >= minHomes && !slices.ContainsFunc(rows, func(r Row) bool { return r.Verdict != Orphan }) {
		return nil, &NoOwners{len(rows)}
	}
	return rows, nil
}

func newJudge(hub Hub, since time.Time) *judge {
	j := &judge{hub: hub, since: since, users: make(map[string]*membership.User, len(hub.Users)), homes: map[slot]int{}}
	users := make([]owner.User, len(hub.Users))
	for i := range hub.Users {
		j.users[hub.Users[i].Name] = &hub.Users[i]
		users[i] = owner.User{Name: hub.Users[i].Name, Servers: hub.Servers[hub.Users[i].Name]}
	}
	j.index = owner.NewIndex(users, hub.Templates)
	return j
}

// decide sets the verdict of a row with owners.
func (j *judge) decide(r *Row) error {
	switch {
	case !slices.ContainsFunc(r.Owners, func(o Owner) bool { return o.known }):
		r.Verdict = Orphan
		return nil
	case len(r.Owners) > 1 || r.Owners[0].MatchedBy == ByBeginning:
		r.Verdict = Ambiguous
		return nil
	}
	var err error
	r.User = j.users[r.Owners[0].User]
	if r.Verdict, err = j.ofOwner(r.Kind, r.Owners[0]); err != nil || r.Verdict == OK {
		return err
	}
	if others := j.others(r.Home); len(others) > 0 { // it must not be deleted, even if the owner doesn't need it
		r.Owners, r.User, r.Verdict = append(r.Owners, others...), nil, Ambiguous
	}
	return nil
}

// ofOwner returns the verdict for a home of a single user, whom the hub has: Double, Stale or OK.
func (j *judge) ofOwner(kind Kind, o Owner) (Verdict, error) {
	if j.homes[slot{kind, o.User, o.server}] > 1 {
		return Double, nil
	}
	isStale, err := j.isStale(j.users[o.User])
	if err != nil || !isStale {
		return OK, err
	}
	return Stale, nil
}

// isStale reports whether a user has been inactive for too long.
func (j *judge) isStale(u *membership.User) (bool, error) {
	last := u.LastActivity
	switch {
	case j.since.IsZero() || u.ActiveServers > 0:
		return false, nil
	case last.IsZero() && !j.hub.HasCreated:
		return false, &CreationUnknown{u.Name}
	case last.IsZero():
		last = u.Created
	}
	return !last.IsZero() && last.Before(j.since), nil
}

// owners returns the users who can have a home. A user whom the hub doesn't have is among them only if an annotation
// names that user.
func (j *judge) owners(h Home) []Owner {
	byName := j.byName(h)
	if h.User == "" {
		return byName
	}
	annotated := Owner{User: h.User, MatchedBy: ByAnnotation, server: h.Server, known: j.users[h.User] != nil}
	if h.Server == "" { // Prometheus may lack that annotation
		for _, o := range byName {
			if o.User == h.User {
				annotated.server = o.server
			}
		}
	}
	owners := []Owner{annotated}
	if !annotated.known {
		owners = append(owners, j.others(h)...)
	}
	return owners
}

// others returns the users of the hub whose servers may mount a claim, other than the user in its annotation. kubespawner
// finds a claim by its name, and doesn't read the annotation.
func (j *judge) others(h Home) []Owner {
	if h.User == "" {
		return nil
	}
	return slices.DeleteFunc(j.byName(h), func(o Owner) bool { return o.User == h.User || o.MatchedBy == ByBeginning })
}

// byName returns the users of the hub who can have a home by its name, sorted.
func (j *judge) byName(h Home) []Owner {
	var owners []Owner
	for _, m := range find(j.index, h) {
		owners = add(owners, Owner{User: m.User, MatchedBy: matchedBy(m, h.Name), server: m.Server, known: true})
	}
	if len(owners) == 0 {
		for _, user := range j.index.Possible(h.Path, kindOf(h)) {
			owners = add(owners, Owner{User: user, MatchedBy: ByBeginning, known: true})
		}
	}
	return owners
}

// find returns the users of an index who can have a home by its name.
func find(index *owner.Index, h Home) []owner.Match { return index.FindAll(h.Path, kindOf(h)) }

func kindOf(h Home) owner.Kind {
	if h.Kind == Claim {
		return owner.KindClaim
	}
	return owner.KindDirectory
}

// add adds an owner, unless the same user is among them.
func add(owners []Owner, o Owner) []Owner {
	if slices.ContainsFunc(owners, func(other Owner) bool { return other.User == o.User }) {
		return owners
	}
	return append(owners, o)
}

func matchedBy(m owner.Match, name string) MatchedBy {
	switch {
	case m.Scheme == owner.Escape:
		return ByEscape
	case m.Scheme == owner.Safe:
		return BySafe
	case m.User == name:
		return ByName
	default:
		return ByBoth
	}
}
