package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// RecordOptions configure ReadRecord.
type RecordOptions struct {
	Client *prometheus.Client
	// Queries has the prefix of the metrics, and the matchers that select a cluster. ReadRecord uses nothing else of it.
	Queries promql.Queries
	// Namespace is the namespace of the hub. If it is empty, Prometheus must have the memberships of one hub only.
	Namespace string
	// None and Multiple are the names of the pseudo-groups in the recorded memberships.
	None, Multiple string
}

// Record holds the memberships of a hub that Prometheus recorded at a time.
type Record struct {
	Namespace string
	// Users maps users to their groups, which are sorted. A user in no group has none. If the exporter published users
	// in several groups only in the pseudo-group Multiple, that is such a user's only group.
	Users map[string][]string
	// Partial is set if the exporter's token covered only a part of the hub.
	Partial bool
}

// ReadRecord reads the memberships of a hub that were valid at a time: those of the last scrape before it. If that
// scrape is more than two scrape intervals old, the memberships aren't known. The error is a *remote.Error, a
// *NotRecorded, a *NoUsernames, a *SeveralHubs, a *prometheus.MixedClusters, or that of the context.
func ReadRecord(ctx context.Context, o RecordOptions, at time.Time) (*Record, error) {
	q, queries := newQuerier(o.Client), o.Queries
	if o.Namespace != "" {
		queries = inNamespace(queries, o.Namespace)
	}
	end := at.UnixMilli() + 1 // the end of a window is exclusive
	found, err := q.measureNear(ctx, queries.Memberships(), end)
	if err != nil {
		return nil, err
	}
	namespaces := slices.Sorted(maps.Keys(found))
	switch len(namespaces) {
	case 0:
		if err := q.checkNamed(ctx, queries, end); err != nil {
			return nil, err
		}
		return nil, q.notRecorded(ctx, o.Namespace, queries, at)
	case 1:
	default:
		return nil, &SeveralHubs{namespaces}
	}
	queries = inNamespace(o.Queries, namespaces[0])
	h := &hub{querier: q, namespace: namespaces[0], queries: queries, none: o.None, multiple: o.Multiple, maxSamples: maxSamples, state: map[string][]string{}}
	w := window{end - 2*found[h.namespace].interval.Milliseconds(), end}
	c, err := h.count(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := h.checkClusters(ctx, w); err != nil {
		return nil, err
	}
	scraped, err := h.readState(ctx, c, w, found[h.namespace].interval)
	if err != nil {
		return nil, err
	}
	if !scraped {
		return nil, q.notRecorded(ctx, h.namespace, queries, at)
	}
	record := &Record{Namespace: h.namespace, Users: h.state}
	return record, h.completeRecord(ctx, record, w)
}

// inNamespace returns the queries for the hub in a namespace.
func inNamespace(q promql.Queries, namespace string) promql.Queries {
	q.Hubs = append(slices.Clone(q.Hubs), promql.Is(metrics.LabelNamespace, namespace))
	return q
}

// measureNear returns how often series have samples near a time, by namespace. It looks at the two hours before it or,
// unless there are samples throughout, at a day before and after it: a few samples don't show the usual interval.
func (q *querier) measureNear(ctx context.Context, selector string, end int64) (map[string]*sampling, error) {
	w := window{end - 2*time.Hour.Milliseconds(), end}
	found, err := q.measure(ctx, selector, w)
	if err != nil {
		return nil, err
	}
	isIncomplete := func(s *sampling) bool { return !s.isComplete(w) }
	if len(found) == 0 || slices.ContainsFunc(slices.Collect(maps.Values(found)), isIncomplete) {
		if found, err = q.measure(ctx, selector, around(end, wholeDay)); err != nil {
			return nil, err
		}
	}
	for _, s := range found {
		s.interval = cmp.Or(s.interval, time.Minute) // there is a single sample
	}
	return found, nil
}

const wholeDay = 24 * time.Hour

func around(end int64, distance time.Duration) window {
	return window{end - distance.Milliseconds(), end + distance.Milliseconds()}
}

// readState reads the memberships at the last scrape in a window. It returns false if there was no scrape.
func (h *hub) readState(ctx context.Context, c *counts, w window, interval time.Duration) (scraped bool, err error) {
	segments, err := h.segments(ctx, c, w, interval)
	set := func(user string, groups []string, _ int64) {
		delete(h.state, user)
		if groups != nil {
			h.state[user] = groups
		}
	}
	for _, s := range segments {
		h.apply(s, set, interval)
		scraped = scraped || len(s.times()) > 0
	}
	return scraped, err
}

// completeRecord checks that a record has the names of users, and sets Partial.
func (h *hub) completeRecord(ctx context.Context, record *Record, w window) error {
	delete(record.Users, "")
	if len(record.Users) == 0 {
		return &NoUsernames{}
	}
	partial, err := h.raw(ctx, h.queries.OfHubs(metrics.HubPartial), w)
	record.Partial = slices.ContainsFunc(partial, func(one *model.SampleStream) bool {
		return slices.ContainsFunc(one.Values, func(value model.SamplePair) bool { return value.Value > 0 })
	})
	return err
}

// checkClusters returns a *prometheus.MixedClusters if the memberships in a window are from several clusters.
func (h *hub) checkClusters(ctx context.Context, w window) error {
	found, err := samples(h.at(ctx, "group by (cluster) (present_over_time("+h.queries.Memberships()+w.brackets()+"))", w))
	var clusters []string
	for _, one := range found {
		if cluster := string(one.Metric["cluster"]); cluster != "" {
			clusters = append(clusters, cluster)
		}
	}
	if len(clusters) > 1 {
		slices.Sort(clusters)
		return &prometheus.MixedClusters{Clusters: clusters}
	}
	return err
}

// checkNamed returns a *NoUsernames if there are numbers of members around a time, but no memberships.
func (q *querier) checkNamed(ctx context.Context, queries promql.Queries, end int64) error {
	w := around(end, wholeDay)
	counted, err := q.labelValues(ctx, metrics.LabelNamespace, w, queries.OfHubs(metrics.Name(queries.Prefix, metrics.GroupMembers)))
	if err != nil || len(counted) == 0 {
		return err
	}
	named, err := q.labelValues(ctx, metrics.LabelNamespace, w, queries.Memberships())
	if err == nil && len(named) == 0 {
		return &NoUsernames{}
	}
	return err
}

// notRecorded returns a *NotRecorded with the times of the nearest samples, or another error.
func (q *querier) notRecorded(ctx context.Context, namespace string, queries promql.Queries, at time.Time) error {
	unknown := &NotRecorded{Metric: nameOf(queries.Memberships()), Namespace: namespace, At: at}
	for _, side := range []struct {
		sign  int64
		found *time.Time
	}{{-1, &unknown.Before}, {1, &unknown.After}} {
		when, err := q.nearest(ctx, queries.Memberships(), at.UnixMilli()+1, side.sign)
		if failed, ok := errors.AsType[*remote.Error](err); err != nil && (!ok || !isTooLarge(failed)) {
			return err
		}
		if when != 0 {
			// Up to the next second, so that a query at this time finds the sample.
			*side.found = time.UnixMilli(when + 999).Truncate(time.Second).In(at.Location())
		}
	}
	return unknown
}

// farthest is how far from a time its nearest samples are looked for: about two years.
const farthest = 1 << 14 * time.Hour

// nearest returns a time less than a second after the last sample before a time, if sign is -1, or after the first one
// since, if sign is 1. It returns 0 if there is none. It looks at longer and longer windows, because a query for two years
// is expensive.
func (q *querier) nearest(ctx context.Context, selector string, from, sign int64) (int64, error) {
	for near, far := time.Duration(0), time.Hour; far <= farthest; near, far = far, 4*far {
		a, b := from+sign*near.Milliseconds(), from+sign*far.Milliseconds()
		if when, err := q.outermost(ctx, selector, window{min(a, b), max(a, b)}, sign); err != nil || when != 0 {
			return when, err
		}
	}
	return 0, nil
}

// outermost is like nearest, for the last or the first sample in a window.
func (q *querier) outermost(ctx context.Context, selector string, w window, sign int64) (int64, error) {
	found, err := q.vector(ctx, "group(present_over_time("+selector+w.brackets()+"))", w)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	if w.length() <= time.Second {
		return w.to - 1, nil
	}
	middle := (w.from + w.to) / 2
	nearer, other := window{w.from, middle}, window{middle, w.to}
	if sign < 0 {
		nearer, other = other, nearer
	}
	if when, err := q.outermost(ctx, selector, nearer, sign); err != nil || when != 0 {
		return when, err
	}
	return q.outermost(ctx, selector, other, sign)
}

// NotRecorded is the error if Prometheus has no memberships of a hub at a time.
type NotRecorded struct {
	Metric string
	// Namespace is the namespace of the hub, or empty if it isn't known.
	Namespace string
	At        time.Time
	// Before and After are times at which memberships are known. They are the zero time if there are none.
	Before, After time.Time
}

func (e *NotRecorded) Error() string {
	of := ""
	if e.Namespace != "" {
		of = fmt.Sprintf(" of the namespace %q", e.Namespace)
	}
	before, after := e.Before.Format(time.RFC3339), e.After.Format(time.RFC3339)
	nearest := ""
	switch {
	case !e.Before.IsZero() && !e.After.IsZero():
		nearest = ": the nearest are from " + before + " and " + after
	case !e.Before.IsZero():
		nearest = ": the last ones are from " + before
	case !e.After.IsZero():
		nearest = ": the first ones are from " + after
	}
	return fmt.Sprintf("Prometheus has no memberships (%s)%s at %s%s", e.Metric, of, e.At.Format(time.RFC3339), nearest)
}

// SeveralHubs is the error if Prometheus has the memberships of several hubs.
type SeveralHubs struct{ Namespaces []string }

func (e *SeveralHubs) Error() string {
	return fmt.Sprintf("Prometheus has the memberships of several hubs, in the namespaces %q", e.Namespaces)
}
