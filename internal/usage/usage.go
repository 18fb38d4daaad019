// Package usage asks a Prometheus what the users of a hub use, and joins the
// answer with a Snapshot of their memberships. It publishes nothing and logs
// nothing.
package usage

import (
	"iter"
	"maps"
	"math"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Attribution says how the usage of a user in several groups counts.
type Attribution string

// The values of Attribution.
const (
	Full  Attribution = "full"  // in each group all of it
	Share Attribution = "share" // in each group a part of it, and all of it in all
)

// Answer is what Prometheus tells of a resource, whoever the users of the hub are.
type Answer struct {
	Resource metrics.Resource
	// Values are by owner of pods, which is a user's name or a form of it. Those of
	// HomeDir are by directory.
	Values map[string]float64
	// NotFinite counts the values that were left out because they are no numbers, or
	// infinite.
	NotFinite int
}

// newAnswer returns an answer with the values that are finite.
func newAnswer(resource metrics.Resource, values map[string]float64) *Answer {
	a := &Answer{Resource: resource, Values: values}
	for name, value := range values {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			delete(values, name)
			a.NotFinite++
		}
	}
	return a
}

// Usage is what the users in a snapshot use of a resource.
type Usage struct {
	Resource metrics.Resource
	snapshot *membership.Snapshot
	byUser   map[string]float64
	// Unknown counts what is of no user in the snapshot.
	Unknown int
}

// Join gives the values of an answer to the users in a snapshot.
func Join(a *Answer, snapshot *membership.Snapshot) *Usage {
	u := &Usage{Resource: a.Resource, snapshot: snapshot, byUser: make(map[string]float64, len(a.Values))}
	unknown := maps.Clone(a.Values)
	for _, form := range formsOf(a.Resource) {
		if len(unknown) == 0 {
			break // forms of 100,000 names take a while
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
	return u
}

// formsOf returns the forms of users' names that an answer has, as in the recording
// rules: if two users could be meant, the first of these decides.
func formsOf(resource metrics.Resource) []func(string) string {
	if resource == metrics.HomeDir {
		return []func(string) string{slug.Safe, slug.Escape}
	}
	asIs := func(name string) string { return name }
	return []func(string) string{asIs, slug.Label, slug.Safe, slug.Escape}
}

// Rows yields what counts in which group. The pseudo-group for users in several
// has no row beside the user's real groups, as it has no share.
func (u *Usage) Rows(attribution Attribution) iter.Seq[metrics.UsageRow] {
	return func(yield func(metrics.UsageRow) bool) {
		for row := range u.snapshot.Rows() {
			value, ok := u.byUser[row.User]
			if !ok || row.Share == 0 {
				continue
			}
			if attribution == Share {
				value *= row.Share
			}
			if !yield(metrics.UsageRow{User: row.User, Group: row.Group, Value: value}) {
				return
			}
		}
	}
}
