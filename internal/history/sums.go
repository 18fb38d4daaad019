package history

import (
	"maps"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// sums adds up the usage in a period.
type sums struct {
	result *report.Uses
	byKey  map[sumKey]*sum
}

type sumKey struct {
	namespace, user string
	kind            report.Kind
	groups          string
}

type sum struct {
	use      *report.Use
	sessions map[string]bool
}

func newSums(period report.Period, missing []report.Measure) *sums {
	return &sums{&report.Uses{Period: period, Missing: missing, HomeHours: map[string]float64{}}, map[sumKey]*sum{}}
}

// of returns the sum for a user while the user was in some groups.
func (s *sums) of(namespace, user string, kind report.Kind, groups []string) *sum {
	key := sumKey{namespace, user, kind, strings.Join(groups, "\x00")}
	found := s.byKey[key]
	if found == nil {
		found = &sum{&report.Use{Namespace: namespace, User: user, Kind: kind, Groups: groups}, map[string]bool{}}
		s.byKey[key] = found
	}
	return found
}

// uses returns what was used in the period.
func (s *sums) uses() *report.Uses {
	for _, one := range s.byKey {
		one.use.Sessions = slices.Sorted(maps.Keys(one.sessions))
		s.result.Uses = append(s.result.Uses, one.use)
	}
	return s.result
}
