package metrics_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// snapshotOf returns a snapshot with the given number of users, each in two groups.
func snapshotOf(users int) *membership.Snapshot {
	l := membership.NewListing(time.Time{})
	for i := range users {
		l.Add(membership.User{Name: fmt.Sprintf("user.%d@university.example", i), Groups: []string{fmt.Sprintf("course-%d", i%40), "everybody"}})
	}
	return membership.New("hub", l, membership.Rules{})
}

// fill generates all families and returns the number of series.
func fill(s *membership.Snapshot) int {
	series := 0
	for family := range metrics.Families(metrics.Options{}, s) {
		series += len(family.Metric)
	}
	return series
}

func BenchmarkFamilies(b *testing.B) {
	s := snapshotOf(20_000)
	b.ReportAllocs()
	for b.Loop() {
		fill(s)
	}
}

// BenchmarkGather measures gathering the exporter's own metrics, without encoding them.
func BenchmarkGather(b *testing.B) {
	self := metrics.NewSelf()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := self.Registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
