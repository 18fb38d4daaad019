// Package history reads the usage in a past period from Prometheus, by pod and by home directory, and joins it with the
// group memberships that were recorded at that time. ReadRecord reads only the memberships. The package logs nothing.
package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// Options configure Read.
type Options struct {
	Client *prometheus.Client
	// Queries has the prefix of the metrics, the matchers that select a cluster, and which pods count. Read doesn't use
	// its Groups, Clusters and MultipleName.
	Queries promql.Queries
	// Namespaces lists the namespaces of the hubs. If it is empty, Read covers all hubs that have memberships or pods.
	Namespaces []string
	// IsServer reports whether a user's pod is a server, by the pod's name. Other pods, such as Dask workers, aren't
	// sessions.
	IsServer func(pod string) bool
	// GroupMap is applied to the memberships of each moment, unless it is nil. Properties of groups aren't recorded, so
	// its lines with properties have no effect.
	GroupMap *groupmap.Map
	// IsExcluded reports whether to leave out a user.
	IsExcluded func(user string) bool
	// None and Multiple are the names of the pseudo-groups in the recorded memberships.
	None, Multiple string
	// Lookback is how long the last memberships stay valid while the exporter isn't scraped.
	Lookback time.Duration
	// Charged is set if the report needs CPUCharged and MemoryCharged.
	Charged bool
	// Memberships maps namespaces to users, and users to their groups. Unless it is nil, it replaces the recorded
	// memberships.
	Memberships map[string]map[string][]string
	// Progress is called after each day, with the number of days read so far and the number of all days.
	Progress func(done, all int)
}

// NoProperties is the note if a group map has lines with properties.
const NoProperties = "Prometheus doesn't record properties of groups, so the lines of the group map with a property have no effect: groups count under the names that were recorded"

// Result is the result of Read.
type Result struct {
	Namespaces []string
	// Uses holds the usage of each period.
	Uses     []*report.Uses
	Coverage []report.Coverage
	// Queries lists the queries at a point of time, sorted and without their times. Selectors of samples aren't among them.
	Queries []string
	// Notes lists what a reader has to know about the numbers, such as missing series.
	Notes []string
}

// NoMemberships is the error if Prometheus has no memberships in the period.
type NoMemberships struct {
	Metric  string
	Periods []report.Period
}

func (e *NoMemberships) Error() string {
	return fmt.Sprintf("Prometheus has no memberships (%s) from %s to %s", e.Metric,
		e.Periods[0].From.Format(time.DateOnly), e.Periods[len(e.Periods)-1].To.Format(time.DateOnly))
}

// Read reads the usage in consecutive periods. Its error is a *remote.Error, a *NoMemberships, a *NoUsernames, a
// *NoSeries, a *prometheus.MixedClusters, one that wraps a *groupmap.Error, or that of the context.
func Read(ctx context.Context, o Options, periods []report.Period) (*Result, error) {
	r := &reader{Options: o, querier: newQuerier(o.Client), coverage: newCoverage()}
	if err := r.prepare(ctx, periods); err != nil {
		return nil, err
	}
	days := 0
	for _, period := range periods {
		days += len(period.Split(report.EveryDay))
	}
	result := &Result{Namespaces: r.Namespaces}
	done := 0
	for _, period := range periods {
		sums := newSums(period, r.missing)
		for _, day := range period.Split(report.EveryDay) {
			if err := r.readDay(ctx, windowOf(day), sums); err != nil {
				return nil, err
			}
			done++
			o.Progress(done, days)
		}
		result.Uses = append(result.Uses, sums.uses())
	}
	result.Coverage = r.coverage.of(periods, r.Lookback)
	result.Queries = r.queries()
	result.Notes = r.notes
	return result, nil
}

func windowOf(p report.Period) window { return window{p.From.UnixMilli(), p.To.UnixMilli()} }

// reader reads one day after another.
type reader struct {
	Options
	*querier
	cluster  promql.Queries               // for all namespaces
	hubs     map[string]*hub              // by namespace
	mappings map[string]*groupmap.Mapping // of the GroupMap, by namespace
	missing  []report.Measure
	unused   []report.Measure // GPUs that no pod requests: they are 0, and needn't be queried
	noPhases bool
	// requesting has the names of the pods that request memory at any time.
	requesting map[string]bool
	notes      []string
	coverage   *coverage
	forms      formsCache
	sessions   map[string]*session // of pods without the label uid, by namespace and pod
}

// prepare finds the namespaces of the hubs and the series that Prometheus lacks, and reads the last memberships before
// the first period.
func (r *reader) prepare(ctx context.Context, periods []report.Period) error {
	whole := window{periods[0].From.UnixMilli(), periods[len(periods)-1].To.UnixMilli()}
	r.sessions, r.forms = map[string]*session{}, formsCache{}
	if err := r.findNamespaces(ctx, whole); err != nil {
		return err
	}
	if len(r.Namespaces) == 0 {
		return &NoMemberships{metrics.Name(r.Queries.Prefix, metrics.UserGroupInfo), periods}
	}
	r.cluster = r.Queries
	r.Queries.Hubs = append(slices.Clone(r.Queries.Hubs), oneOf(metrics.LabelNamespace, r.Namespaces))
	if err := r.findMissing(ctx, whole); err != nil {
		return err
	}
	r.hubs, r.mappings = map[string]*hub{}, map[string]*groupmap.Mapping{}
	if r.GroupMap != nil && len(r.GroupMap.Properties()) > 0 {
		r.notes = append(r.notes, NoProperties)
	}
	for _, namespace := range r.Namespaces {
		h := &hub{
			querier: r.querier, namespace: namespace, queries: inNamespace(r.Queries, namespace), none: r.None, multiple: r.Multiple,
			lookback: r.Lookback, maxSamples: maxSamples, state: map[string][]string{}, seen: map[string]bool{},
		}
		r.hubs[namespace] = h
		if r.GroupMap != nil {
			r.mappings[namespace] = r.GroupMap.For(nil)
		}
		if r.Memberships == nil {
			// The lookback may be shorter than the time between two scrapes.
			before := max(r.Lookback, 2*longestInterval)
			if _, err := h.read(ctx, window{whole.from - before.Milliseconds(), whole.from}); err != nil {
				return err
			}
		}
	}
	return nil
}

// findNamespaces finds the namespaces that have memberships or pods of users.
func (r *reader) findNamespaces(ctx context.Context, whole window) error {
	if len(r.Namespaces) > 0 {
		return nil
	}
	found := map[string]bool{}
	for namespace := range r.Memberships {
		found[namespace] = true
	}
	annotations, labels := r.Queries.PodOwners()
	namespaces, err := r.labelValues(ctx, metrics.LabelNamespace, whole, r.Queries.Memberships(), annotations, labels)
	if err != nil {
		return err
	}
	for _, namespace := range namespaces {
		found[namespace] = true
	}
	r.Namespaces = slices.Sorted(maps.Keys(found))
	return nil
}

// NoUsernames is the error if the recorded memberships have no user names.
type NoUsernames struct{}

func (*NoUsernames) Error() string { return "the recorded memberships have no user names" }

// NoSeries is the error if Prometheus lacks the series that all usage is computed from.
type NoSeries struct{}

func (*NoSeries) Error() string {
	return "Prometheus has no usage in this period: neither " + promql.PodAnnotations + " with users' names nor " + promql.DirectorySize
}
