//go:build !race

// The race detector drops pooled objects at random, which changes the number of allocations.

package metrics_test

import (
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// The forms of a user's name are computed once for all series of the user, and series themselves
// allocate no memory.
func TestAllocationsPerUser(t *testing.T) {
	allocations := func(s *membership.Snapshot) float64 { return testing.AllocsPerRun(5, func() { fill(s) }) }
	if perUser := (allocations(snapshotOf(4000)) - allocations(snapshotOf(2000))) / 2000; perUser > 5 {
		t.Errorf("%v allocations per user with two series, want only the forms", perUser)
	}
}
