package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
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
	source    *source
	publish   publishOptions
	usage     usageOptions
	self      *server.Self
	record    metrics.Hub
	log       *slog.Logger
	page      atomic.Pointer[exposition.Page]
	status    atomic.Pointer[server.Status] // changed by the hub's poller alone
	reloads   []chan struct{}               // one for each source that is asked
	resources []metrics.Resource            // those that Prometheus is asked for

	// Of the hub's poller alone.
	began    time.Time // when the refresh under way, or the last one, did
	noticed  notices   // of the last refresh
	byGroups bool      // whether the next refresh reads groups, and of users the new ones

	// mu guards what the pollers share.
	mu       sync.Mutex
	snapshot *membership.Snapshot // what is published, nil where that isn't needed any more
	answers  map[metrics.Resource]*usage.Answer
	pages    []*exposition.Page // one for each layer, with what is on those below
}

// A page is made in layers: the memberships, and a resource in each that follows. A
// layer is made again when what is in it changes, and with it those above. At 100,000
// users the memberships alone take half a second, and pods are asked about every minute.
const memberships = 0

func newExporter(o serveOptions, log *slog.Logger) *exporter {
	e := &exporter{
		publish: o.publish, usage: o.usage, log: log,
		answers: map[metrics.Resource]*usage.Answer{}, noticed: notices{},
	}
	e.status.Store(&server.Status{Version: versionNumber(), Hub: o.hub.api.String(), Namespace: o.hub.namespace})
	self := metrics.NewSelf()
	e.record = self.Hub(o.hub.namespace, o.interval, append(words(hub.Reasons()), reasonMaxSeries, reasonOther)...)
	e.source = o.hub.source(hub.Options{
		OnAnswer: e.record.Answered, Patient: true,
		Source: o.source, UsersInterval: o.usersInterval, RequestInterval: o.requestInterval,
	})
	if o.usage.client != nil {
		e.resources = metrics.Resources()
	}
	e.pages = make([]*exposition.Page, 1+len(e.resources))
	for range e.pages {
		e.reloads = append(e.reloads, make(chan struct{}, 1))
	}
	for _, resource := range e.resources {
		e.record.Usage(resource, o.usage.intervalOf(resource), append(words(usage.Reasons()), reasonMaxSeries, reasonOther)...)
	}
	e.self = server.NewSelf(self.Registry, log)
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
	running.Go(func() { e.self.Run(ctx) })
	for i, resource := range e.resources {
		interval := o.usage.intervalOf(resource)
		poller := server.Poller[*usage.Answer]{
			Refresh: func(ctx context.Context) (*usage.Answer, error) {
				answer, err := e.usage.client.Read(ctx, resource)
				return answer, withHint(err)
			},
			Publish: e.replaceUsage, Drop: func() { e.dropUsage(resource) }, Now: e.reloads[i+1],
			Report: func(err error, _ time.Time) {
				if err != nil {
					e.record.UsageFailed(resource, reasonOf(err))
					e.self.Gather()
				}
			},
			Interval: interval, MaxStaleness: o.staleness(interval), Log: e.log.With("resource", resource),
		}
		running.Go(func() { poller.Run(ctx) })
	}
	if e.usage.client != nil {
		running.Go(func() { e.lookUpSources(ctx, o.staleness(sourcesInterval)) })
	}
	running.Wait()
}

// sourcesInterval is how often serve looks up which series Prometheus has.
const sourcesInterval = 10 * time.Minute

// lookUpSources looks up again and again which of the series that usage is made of
// Prometheus has, and says what is missing.
func (e *exporter) lookUpSources(ctx context.Context, staleness time.Duration) {
	namespace := e.status.Load().Namespace
	warned := notices{}
	poller := server.Poller[*usage.Sources]{
		Refresh: func(ctx context.Context) (*usage.Sources, error) {
			sources, err := e.usage.client.Sources(ctx)
			return sources, withHint(err)
		},
		Publish: func(sources *usage.Sources) ([]any, error) {
			missing := sources.Missing()
			for _, found := range sources.Found {
				if !found.Optional {
					e.record.SeriesMissing(found.Metric, slices.ContainsFunc(missing, func(m usage.Found) bool { return m.Metric == found.Metric }))
				}
			}
			e.self.Gather()
			warned.log(e.log, sourceNotices(sources, namespace))
			return []any{"series", len(sources.Found), "missing", len(missing)}, nil
		},
		Drop:     func() { e.record.SeriesUnknown(); e.self.Gather() },
		Interval: sourcesInterval, MaxStaleness: staleness, Log: e.log.With("lookup", "series of usage"),
	}
	poller.Run(ctx)
}

// refresh asks the hub.
func (e *exporter) refresh(ctx context.Context) (*membership.Snapshot, error) {
	e.began = time.Now()
	snapshot, result, err := e.source.snapshot(ctx)
	if err != nil {
		return nil, withHint(err)
	}
	if result.Inconsistent {
		e.record.Inconsistent()
	}
	if result.Continues != e.byGroups {
		e.byGroups = result.Continues
		from := hub.FromUsers
		if e.byGroups {
			from = hub.FromGroups
		}
		e.log.Info("memberships will be read", "from", from)
	}
	e.noticed.log(e.log, append(e.source.notices(snapshot, result), e.publish.notices(snapshot)...))
	return snapshot, nil
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
	if snapshot != e.snapshot {
		if err := e.encodeSnapshot(snapshot); err != nil {
			return nil, withHint(err)
		}
	}
	if e.usage.client == nil && snapshot != e.source.last {
		e.snapshot = nil // nothing will be joined to it, and it is large
	}
	defer debug.FreeOSMemory() // what the refresh took, which the next one takes in minutes
	now := time.Now()
	e.record.Refreshed(now, time.Since(e.began), snapshot)
	e.self.Gather() // before it is ready
	e.change(func(s *server.Status) {
		s.Refreshed, s.Published, s.Users, s.Groups = now, true, snapshot.Len(), nil
		for _, g := range snapshot.Groups() {
			s.Groups = append(s.Groups, server.GroupStatus{Name: g.Name, Members: g.Members})
		}
	})
	return []any{"users", snapshot.Len(), "memberships", snapshot.Memberships()}, nil
}

// encodeSnapshot makes the page of a snapshot and what Prometheus told.
func (e *exporter) encodeSnapshot(snapshot *membership.Snapshot) error {
	before, answers := e.snapshot, e.answers
	e.snapshot = snapshot
	err := e.encode(memberships)
	if errors.As(err, new(exposition.TooManySeries)) && len(answers) > 0 {
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
	}
	return err
}

// drop takes away what the hub told, and with it all that was joined to it.
func (e *exporter) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snapshot = nil
	clear(e.pages)
	e.change(func(s *server.Status) { s.Published, s.Users, s.Groups = false, 0, nil })
	e.page.Store(nil)
	e.record.Dropped()
	e.self.Gather()
}

// report keeps what became of a refresh, for the landing page.
func (e *exporter) report(err error, next time.Time) {
	if err != nil {
		e.record.Failed(time.Since(e.began), reasonOf(err))
		e.self.Gather()
	}
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
	if err := e.encode(e.layerOf(answer.Resource)); err != nil {
		e.answers[answer.Resource] = before
		return nil, withHint(err)
	}
	e.record.UsageRead(answer.Resource, time.Now())
	e.self.Gather()
	return []any{"results", len(answer.Values)}, nil
}

// dropUsage takes away what Prometheus told of a resource.
func (e *exporter) dropUsage(resource metrics.Resource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.answers, resource)
	e.record.UsageDropped(resource)
	if err := e.encode(e.layerOf(resource)); err != nil {
		e.log.Warn("leaving out what is too old", "resource", resource, "err", err)
	}
	e.self.Gather()
}

// The reasons of failures that are ours.
const (
	reasonMaxSeries = "max_series" // there would be too many series
	reasonOther     = "other"      // what was read could not be published
)

// reasonOf gives the reason of a failure in a word, for a metric's label.
func reasonOf(err error) string {
	if hubErr, ok := errors.AsType[*hub.Error](err); ok {
		return string(hubErr.Reason)
	}
	if usageErr, ok := errors.AsType[*usage.Error](err); ok {
		return string(usageErr.Reason)
	}
	if errors.As(err, new(exposition.TooManySeries)) {
		return reasonMaxSeries
	}
	return reasonOther
}

func (e *exporter) layerOf(resource metrics.Resource) int {
	return 1 + slices.Index(e.resources, resource)
}

// encode makes the page again, from a layer on.
func (e *exporter) encode(from int) error {
	if e.snapshot == nil {
		return nil // what Prometheus told waits for the hub
	}
	made := slices.Clone(e.pages)
	for i := from; i < len(made); i++ {
		below := exposition.Empty(e.publish.maxSeries)
		if i > 0 {
			below = made[i-1]
		}
		var err error
		if made[i], err = below.With(e.families(i)); err != nil {
			return err
		}
	}
	e.pages = made
	e.page.Store(made[len(made)-1])
	return nil
}

// families are those in a layer.
func (e *exporter) families(layer int) iter.Seq[*dto.MetricFamily] {
	if layer == memberships {
		return metrics.Families(e.publish.metrics(), e.snapshot)
	}
	answer := e.answers[e.resources[layer-1]]
	if answer == nil {
		return func(func(*dto.MetricFamily) bool) {}
	}
	used := usage.Join(answer, e.snapshot)
	e.record.Unattributed(answer.Resource, used.Unknown, answer.NotFinite)
	return e.usage.family(e.publish.metrics(), e.snapshot, used)
}

// notices are what was logged last, so that it isn't logged again.
type notices map[string]bool

// log logs the notices that are new.
func (n notices) log(log *slog.Logger, texts []string) {
	before := maps.Clone(n)
	clear(n)
	for _, text := range texts {
		n[text] = true
		if !before[text] {
			log.Warn(text)
		}
	}
}

func (e *exporter) handler(o serveOptions) *server.Handler {
	h := &server.Handler{
		Page: e.page.Load, Status: func() server.Status { return *e.status.Load() }, Self: e.self.Tail,
		TelemetryPath: o.web.telemetryPath, RoutePrefix: o.web.routePrefix,
		Check: o.web.check(e.source.client), Pprof: o.web.pprof, Log: e.log,
	}
	if o.web.lifecycle {
		h.Reload = e.reload
	}
	return h
}
