package exporter

import (
	"context"
	"maps"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func (e *Exporter) usagePoller(resource usage.Resource) *poller[*usage.Answer] {
	return &poller[*usage.Answer]{
		Refresh: func(ctx context.Context) (*usage.Answer, error) {
			answer, err := e.o.Usage.Reader.Read(ctx, resource)
			return answer, e.o.Words.Explain(err)
		},
		Publish: e.publishUsage,
		Drop: func() {
			e.dropUsage(resource)
			e.usage[resource].refreshNow()
		},
		Report: func(o outcome) {
			if o.err != nil {
				e.published.update(func(*State) { e.record.UsageFailed(resource, reasonOf(o.err)) })
			}
		},
		now: make(chan struct{}, 1), Schedule: e.o.Usage.Schedules[resource], Log: e.o.Log.With("resource", resource),
	}
}

// publishUsage publishes the usage of a resource. Without memberships, it keeps the answer for later.
func (e *Exporter) publishUsage(answer *usage.Answer) ([]any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.withoutUsage(answer.Resource)
	next.answers[answer.Resource] = answer
	if next.memberships != nil {
		sheet, err := e.newUsageSheet(answer, next.snapshot)
		if err != nil {
			return nil, e.o.Words.Explain(err)
		}
		next.usage[answer.Resource] = sheet
		if err := next.check(e.o.MaxSeries); err != nil {
			return nil, e.o.Words.Explain(err)
		}
	}
	e.replace(next, func(*Status) { e.record.UsageRead(answer.Resource, time.Now()) })
	return []any{"results", len(answer.Values)}, nil
}

// dropUsage removes the usage of a resource.
func (e *Exporter) dropUsage(resource usage.Resource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replace(e.withoutUsage(resource), func(*Status) {})
}

// withoutUsage returns a copy of the content without a resource.
func (e *Exporter) withoutUsage(resource usage.Resource) content {
	next := content{memberships: e.current.memberships, snapshot: e.current.snapshot, answers: map[usage.Resource]*usage.Answer{}, usage: map[usage.Resource]usageSheet{}}
	maps.Copy(next.answers, e.current.answers)
	maps.Copy(next.usage, e.current.usage)
	delete(next.answers, resource)
	delete(next.usage, resource)
	return next
}

// usageSheet is the encoded usage of a resource, and the numbers of values that count for no group.
type usageSheet struct {
	sheet              *exposition.Sheet
	unknown, notFinite int
}

func (e *Exporter) newUsageSheet(answer *usage.Answer, snapshot *membership.Snapshot) (usageSheet, error) {
	used := usage.Join(answer, snapshot)
	sheet, err := exposition.Encode(metrics.UsageFamily(e.o.Metrics, used, e.o.Usage.Attribution), exposition.Text, e.o.MaxSeries)
	return usageSheet{sheet, used.Unknown, answer.NotFinite + used.NotFinite}, err
}

// sourcesPoller returns the poller that looks up the series from which usage is computed, and records missing ones.
func (e *Exporter) sourcesPoller() *poller[*prometheus.Sources] {
	logged := notices{}
	return &poller[*prometheus.Sources]{
		Refresh: func(ctx context.Context) (*prometheus.Sources, error) {
			sources, err := e.o.Usage.Reader.Sources(ctx)
			return sources, e.o.Words.Explain(err)
		},
		Publish: func(sources *prometheus.Sources) ([]any, error) {
			missing := map[string]bool{}
			for _, found := range sources.Missing() {
				missing[found.Metric] = true
			}
			e.published.update(func(*State) {
				for _, found := range sources.Found {
					if !found.Optional {
						e.record.SeriesMissing(found.Metric, missing[found.Metric])
					}
				}
			})
			logged.log(e.o.Log, e.o.Words.Sources(sources))
			return []any{"series", len(sources.Found), "missing", len(missing)}, nil
		},
		Drop: func() { e.published.update(func(*State) { e.record.SeriesUnknown() }) },
		now:  make(chan struct{}, 1), Schedule: e.o.Usage.Sources, Log: e.o.Log.With("lookup", "series of usage"),
	}
}
