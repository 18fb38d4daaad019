package prometheus

import (
	"context"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// recent is how far back a lookup of series goes. It is a day, so that series don't count
// as missing after a night without servers.
const recent = 24 * time.Hour

// Found is the result of looking up a kind of series from which usage is computed.
type Found struct {
	promql.Source
	// OK reports whether Prometheus has such series for the hub's namespace.
	OK bool
	// Elsewhere lists the namespaces that have such series, if the hub's namespace doesn't.
	Elsewhere []string
}

// Sources is the result of looking up all series from which usage is computed.
type Sources struct {
	Found []Found
	// Renamed lists the values of the label exported_namespace of pods. Prometheus renames
	// the label namespace if a scrape job lacks honor_labels.
	Renamed []string
	// Clusters lists the values of the label cluster if pods of more than one cluster are in
	// the hub's namespace.
	Clusters []string
}

// Missing returns the kinds of series that Prometheus lacks and that aren't optional.
func (s *Sources) Missing() []Found {
	return slices.DeleteFunc(slices.Clone(s.Found), func(f Found) bool { return f.OK || f.Optional })
}

// Sources looks up which series Prometheus has had in the last day. It only reads the index
// and evaluates no query. Its error is a *remote.Error.
func (u *UsageReader) Sources(ctx context.Context) (*Sources, error) {
	ctx, cancel := context.WithTimeout(ctx, u.Client.timeout) // for all lookups together
	defer cancel()
	now := time.Now()
	since := now.Add(-recent)
	s := &Sources{}
	for _, source := range u.Queries.Sources() {
		namespaces, err := u.Client.LabelValues(ctx, metrics.LabelNamespace, source.Selectors, since, now)
		if err != nil {
			return nil, err
		}
		found := Found{Source: source, OK: slices.Contains(namespaces, u.Namespace)}
		if u.Namespace == "" || source.Anywhere {
			found.OK = len(namespaces) > 0
		} else if !found.OK {
			found.Elsewhere = namespaces
		}
		s.Found = append(s.Found, found)
	}
	annotations, labels := u.Queries.PodOwners()
	var err error
	if s.Renamed, err = u.Client.LabelValues(ctx, "exported_namespace", []string{annotations, labels}, since, now); err != nil {
		return nil, err
	}
	if u.Namespace == "" {
		return s, nil // the user may want all clusters, and different namespaces keep them apart
	}
	annotations, labels = u.ofNamespace().PodOwners()
	if s.Clusters, err = u.Client.LabelValues(ctx, "cluster", []string{annotations, labels}, since, now); err != nil {
		return nil, err
	}
	if len(s.Clusters) < 2 {
		s.Clusters = nil
	}
	return s, nil
}
