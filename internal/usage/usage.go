// Package usage asks a Prometheus what the users of a hub use, and joins the
// answer with a Snapshot of their memberships. It publishes nothing and logs
// nothing.
package usage

import (
	"iter"
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
	// Values are by user's name, and those of HomeDir by directory.
	Values map[string]float64
	// NotFinite counts the values that were left out because they are no numbers, or
	// infinite.
	NotFinite int
}

func newAnswer(resource metrics.Resource) *Answer {
	return &Answer{Resource: resource, Values: map[string]float64{}}
}

func (a *Answer) add(name string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		a.NotFinite++
		return
	}
	a.Values[name] += value
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
	if a.Resource == metrics.HomeDir {
		for directory, user := range owners(a.Values, snapshot) {
			u.byUser[user] += a.Values[directory]
			u.Unknown--
		}
	} else {
		for user := range snapshot.Users() {
			if value, ok := a.Values[user]; ok {
				u.byUser[user] = value
				u.Unknown--
			}
		}
	}
	u.Unknown += len(a.Values)
	return u
}

// owners tells whose the directories are. They are named by the safe form of a
// user's name or by its escaped form. Where both can be, as in the recording rule,
// the directory is that of the user whose safe form it is.
func owners(directories map[string]float64, snapshot *membership.Snapshot) map[string]string {
	found := make(map[string]string, len(directories))
	for _, form := range []func(string) string{slug.Safe, slug.Escape} {
		for user := range snapshot.Users() {
			directory := form(user)
			if _, ok := directories[directory]; !ok {
				continue
			}
			if _, taken := found[directory]; !taken {
				found[directory] = user
			}
		}
	}
	return found
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
