// Package exporter keeps the metrics of a hub up to date. It polls the hub and Prometheus, and turns the results into
// the State that a server shows. refresh.go covers the way from a response of the hub to the published page.
package exporter

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Options configure an Exporter.
type Options struct {
	// Hub configures the hub's client. The exporter sets OnAnswer, Interval and Properties.
	Hub       hub.Options
	Namespace string
	// GroupMap is applied to the hub's groups before the rules. It may be nil. Otherwise, Reload replaces it with what
	// LoadGroupMap returns.
	GroupMap     *groupmap.Map
	LoadGroupMap func() (*groupmap.Map, error)
	Rules        membership.Rules
	Schedule     Schedule // of the hub
	Metrics      metrics.Options
	MaxSeries    int    // limits the series about the hub
	Usage        *Usage // nil if usage isn't published
	Version      string
	Words        Words
	Log          *slog.Logger
}

// Usage configures how usage is read and published.
type Usage struct {
	Reader      *prometheus.UsageReader
	Attribution usage.Attribution
	// Schedules has a Schedule for each resource.
	Schedules map[usage.Resource]Schedule
	// Sources is the Schedule for looking up the series that Prometheus has.
	Sources Schedule
}

// Schedule is how often a source is polled, and how long its last good result is published.
type Schedule struct{ Interval, MaxStaleness time.Duration }

// Words turn errors and notices into text. The commands use the same texts.
type Words struct {
	// Explain adds what to do to an error.
	Explain func(error) error
	// Hub returns notices about an answer of the hub that is published.
	Hub func(*membership.Snapshot, hub.Result) []string
	// Sources returns notices about the series that Prometheus lacks.
	Sources func(*prometheus.Sources) []string
}

// Exporter polls a hub, and a Prometheus for the usage of its users.
type Exporter struct {
	o         Options
	client    *hub.Client
	groupMap  atomic.Pointer[groupmap.Map] // nil if there is none
	applied   *groupmap.Map                // used by the refresh under way, which may have begun before the last Reload
	published *published
	record    metrics.Hub
	hub       *poller[reading]
	usage     map[usage.Resource]*poller[*usage.Answer]
	sources   *poller[*prometheus.Sources] // nil if usage isn't published
	notices   notices                      // about the hub

	mu      sync.Mutex // guards current, which all pollers change
	current content
}

// New returns an exporter that has not polled anything yet.
func New(o Options) *Exporter {
	self := metrics.NewSelf()
	e := &Exporter{
		o: o, notices: notices{}, usage: map[usage.Resource]*poller[*usage.Answer]{},
		record:    self.Hub(o.Namespace, o.Schedule.Interval, append(hub.Reasons(), reasonGroupMap, reasonMaxSeries, reasonOther)...),
		published: newPublished(self.Registry, Status{Version: o.Version, Hub: o.Hub.API.String(), Namespace: o.Namespace}, o.Log),
	}
	if o.GroupMap != nil {
		e.groupMap.Store(o.GroupMap)
		e.record.GroupMapLoaded(true)
	}
	o.Hub.OnAnswer, o.Hub.Interval, o.Hub.Properties = e.record.Answered, o.Schedule.Interval, e.properties
	e.client = hub.New(o.Hub)
	e.hub = e.hubPoller()
	if o.Usage != nil {
		for _, resource := range usage.Resources() {
			e.record.Usage(resource, o.Usage.Schedules[resource].Interval, append(prometheus.Reasons(), reasonMaxSeries, reasonOther)...)
			e.usage[resource] = e.usagePoller(resource)
		}
		e.sources = e.sourcesPoller()
	}
	return e
}

// Client returns the client of the hub.
func (e *Exporter) Client() *hub.Client { return e.client }

// Run polls the hub, and Prometheus for each resource, until ctx ends. A source that fails or hangs doesn't affect the
// others.
func (e *Exporter) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { e.published.run(ctx) })
	running.Go(func() { e.hub.Run(ctx) })
	for _, poller := range e.usage {
		running.Go(func() { poller.Run(ctx) })
	}
	if e.sources != nil {
		running.Go(func() { e.sources.Run(ctx) })
	}
	running.Wait()
}

// RefreshNow polls the hub, and Prometheus for each resource, at once. If a refresh is under way, another one follows,
// because the first one may miss recent changes.
func (e *Exporter) RefreshNow() {
	e.hub.refreshNow()
	for _, poller := range e.usage {
		poller.refreshNow()
	}
}

// Reload loads the group map again, if there is one, and refreshes. If the map can't be loaded, the current one stays.
func (e *Exporter) Reload() {
	if e.o.GroupMap != nil {
		next, err := e.o.LoadGroupMap()
		if err == nil {
			e.groupMap.Store(next)
			e.o.Log.Info("loaded the group map")
		} else {
			e.o.Log.Error("the group map can't be loaded: the last good one stays in use", "err", err)
		}
		e.published.update(func(*State) { e.record.GroupMapLoaded(err == nil) })
	}
	e.client.Forget()
	e.RefreshNow()
}

// properties returns the properties of groups that the refresh under way needs.
func (e *Exporter) properties() []string {
	if e.applied == nil {
		return nil
	}
	return e.applied.Properties()
}

// State drops results that are too old, and returns the current state.
func (e *Exporter) State() *State {
	e.hub.Expire()
	for _, poller := range e.usage {
		poller.Expire()
	}
	if e.sources != nil {
		e.sources.Expire()
	}
	return e.published.current.Load()
}

// notices are the texts that were logged last. They aren't logged again.
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
