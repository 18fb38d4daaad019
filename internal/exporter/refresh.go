package exporter

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// reading is the result of a successful refresh from the hub.
type reading struct {
	snapshot *membership.Snapshot
	result   hub.Result
}

func (e *Exporter) hubPoller() *poller[reading] {
	return &poller[reading]{
		Refresh: e.readHub, Publish: e.publishHub, Report: e.reportHub,
		Drop: func() {
			e.dropHub()
			e.hub.refreshNow() // after the machine was suspended, the next refresh may be minutes away
		},
		now: make(chan struct{}, 1), Schedule: e.o.Schedule, Log: e.o.Log,
	}
}

// readHub reads the memberships of the hub.
func (e *Exporter) readHub(ctx context.Context) (reading, error) {
	e.applied = e.groupMap.Load()
	result, err := e.client.List(ctx)
	if err != nil {
		return reading{}, e.o.Words.Explain(err)
	}
	if e.applied != nil {
		if err := e.applied.For(result.Properties).Apply(result.Listing); err != nil {
			return reading{}, e.o.Words.Explain(err)
		}
	}
	return reading{membership.New(e.o.Namespace, result.Listing, e.o.Rules), result}, nil
}

// publishHub publishes memberships, together with the last usage from Prometheus.
func (e *Exporter) publishHub(r reading) ([]any, error) {
	e.notices.log(e.o.Log, e.o.Words.Hub(r.snapshot, r.result))
	e.mu.Lock()
	defer e.mu.Unlock()
	next, dropped, err := e.withMemberships(r.snapshot)
	if err != nil {
		return nil, e.o.Words.Explain(err)
	}
	omittedUsers, omittedGroups := metrics.TooLong(e.o.Metrics, r.snapshot)
	now := time.Now()
	e.replace(next, func(status *Status) {
		e.record.Refreshed(now, r.snapshot)
		e.record.Omitted(len(omittedUsers), len(omittedGroups))
		if r.result.Inconsistent {
			e.record.Inconsistent()
		}
		if r.result.ScopesError == nil {
			e.record.Partial(len(r.result.Filtered) > 0)
		}
		for _, resource := range dropped {
			e.record.UsageFailed(resource, reasonMaxSeries)
		}
		status.Refreshed, status.Error, status.Published = now, "", true
		status.Users, status.Groups = r.snapshot.Len(), nil
		for _, g := range r.snapshot.Groups() {
			status.Groups = append(status.Groups, GroupStatus{Name: g.Name, Members: g.Members})
		}
	})
	return []any{"users", r.snapshot.Len(), "memberships", r.snapshot.Memberships()}, nil
}

// dropHub removes the memberships and everything that was joined with them.
func (e *Exporter) dropHub() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replace(content{answers: e.current.answers}, func(status *Status) {
		e.record.Dropped()
		status.Published, status.Users, status.Groups = false, 0, nil
	})
}

// reportHub records the outcome of a refresh.
func (e *Exporter) reportHub(o outcome) {
	e.published.update(func(s *State) {
		e.record.Took(o.took)
		s.Status.Next = o.next
		if o.err != nil {
			e.record.Failed(reasonOf(o.err))
			s.Status.Error = o.err.Error()
		}
	})
	if o.err == nil {
		debug.FreeOSMemory() // the next refresh is minutes away, and needs as much as this one did
	}
}

// content is the published data about the hub, and the data from which it was made. It is immutable. Each source has
// its own sheet, so a change of usage doesn't require encoding the memberships again.
type content struct {
	memberships *exposition.Sheet    // nil if they aren't published
	snapshot    *membership.Snapshot // nil if nothing will be joined with it, because it is large
	// answers are kept even while there are no memberships to join them with.
	answers map[usage.Resource]*usage.Answer
	usage   map[usage.Resource]usageSheet
}

// sheets returns all sheets in the order of a scrape.
func (c content) sheets() []*exposition.Sheet {
	if c.memberships == nil {
		return nil
	}
	sheets := []*exposition.Sheet{c.memberships}
	for _, resource := range usage.Resources() {
		sheets = append(sheets, c.usage[resource].sheet)
	}
	return sheets
}

// check returns an error if the content has too many series.
func (c content) check(most int) error {
	if exposition.Join(c.sheets()...).Series() > most {
		return exposition.TooManySeries{Most: most}
	}
	return nil
}

// withMemberships returns the content with a new snapshot. Memberships take precedence over usage: if all of it is too
// many series, usage is dropped until Prometheus answers again, and withMemberships returns its resources.
func (e *Exporter) withMemberships(snapshot *membership.Snapshot) (next content, dropped []usage.Resource, err error) {
	next = content{snapshot: snapshot, usage: map[usage.Resource]usageSheet{}}
	if next.memberships, err = exposition.Encode(metrics.Families(e.o.Metrics, snapshot), exposition.Text, e.o.MaxSeries); err != nil {
		return content{}, nil, err
	}
	alone := next
	next.answers = e.current.answers
	for resource, answer := range next.answers {
		if next.usage[resource], err = e.newUsageSheet(answer, snapshot); err != nil {
			break
		}
	}
	if err == nil {
		err = next.check(e.o.MaxSeries)
	}
	if errors.As(err, new(exposition.TooManySeries)) {
		for resource := range next.answers {
			dropped = append(dropped, resource)
		}
		alone.usage = nil
		return alone, dropped, nil
	}
	return next, nil, err
}

// replace publishes a content. The function change updates the status and records metrics. The caller holds e.mu.
func (e *Exporter) replace(next content, change func(*Status)) {
	if e.o.Usage == nil {
		next.snapshot = nil
	}
	e.current = next
	e.published.update(func(s *State) {
		s.hub = next.sheets()
		if next.memberships != nil {
			page := exposition.Join(s.hub...)
			e.record.Published(page.Size(), page.Series())
		}
		for _, resource := range usage.Resources() {
			if sheet, ok := next.usage[resource]; ok {
				e.record.Unattributed(resource, sheet.unknown, sheet.notFinite)
			} else {
				e.record.UsageDropped(resource)
			}
		}
		change(&s.Status)
	})
}

// The reasons of failures that no server causes.
const (
	reasonGroupMap  = "group_map"  // the group map can't be applied to the hub's groups
	reasonMaxSeries = "max_series" // there would be too many series
	reasonOther     = "other"      // what was read could not be published
)

// reasonOf returns the reason of an error, for the label reason.
func reasonOf(err error) string {
	if failed, ok := errors.AsType[*remote.Error](err); ok {
		return string(failed.Reason)
	}
	if errors.As(err, new(*groupmap.Error)) {
		return reasonGroupMap
	}
	if errors.As(err, new(exposition.TooManySeries)) {
		return reasonMaxSeries
	}
	return reasonOther
}
