//go:build !race

// The race detector drops pooled objects at random, so nothing is counted under it.

package metrics_test

import (
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// A user's forms are made once, however many series the user has, and a series takes no
// memory: what is allocated is the forms.
func TestAllocationsPerUser(t *testing.T) {
	allocations := func(s *membership.Snapshot) float64 { return testing.AllocsPerRun(5, func() { fill(s) }) }
	if perUser := (allocations(crowd(4000)) - allocations(crowd(2000))) / 2000; perUser > 5 {
		t.Errorf("%v allocations a user with two series", perUser)
	}
}
