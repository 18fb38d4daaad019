package exporter

import (
	"time"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// State holds everything that the exporter serves. It is replaced as a whole, so its parts are always consistent.
type State struct {
	// Page holds the hub's metrics, and then the exporter's own metrics.
	Page *exposition.Page
	// Status is shown on the landing page, and determines the response of /-/ready.
	Status Status

	hub  []*exposition.Sheet // the hub's metrics
	self *exposition.Sheet   // the exporter's own metrics
}

// Status describes the hub and the last refresh. It contains no user name.
type Status struct {
	Version string
	// Hub is the address of the hub's API, and Namespace is the value of the label namespace.
	Hub, Namespace string
	// Refreshed is the time of the last successful refresh, and Next that of the next refresh. Zero if there is none.
	Refreshed, Next time.Time
	// Error is the error of the last refresh, or empty if it succeeded.
	Error string
	// Published reports whether memberships are published. If so, Users is the number of users, and Groups lists the
	// groups.
	Published bool
	Users     int
	Groups    []GroupStatus
}

// GroupStatus is a group and its number of members.
type GroupStatus struct {
	Name    string
	Members int
}

// Summary describes the state in a few words.
func (s Status) Summary() string {
	switch {
	case s.Refreshed.IsZero() && s.Error == "":
		return "waiting for the first answer of the hub"
	case s.Refreshed.IsZero():
		return "the hub has not answered yet"
	case !s.Published:
		return "the hub is failing, and its last answer is too old to be published"
	case s.Error != "":
		return "the hub is failing; its last answer is still published"
	default:
		return "up to date"
	}
}
