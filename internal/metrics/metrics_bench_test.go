package metrics_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// crowd is a hub with so many users, each in two groups.
func crowd(users int) *membership.Snapshot {
	l := membership.NewListing(time.Time{})
	for i := range users {
		l.Add(membership.User{Name: fmt.Sprintf("user.%d@university.example", i), Groups: []string{fmt.Sprintf("course-%d", i%40), "everybody"}})
	}
	return membership.New("hub", l, membership.Rules{})
}

// fill makes all families, and counts their series.
func fill(s *membership.Snapshot) int {
	series := 0
	for family := range metrics.Families(metrics.Options{}, s) {
		series += len(family.Metric)
	}
	return series
}

func BenchmarkFamilies(b *testing.B) {
	s := crowd(20_000)
	b.ReportAllocs()
	for b.Loop() {
		fill(s)
	}
}

// BenchmarkGather is what a tail behind the page takes, before it is encoded.
func BenchmarkGather(b *testing.B) {
	self := metrics.NewSelf()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := self.Registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
