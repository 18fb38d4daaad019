package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// exporter is the way from the answers of a hub and a Prometheus to what is
// published.
type exporter struct {
	source  *source
	publish publishOptions
	usage   usageOptions
	self    *metrics.Self
	record  metrics.Hub
	log     *slog.Logger
	page    atomic.Pointer[exposition.Page]
	status  atomic.Pointer[server.Status] // changed by the hub's poller alone
	reloads []chan struct{}               // one for each source that is asked

	// Of the hub's poller alone.
	began   time.Time       // when the refresh under way, or the last one, did
	noticed map[string]bool // the notices of the last refresh: what was said is not said again

	// mu guards what the pollers share.
	mu       sync.Mutex
	snapshot *membership.Snapshot // what is joined to, nil where nothing is
	answers  map[metrics.Resource]*usage.Answer
	layers   [layers]layer
}

// layer is a page, what it has in common with the one below among it, and how many
// more series may come on top of it.
type layer struct {
	page *exposition.Page
	left limit
}

// A page is made in layers, what changes seldom first. A layer is made again when
// what is in it changes, and with it those that follow. At 100,000 users the
// memberships alone take half a second, and pods are asked about every minute.
const (
	memberships = iota
	homeDirs
	pods
	layers
)

func newExporter(o serveOptions, log *slog.Logger) *exporter {
	e := &exporter{
		publish: o.publish, usage: o.usage, self: metrics.NewSelf(), log: log,
		answers: map[metrics.Resource]*usage.Answer{},
	}
	e.status.Store(&server.Status{Version: versionNumber(), Hub: o.hub.api.String(), Namespace: o.hub.namespace})
	e.record = e.self.Hub(o.hub.namespace, o.interval, append(words(hub.Reasons()), reasonMaxSeries)...)
	e.source = o.hub.source(e.record.Answered)
	for range 1 + len(metrics.Resources()) {
		e.reloads = append(e.reloads, make(chan struct{}, 1))
	}
	return e
}

// reload asks the hub, and Prometheus, at once. Where they are being asked already,
// they are asked once more after that: what changed a moment ago may not be in it.
func (e *exporter) reload() {
	for _, reload := range e.reloads {
		select {
		case reload <- struct{}{}:
		default:
		}
	}
}

// run polls the hub, and Prometheus for each resource, until ctx ends. A source
// that fails or hangs leaves the others alone.
func (e *exporter) run(ctx context.Context, o serveOptions) {
	var running sync.WaitGroup
	hubPoller := server.Poller[*membership.Snapshot]{
		Refresh: e.refresh, Publish: e.replace, Drop: e.drop, RetryAfter: hub.RetryAfter, Report: e.report, Now: e.reloads[0],
		Interval: o.interval, MaxStaleness: o.staleness(o.interval), Log: e.log,
	}
	running.Go(func() { hubPoller.Run(ctx) })
	if o.usage.client != nil {
		for i, resource := range metrics.Resources() {
			interval := o.usage.intervalOf(resource)
			e.record.Usage(resource, interval, append(words(usage.Reasons()), reasonMaxSeries, reasonOther)...)
			poller := server.Poller[*usage.Answer]{
				Refresh: func(ctx context.Context) (*usage.Answer, error) { return e.read(ctx, resource) },
				Publish: e.replaceUsage, Drop: func() { e.dropUsage(resource) }, Now: e.reloads[i+1],
				Interval: interval, MaxStaleness: o.staleness(interval), Log: e.log.With("resource", resource),
			}
			running.Go(func() { poller.Run(ctx) })
		}
	}
	running.Wait()
}

// refresh asks the hub.
func (e *exporter) refresh(ctx context.Context) (*membership.Snapshot, error) {
	e.began = time.Now()
	snapshot, result, err := e.source.snapshot(ctx)
	if err != nil {
		e.record.Failed(time.Since(e.began), string(hub.ReasonOf(err)))
		return nil, withHint(err)
	}
	if result.Inconsistent {
		e.record.Inconsistent()
	}
	e.notice(append(e.source.notices(snapshot, result), e.publish.notices(snapshot)...))
	return snapshot, nil
}

// read asks Prometheus.
func (e *exporter) read(ctx context.Context, resource metrics.Resource) (*usage.Answer, error) {
	answer, err := e.usage.client.Read(ctx, resource)
	if err != nil {
		e.record.UsageFailed(resource, string(usage.ReasonOf(err)))
		return nil, withHint(err)
	}
	return answer, nil
}

// withHint adds what to do about an error, where we know: the log has no line for it.
func withHint(err error) error {
	if h := hint(err); h != "" {
		return fmt.Errorf("%w; hint: %s", err, h)
	}
	return err
}

// replace publishes what the hub told.
func (e *exporter) replace(snapshot *membership.Snapshot) ([]any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, answers := e.snapshot, e.answers
	e.snapshot = snapshot
	err := e.encode(memberships)
	if errors.As(err, new(tooManySeries)) && len(answers) > 0 {
		// Memberships go first: usage makes room for them, until it is told again.
		e.answers = map[metrics.Resource]*usage.Answer{}
		if err = e.encode(memberships); err == nil {
			for resource := range answers {
				e.record.UsageFailed(resource, reasonMaxSeries)
				e.record.UsageDropped(resource)
			}
		}
	}
	if err != nil {
		e.snapshot, e.answers = before, answers
		e.record.Failed(time.Since(e.began), encodeReason(err))
		return nil, withHint(err)
	}
	if e.usage.client == nil {
		e.snapshot = nil // nothing will be joined to it, and it is large
	}
	now := time.Now()
	e.record.Refreshed(now, time.Since(e.began), snapshot)
	e.change(func(s *server.Status) {
		s.Refreshed, s.Published, s.Users, s.Groups = now, true, snapshot.Len(), nil
		for _, g := range snapshot.Groups() {
			s.Groups = append(s.Groups, server.GroupStatus{Name: g.Name, Members: g.Members})
		}
	})
	return []any{"users", snapshot.Len(), "memberships", snapshot.Memberships()}, nil
}

// drop takes away what the hub told, and with it all that was joined to it.
func (e *exporter) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snapshot = nil
	e.layers = [layers]layer{} // who is gone is in no memory
	e.change(func(s *server.Status) { s.Published, s.Users, s.Groups = false, 0, nil })
	e.page.Store(nil)
	e.record.Dropped()
}

// report keeps what became of a refresh, for the landing page.
func (e *exporter) report(err error, next time.Time) {
	e.change(func(s *server.Status) {
		s.Next, s.Error = next, ""
		if err != nil {
			s.Error = err.Error()
		}
	})
}

// change makes a new status of the last one.
func (e *exporter) change(set func(*server.Status)) {
	next := *e.status.Load()
	set(&next)
	e.status.Store(&next)
}

// replaceUsage publishes what Prometheus told of a resource.
func (e *exporter) replaceUsage(answer *usage.Answer) ([]any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.answers[answer.Resource]
	e.answers[answer.Resource] = answer
	if err := e.encode(layerOf(answer.Resource)); err != nil {
		e.answers[answer.Resource] = before
		e.record.UsageFailed(answer.Resource, encodeReason(err))
		return nil, withHint(err)
	}
	e.record.UsageRead(answer.Resource, time.Now())
	return []any{"results", len(answer.Values)}, nil
}

// dropUsage takes away what Prometheus told of a resource.
func (e *exporter) dropUsage(resource metrics.Resource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.answers, resource)
	e.record.UsageDropped(resource)
	if err := e.encode(layerOf(resource)); err != nil {
		e.log.Warn("leaving out what is too old", "resource", resource, "err", err)
	}
}

// The reasons of failures that are ours.
const (
	reasonMaxSeries = "max_series" // there would be too many series
	reasonOther     = string(hub.Other)
)

func encodeReason(err error) string {
	if errors.As(err, new(tooManySeries)) {
		return reasonMaxSeries
	}
	return reasonOther
}

func layerOf(resource metrics.Resource) int {
	if resource == metrics.HomeDir {
		return homeDirs
	}
	return pods
}

// encode makes the page again, from a layer on.
func (e *exporter) encode(from int) error {
	if e.snapshot == nil {
		return nil // what Prometheus told waits for the hub
	}
	made := e.layers
	below := layer{left: *e.publish.limit()}
	for i := range made {
		if i >= from {
			var err error
			made[i].left = below.left
			if made[i].page, err = made[i].left.page(e.families(i), below.page.With); err != nil {
				return err
			}
		}
		below = made[i]
	}
	e.layers = made
	e.page.Store(below.page)
	return nil
}

// families are those in a layer.
func (e *exporter) families(layer int) iter.Seq[*dto.MetricFamily] {
	if layer == memberships {
		return metrics.Families(e.publish.metrics(), e.snapshot)
	}
	var used []*usage.Usage
	for _, resource := range metrics.Resources() {
		if answer := e.answers[resource]; answer != nil && layerOf(resource) == layer {
			u := usage.Join(answer, e.snapshot)
			e.record.Unattributed(resource, u.Unknown, answer.NotFinite)
			used = append(used, u)
		}
	}
	return e.usage.families(e.publish.metrics(), e.snapshot, used...)
}

// notice logs what the refresh before did not say already.
func (e *exporter) notice(notices []string) {
	now := map[string]bool{}
	for _, notice := range notices {
		now[notice] = true
		if !e.noticed[notice] {
			e.log.Warn(notice)
		}
	}
	e.noticed = now
}

func (e *exporter) handler(o serveOptions) *server.Handler {
	h := &server.Handler{
		Page: e.page.Load, Ready: func() bool { return !e.status.Load().Refreshed.IsZero() }, Status: func() server.Status { return *e.status.Load() }, Self: e.self.Registry,
		TelemetryPath: o.web.telemetryPath, RoutePrefix: o.web.routePrefix,
		Check: o.web.check(e.source.client), Pprof: o.web.pprof, Log: e.log,
	}
	if o.web.lifecycle {
		h.Reload = e.reload
	}
	return h
}
