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
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// exporter turns the answers of a hub and a Prometheus into published metrics.
type exporter struct {
	source    *source
	publish   publishOptions
	usage     usageOptions
	published *server.Published
	record    metrics.Hub
	log       *slog.Logger
	reloads   []chan struct{}    // one for each source that is asked
	resources []metrics.Resource // those that Prometheus is asked for
	hub       *server.Poller[*membership.Snapshot]
	usages    []*server.Poller[*usage.Answer] // one for each resource
	sources   *server.Poller[*usage.Sources]  // nil where no Prometheus is queried

	// Of the hub's poller alone.
	began   time.Time // when the refresh under way, or the last one, did
	noticed notices   // of the last refresh
	partial *bool     // whether the snapshot is of a part of the hub, nil if that isn't known

	// mu guards what the pollers share.
	mu       sync.Mutex
	snapshot *membership.Snapshot // what is published, nil where that isn't needed any more
	answers  map[metrics.Resource]*usage.Answer
	pages    []*exposition.Page // one for each layer, with what is on those below
}

// A page is encoded in layers: first the memberships, then one resource in each. If the
// content of a layer changes, it is encoded again, and so are the layers above. With
// 100,000 users, the memberships alone take half a second, and the usage of pods changes
// every minute.
const memberships = 0

func newExporter(o serveOptions, log *slog.Logger) *exporter {
	e := &exporter{
		publish: o.publish, usage: o.usage, log: log,
		answers: map[metrics.Resource]*usage.Answer{}, noticed: notices{},
	}
	self := metrics.NewSelf()
	e.record = self.Hub(o.hub.namespace, o.interval, append(words(hub.Reasons()), reasonMaxSeries, reasonOther)...)
	e.source = o.hub.source(hub.Options{OnAnswer: e.record.Answered, Interval: o.interval, Patient: true})
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
	status := server.Status{Version: versionNumber(), Hub: o.hub.api.String(), Namespace: o.hub.namespace}
	e.published = server.NewPublished(self.Registry, status, log)
	e.addPollers(o)
	return e
}

// addPollers makes a poller for the hub, and one for each resource.
func (e *exporter) addPollers(o serveOptions) {
	e.hub = &server.Poller[*membership.Snapshot]{
		Refresh: e.refresh, Publish: e.replace, RetryAfter: hub.RetryAfter, Report: e.report, Now: e.reloads[0],
		Drop: func() {
			e.drop()
			e.refreshNow(0) // after a suspend the next refresh may be minutes away
		},
		Interval: o.interval, MaxStaleness: o.staleness(o.interval), Log: e.log,
	}
	for i, resource := range e.resources {
		interval := o.usage.intervalOf(resource)
		e.usages = append(e.usages, &server.Poller[*usage.Answer]{
			Refresh: func(ctx context.Context) (*usage.Answer, error) {
				answer, err := e.usage.client.Read(ctx, resource)
				return answer, withHint(err)
			},
			Publish: e.replaceUsage, Now: e.reloads[i+1],
			Drop: func() {
				e.dropUsage(resource)
				e.refreshNow(i + 1)
			},
			Report: func(err error, _ time.Time) {
				if err != nil {
					e.published.Update(func(*server.State) { e.record.UsageFailed(resource, reasonOf(err)) })
				}
			},
			Interval: interval, MaxStaleness: o.staleness(interval), Log: e.log.With("resource", resource),
		})
	}
	if o.usage.client != nil {
		e.sources = e.sourcesPoller(o.hub.namespace, o.staleness(sourcesInterval))
	}
}

// reload refreshes from the hub and from Prometheus at once. If a refresh is under way,
// another one follows, because the first may miss what changed a moment ago.
func (e *exporter) reload() {
	for source := range e.reloads {
		e.refreshNow(source)
	}
}

// refreshNow starts a refresh from one source: 0 is the hub, and 1 is the first resource.
func (e *exporter) refreshNow(source int) {
	select {
	case e.reloads[source] <- struct{}{}:
	default:
	}
}

// run polls the hub, and Prometheus for each resource, until ctx ends. A source
// that fails or hangs doesn't affect the others.
func (e *exporter) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { e.hub.Run(ctx) })
	running.Go(func() { e.published.Run(ctx) })
	for _, poller := range e.usages {
		running.Go(func() { poller.Run(ctx) })
	}
	if e.sources != nil {
		running.Go(func() { e.sources.Run(ctx) })
	}
	running.Wait()
}

// state returns the state to show. First it drops results that are too old.
func (e *exporter) state() *server.State {
	e.hub.Expire()
	for _, poller := range e.usages {
		poller.Expire()
	}
	if e.sources != nil {
		e.sources.Expire()
	}
	return e.published.State()
}

// sourcesInterval is how often serve looks up which series Prometheus has.
const sourcesInterval = 10 * time.Minute

// sourcesPoller returns the poller that looks up which series Prometheus has of those that
// usage is computed from, and reports the missing ones.
func (e *exporter) sourcesPoller(namespace string, maxStaleness time.Duration) *server.Poller[*usage.Sources] {
	warned := notices{}
	return &server.Poller[*usage.Sources]{
		Refresh: func(ctx context.Context) (*usage.Sources, error) {
			sources, err := e.usage.client.Sources(ctx)
			return sources, withHint(err)
		},
		Publish: func(sources *usage.Sources) ([]any, error) {
			missing := map[string]bool{}
			for _, found := range sources.Missing() {
				missing[found.Metric] = true
			}
			e.published.Update(func(*server.State) {
				for _, found := range sources.Found {
					if !found.Optional {
						e.record.SeriesMissing(found.Metric, missing[found.Metric])
					}
				}
			})
			warned.log(e.log, sourceNotices(sources, namespace))
			return []any{"series", len(sources.Found), "missing", len(missing)}, nil
		},
		Drop:     func() { e.published.Update(func(*server.State) { e.record.SeriesUnknown() }) },
		Interval: sourcesInterval, MaxStaleness: maxStaleness, Log: e.log.With("lookup", "series of usage"),
	}
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
	e.partial = nil
	if partial := len(result.Filtered) > 0; partial || result.ScopesError == nil {
		e.partial = &partial
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

// replace publishes a snapshot of the hub.
func (e *exporter) replace(snapshot *membership.Snapshot) ([]any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	record, err := e.encodeSnapshot(snapshot)
	if err != nil {
		return nil, withHint(err)
	}
	if e.usage.client == nil {
		e.snapshot = nil // nothing will be joined to it, and it is large
	}
	omittedUsers, omittedGroups := metrics.TooLong(e.publish.metrics(), snapshot)
	defer debug.FreeOSMemory() // what the refresh took, which the next one takes in minutes
	now := time.Now()
	e.published.Update(func(s *server.State) {
		record()
		e.record.Refreshed(now, time.Since(e.began), snapshot)
		e.record.Omitted(len(omittedUsers), len(omittedGroups))
		if e.partial != nil {
			e.record.Partial(*e.partial)
		}
		e.show(s)
		s.Status.Refreshed, s.Status.Error, s.Status.Published = now, "", true
		s.Status.Users, s.Status.Groups = snapshot.Len(), nil
		for _, g := range snapshot.Groups() {
			s.Status.Groups = append(s.Status.Groups, server.GroupStatus{Name: g.Name, Members: g.Members})
		}
	})
	return []any{"users", snapshot.Len(), "memberships", snapshot.Memberships()}, nil
}

// encodeSnapshot encodes the page for a snapshot and the last answers of Prometheus. It
// returns a function that records metrics when the page is published.
func (e *exporter) encodeSnapshot(snapshot *membership.Snapshot) (record func(), err error) {
	before, answers := e.snapshot, e.answers
	e.snapshot = snapshot
	record, err = e.encode(memberships)
	if errors.As(err, new(exposition.TooManySeries)) && len(answers) > 0 {
		// Memberships take precedence: usage is dropped until Prometheus answers again.
		e.answers = map[metrics.Resource]*usage.Answer{}
		_, err = e.encode(memberships)
		record = func() {
			for resource := range answers {
				e.record.UsageFailed(resource, reasonMaxSeries)
				e.record.UsageDropped(resource)
			}
		}
	}
	if err != nil {
		e.snapshot, e.answers = before, answers
	}
	return record, err
}

// drop removes the snapshot and everything that was joined with it.
func (e *exporter) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snapshot = nil
	clear(e.pages)
	e.published.Update(func(s *server.State) {
		e.record.Dropped()
		s.Page = nil
		s.Status.Published, s.Status.Users, s.Status.Groups = false, 0, nil
	})
}

// report records the outcome of a refresh for the landing page.
func (e *exporter) report(err error, next time.Time) {
	e.published.Update(func(s *server.State) {
		s.Status.Next = next
		if err != nil {
			e.record.Failed(time.Since(e.began), reasonOf(err))
			s.Status.Error = err.Error()
		}
	})
}

// replaceUsage publishes the usage of a resource.
func (e *exporter) replaceUsage(answer *usage.Answer) ([]any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.answers[answer.Resource]
	e.answers[answer.Resource] = answer
	record, err := e.encode(e.layerOf(answer.Resource))
	if err != nil {
		e.answers[answer.Resource] = before
		return nil, withHint(err)
	}
	e.published.Update(func(s *server.State) {
		record()
		e.record.UsageRead(answer.Resource, time.Now())
		e.show(s)
	})
	return []any{"results", len(answer.Values)}, nil
}

// dropUsage removes the usage of a resource.
func (e *exporter) dropUsage(resource metrics.Resource) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.answers, resource)
	record, err := e.encode(e.layerOf(resource))
	if err != nil {
		e.log.Warn("leaving out what is too old", "resource", resource, "err", err)
	}
	e.published.Update(func(s *server.State) {
		record()
		e.record.UsageDropped(resource)
		e.show(s)
	})
}

// The reasons of failures that are ours.
const (
	reasonMaxSeries = "max_series" // there would be too many series
	reasonOther     = "other"      // what was read could not be published
)

// reasonOf returns the reason for a failure in a word, for a metric's label.
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

// encode encodes the page again, starting from a layer. It returns a function that records
// metrics when the page is published.
func (e *exporter) encode(from int) (record func(), err error) {
	var records []func()
	record = func() {
		for _, r := range records {
			r()
		}
	}
	if e.snapshot == nil {
		return record, nil // what Prometheus told waits for the hub
	}
	made := slices.Clone(e.pages)
	for i := from; i < len(made); i++ {
		below := exposition.Empty(e.publish.maxSeries)
		if i > 0 {
			below = made[i-1]
		}
		families, r := e.families(i)
		if made[i], err = below.With(families); err != nil {
			return func() {}, err
		}
		records = append(records, r)
	}
	e.pages = made
	return record, nil
}

// show puts the page with all layers into a state. Before the first refresh, there is no
// page.
func (e *exporter) show(s *server.State) {
	s.Page = e.pages[len(e.pages)-1]
	if s.Page != nil {
		e.record.Published(s.Page.Size(), s.Page.Series())
	}
}

// families returns the metric families in a layer, and a function that records metrics when
// they are published.
func (e *exporter) families(layer int) (families iter.Seq[*dto.MetricFamily], record func()) {
	if layer == memberships {
		return metrics.Families(e.publish.metrics(), e.snapshot), func() {}
	}
	answer := e.answers[e.resources[layer-1]]
	if answer == nil {
		return func(func(*dto.MetricFamily) bool) {}, func() {}
	}
	used := usage.Join(answer, e.snapshot)
	return e.usage.family(e.publish.metrics(), e.snapshot, used), func() {
		e.record.Unattributed(answer.Resource, used.Unknown, answer.NotFinite+used.NotFinite)
	}
}

// notices are the texts that were logged last, so that they aren't logged again.
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
		State: e.state, Redact: o.hub.secrets.redact, TelemetryPath: o.web.telemetryPath, RoutePrefix: o.web.routePrefix,
		Check: o.web.check(e.source.client, o.staleness(o.interval), e.log), Pprof: o.web.pprof, Log: e.log,
	}
	if o.web.lifecycle {
		h.Reload = e.reload
	}
	return h
}
