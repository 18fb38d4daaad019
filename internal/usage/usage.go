// Package usage joins usage from Prometheus with group memberships. It assigns each value to a user, and to the groups
// of that user.
package usage

import (
	"iter"
	"maps"
	"math"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Attribution is how the usage of a user in several groups counts.
type Attribution string

// The values of Attribution.
const (
	Full  Attribution = "full"  // all of it counts in each group
	Share Attribution = "share" // an equal part of it counts in each group
)

// Answer is the usage of a resource as Prometheus returned it, not yet joined with users.
type Answer struct {
	Resource Resource
	// Values maps owners of pods to their usage. An owner is a user's name or a form of it.
	// For HomeDir, the keys are directories.
	Values map[string]float64
	// NotFinite is the number of values that were omitted because they are NaN or infinite.
	NotFinite int
}

// NewAnswer returns an answer with the finite values. It deletes all others from the map.
func NewAnswer(resource Resource, values map[string]float64) *Answer {
	a := &Answer{Resource: resource, Values: values}
	for name, value := range values {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			delete(values, name)
			a.NotFinite++
		}
	}
	return a
}

// Usage is the usage of a resource by the users in a snapshot.
type Usage struct {
	Resource Resource
	snapshot *membership.Snapshot
	byUser   map[string]float64
	// Unknown is the number of values that belong to no user in the snapshot.
	Unknown int
	// NotFinite is the number of users whose values add up to infinity. They have no rows.
	NotFinite int
}

// Namespace returns the namespace of the snapshot.
func (u *Usage) Namespace() string { return u.snapshot.Namespace() }

// Row is the part of a user's usage that counts for a group, in the unit of the resource.
type Row struct {
	User, Group string
	Value       float64
}

// Join assigns the values of an answer to the users in a snapshot.
func Join(a *Answer, snapshot *membership.Snapshot) *Usage {
	u := &Usage{Resource: a.Resource, snapshot: snapshot, byUser: make(map[string]float64, len(a.Values))}
	unknown := maps.Clone(a.Values)
	for _, form := range formsOf(a.Resource) {
		if len(unknown) == 0 {
			break // saves computing the forms of 100,000 names
		}
		for user := range snapshot.Users() {
			name := form(user)
			if value, ok := unknown[name]; ok {
				u.byUser[user] += value
				delete(unknown, name)
			}
		}
	}
	u.Unknown = len(unknown)
	for user, value := range u.byUser {
		if math.IsInf(value, 0) {
			delete(u.byUser, user)
			u.NotFinite++
		}
	}
	return u
}

// formsOf returns functions for the forms of a user's name that may be keys of an answer.
// If a key could mean two users, the earlier function takes precedence, as in the recording
// rules.
func formsOf(resource Resource) []func(string) string {
	if resource == HomeDir {
		return []func(string) string{slug.Safe, slug.Escape}
	}
	unchanged := func(name string) string { return name }
	return []func(string) string{unchanged, slug.Label, slug.Safe, slug.Escape}
}

// Rows yields the usage by user and group. A user with rows for real groups has no row for
// the pseudo-group, which has no share then.
func (u *Usage) Rows(attribution Attribution) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for row := range u.snapshot.Rows() {
			value, ok := u.byUser[row.User]
			if !ok || row.Share == 0 {
				continue
			}
			if attribution == Share {
				value *= row.Share
			}
			if !yield(Row{User: row.User, Group: row.Group, Value: value}) {
				return
			}
		}
	}
}
