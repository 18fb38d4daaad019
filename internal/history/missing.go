package history

import (
	"context"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// findMissing finds out which kinds of series Prometheus lacks in a window.
func (r *reader) findMissing(ctx context.Context, whole window) error {
	if err := r.checkUsernames(ctx, whole); err != nil {
		return err
	}
	annotations, labels := r.Queries.PodOwners()
	owners, err := r.hasSeries(ctx, whole, annotations, labels)
	if err != nil {
		return err
	}
	directories, err := r.hasSeries(ctx, whole, r.Queries.OfHubs(promql.DirectorySize))
	if err != nil {
		return err
	}
	if !owners && !directories {
		return &NoSeries{}
	}
	if !directories {
		r.lacks(promql.DirectorySize, report.Home)
	}
	if !owners {
		r.lacks(promql.PodAnnotations, slices.DeleteFunc(report.Measures(), func(m report.Measure) bool { return m == report.Home })...)
		return nil
	}
	clusters, err := r.labelValues(ctx, "cluster", whole, annotations, labels)
	if err != nil {
		return err
	}
	if len(clusters) > 1 {
		return &prometheus.MixedClusters{Clusters: clusters}
	}
	return r.findMissingOfPods(ctx, whole)
}

// findMissingOfPods finds out which kinds of series about pods Prometheus lacks in a window.
func (r *reader) findMissingOfPods(ctx context.Context, whole window) error {
	past := promql.Past{Queries: r.Queries}
	for _, source := range []struct {
		selector string
		measures []report.Measure
	}{
		{past.PodSeries(promql.ContainerMemory), []report.Measure{report.Memory, report.MemoryCharged}},
		{past.PodSeries(promql.ContainerCPU), []report.Measure{report.CPU, report.CPUCharged}},
		{past.RequestSeries(usage.MemoryRequests), []report.Measure{report.MemoryRequested, report.MemoryCharged}},
		{past.RequestSeries(usage.CPURequests), []report.Measure{report.CPURequested, report.CPUCharged}},
	} {
		has, err := r.hasSeries(ctx, whole, source.selector)
		if err != nil {
			return err
		}
		if !has {
			r.lacks(source.selector, source.measures...)
		}
	}
	for measure, resource := range map[report.Measure]usage.Resource{report.GPU: usage.GPURequests, report.GPUSlices: usage.GPUSliceRequests} {
		has, err := r.hasSeries(ctx, whole, past.RequestSeries(resource))
		if err != nil {
			return err
		}
		if !has {
			r.unused = append(r.unused, measure)
		}
	}
	pods, err := r.labelValues(ctx, "pod", whole, past.RequestSeries(usage.MemoryRequests))
	if err != nil {
		return err
	}
	r.requesting = map[string]bool{}
	for _, pod := range pods {
		r.requesting[pod] = true
	}
	phases, err := r.hasSeries(ctx, whole, past.PodSeries(promql.PodPhase))
	r.noPhases = !phases
	if r.noPhases {
		r.notes = append(r.notes, "Prometheus has no "+promql.PodPhase+": pods that are pending or have ended count as running")
	}
	return err
}

// checkUsernames returns an error if there are memberships, but none with a user name.
func (r *reader) checkUsernames(ctx context.Context, whole window) error {
	if r.Memberships != nil {
		return nil
	}
	recorded, err := r.hasSeries(ctx, whole, r.Queries.Memberships())
	if err != nil || !recorded {
		return err
	}
	users, err := r.labelValues(ctx, metrics.LabelUsername, whole, r.Queries.Memberships())
	if err == nil && len(users) == 0 {
		return &NoUsernames{}
	}
	return err
}

// hasSeries reports whether any of the selectors has a series in a window.
func (r *reader) hasSeries(ctx context.Context, w window, selectors ...string) (bool, error) {
	found, err := r.labelValues(ctx, metrics.LabelNamespace, w, selectors...)
	return len(found) > 0, err
}

// has reports whether Prometheus has data for a measure.
func (r *reader) has(m report.Measure) bool { return !slices.Contains(r.missing, m) }

// lacks records that Prometheus lacks a series, and therefore all data for some measures.
func (r *reader) lacks(series string, measures ...report.Measure) {
	r.missing = append(r.missing, measures...)
	r.notes = append(r.notes, "Prometheus has no "+nameOf(series)+" in this period")
}
