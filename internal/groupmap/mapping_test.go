package groupmap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// hub returns a listing of users in groups, and every fourth user in none.
func hub(users, groups int) *membership.Listing {
	l := &membership.Listing{At: time.Unix(0, 0)}
	for i := range users {
		u := membership.User{Name: fmt.Sprintf("user%06d@dept%d.uni.example", i, i%200)}
		if n := i % groups; i%4 > 0 {
			u.Groups = []string{fmt.Sprintf("course::%d::role%d", n, n%30), fmt.Sprintf("group-%d-lab%d", n/2, n/2)}
		}
		l.Add(u)
	}
	return l
}

// Each group is mapped once, whatever the number of its members.
func TestEachGroupIsMappedOnce(t *testing.T) {
	m := parse(t, `groups: [{match: 'course::(\d+)::.*', name: 'course $1'}, {match: 'group-(.*)', name: $1}]`)
	allocations := func(users int) float64 {
		const runs = 5
		listings := make([]*membership.Listing, runs+1)
		for i := range listings {
			listings[i] = hub(users, 100)
		}
		return testing.AllocsPerRun(runs, func() {
			if err := m.For(nil).Apply(listings[0]); err != nil {
				t.Fatal(err)
			}
			listings = listings[1:]
		})
	}
	few, many := allocations(500), allocations(20_000)
	if many > few+10 {
		t.Errorf("mapping 100 groups takes %v allocations with 500 users and %v with 20,000, want as many", few, many)
	}
}

// benchmarkMap returns a map with 200 patterns of the kinds that operators need, half of them for users.
func benchmarkMap(t testing.TB) *groupmap.Map {
	t.Helper()
	var text strings.Builder
	text.WriteString("groups:\n")
	for i := range 25 {
		fmt.Fprintf(&text, "- {match: 'course::(\\d+)::role%d', name: 'course $1'}\n", i)
		fmt.Fprintf(&text, "- {match: '/?dept%d/.*', name: 'department %d'}\n", i, i)
		fmt.Fprintf(&text, "- {match: 'query-%d-.*|manage-%d-.*', drop: true}\n", i, i)
		fmt.Fprintf(&text, "- {match: '.*-lab%d', name: 'lab %d'}\n", i, i)
	}
	text.WriteString("users:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "- {match: '.*@dept%d\\.uni\\.example', group: 'department %d'}\n", i, i)
	}
	return parse(t, text.String())
}

// BenchmarkApply maps 15,000 groups of 100,000 users, a quarter of whom are in no group, with 100 patterns for groups and
// 100 for users. It takes a sixth of the time of BenchmarkRefresh in package exporter, which has no network.
func BenchmarkApply(b *testing.B) {
	m := benchmarkMap(b)
	for b.Loop() {
		b.StopTimer()
		l := hub(100_000, 10_000)
		b.StartTimer()
		if err := m.For(nil).Apply(l); err != nil {
			b.Fatal(err)
		}
	}
}
