//go:build !race

// The race detector drops pooled objects at random, so nothing is counted under it.

package hub_test

import "testing"

// A user costs so many allocations and no more: it has a name and a group, and most of
// them are the JSON decoder's.
func TestAllocationsPerUser(t *testing.T) {
	allocations := func(users int) float64 {
		c := pageOf(people(users)...)
		return testing.AllocsPerRun(10, func() {
			if _, err := c.List(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	if perUser := (allocations(200) - allocations(100)) / 100; perUser > 12 {
		t.Errorf("%v allocations a user", perUser)
	}
}
