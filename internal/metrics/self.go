package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Self holds the metrics about the exporter and its refreshes, in a registry of its own.
type Self struct {
	Registry       *prometheus.Registry
	hubUp          *prometheus.GaugeVec
	partial        *prometheus.GaugeVec
	interval       *prometheus.GaugeVec
	lastSuccess    *prometheus.GaugeVec
	users          *prometheus.GaugeVec
	memberships    *prometheus.GaugeVec
	omitted        *prometheus.GaugeVec
	pageSize       *prometheus.GaugeVec
	pageSeries     *prometheus.GaugeVec
	failures       *prometheus.CounterVec
	inconsistent   *prometheus.CounterVec
	requests       *prometheus.CounterVec
	duration       prometheus.Histogram
	usageInterval  *prometheus.GaugeVec
	usageSuccess   *prometheus.GaugeVec
	usageFailures  *prometheus.CounterVec
	unattributed   *prometheus.GaugeVec
	seriesMissing  *prometheus.GaugeVec
	groupMapLoaded *prometheus.GaugeVec
}

// NewSelf returns a Self with all families about the exporter, the Go runtime and the process.
func NewSelf() *Self {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{LabelNamespace}, labels...))
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{LabelNamespace}, labels...))
	}
	s := &Self{
		Registry:     prometheus.NewRegistry(),
		hubUp:        gauge(HubUp, "Whether the last refresh from the hub succeeded (1) or failed (0)."),
		partial:      gauge(HubPartial, "Whether the token's scopes cover only a part of the hub, so that users or memberships may be missing."),
		interval:     gauge(RefreshInterval, "Configured interval between refreshes from the hub."),
		lastSuccess:  gauge(LastRefreshSuccess, "Unix time of the last successful refresh."),
		users:        gauge(Users, "Number of published users."),
		memberships:  gauge(Memberships, "Number of published memberships."),
		omitted:      gauge(OmittedNames, "Users and groups whose series are omitted because a label value is too long.", LabelKind),
		pageSize:     gauge(PageSize, "Size of the hub's published metrics, with usage, as uncompressed text."),
		pageSeries:   gauge(PageSeries, "Number of series in the hub's published metrics, with usage."),
		failures:     counter(RefreshFailures, "Failed refreshes, by reason.", LabelReason),
		inconsistent: counter(InconsistentRefreshes, "Refreshes that may have missed a user, because the list of users changed each time it was read."),
		requests:     counter(HubRequests, "Requests to the hub, by status code of the response, or 0 if there was none.", LabelCode),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: RefreshDuration, Help: "Duration of refreshes, including failed ones.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}),
		usageInterval:  gauge(UsageInterval, "Configured interval between queries for the usage of a resource.", LabelResource),
		usageSuccess:   gauge(LastUsageSuccess, "Unix time of the last successful query for the usage of a resource.", LabelResource),
		usageFailures:  counter(UsageFailures, "Failed queries for usage, by reason.", LabelResource, LabelReason),
		unattributed:   gauge(UsageUnattributed, "Results of the last query for usage that count for no group, by reason.", LabelResource, LabelReason),
		groupMapLoaded: gauge(GroupMapLoaded, "Whether the last attempt to load the group map succeeded (1), or an older one is in use (0)."),
		seriesMissing:  gauge(UsageSeriesMissing, "Whether Prometheus is missing a series that usage is computed from.", LabelSeries),
	}
	s.Registry.MustRegister(
		s.hubUp, s.partial, s.interval, s.lastSuccess, s.users, s.memberships, s.omitted, s.pageSize, s.pageSeries, s.failures, s.inconsistent, s.requests, s.duration,
		s.usageInterval, s.usageSuccess, s.usageFailures, s.unattributed, s.seriesMissing, s.groupMapLoaded,
		version.NewCollector(buildInfoPrefix), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return s
}

// Hub records metrics about one hub.
type Hub struct {
	self      *Self
	namespace string
}

// Hub initializes the families about a hub that is polled at an interval. Counters for all reasons start at 0, so that
// a rate includes the first failure.
func (s *Self) Hub(namespace string, interval time.Duration, reasons ...string) Hub {
	s.hubUp.WithLabelValues(namespace).Set(0)
	s.interval.WithLabelValues(namespace).Set(interval.Seconds())
	s.inconsistent.WithLabelValues(namespace)
	for _, reason := range reasons {
		s.failures.WithLabelValues(namespace, reason)
	}
	return Hub{s, namespace}
}

// Answered records a request by the status code of the response, or 0 if there was none.
func (h Hub) Answered(code int) {
	h.self.requests.WithLabelValues(h.namespace, strconv.Itoa(code)).Inc()
}

// Took records the duration of a refresh.
func (h Hub) Took(duration time.Duration) { h.self.duration.Observe(duration.Seconds()) }

// Refreshed records a successful refresh and its snapshot.
func (h Hub) Refreshed(at time.Time, snapshot *membership.Snapshot) {
	h.self.hubUp.WithLabelValues(h.namespace).Set(1)
	h.self.lastSuccess.WithLabelValues(h.namespace).Set(float64(at.UnixMilli()) / 1000)
	h.self.users.WithLabelValues(h.namespace).Set(float64(snapshot.Len()))
	h.self.memberships.WithLabelValues(h.namespace).Set(float64(snapshot.Memberships()))
}

// Omitted records how many users and groups have no series because of MaxLabelLength.
func (h Hub) Omitted(users, groups int) {
	h.self.omitted.WithLabelValues(h.namespace, "user").Set(float64(users))
	h.self.omitted.WithLabelValues(h.namespace, "group").Set(float64(groups))
}

// Published records the size of the hub's metrics, in bytes of text, and their number of
// series.
func (h Hub) Published(bytes int64, series int) {
	h.self.pageSize.WithLabelValues(h.namespace).Set(float64(bytes))
	h.self.pageSeries.WithLabelValues(h.namespace).Set(float64(series))
}

// GroupMapLoaded records whether the group map could be loaded.
func (h Hub) GroupMapLoaded(ok bool) {
	value := 0.0
	if ok {
		value = 1
	}
	h.self.groupMapLoaded.WithLabelValues(h.namespace).Set(value)
}

// Partial records whether the published memberships cover only a part of the hub.
func (h Hub) Partial(partial bool) {
	value := 0.0
	if partial {
		value = 1
	}
	h.self.partial.WithLabelValues(h.namespace).Set(value)
}

// Inconsistent records a refresh that may have missed users.
func (h Hub) Inconsistent() { h.self.inconsistent.WithLabelValues(h.namespace).Inc() }

// Failed records a failed refresh.
func (h Hub) Failed(reason string) {
	h.self.hubUp.WithLabelValues(h.namespace).Set(0)
	h.self.failures.WithLabelValues(h.namespace, reason).Inc()
}

// Dropped removes the metrics about the snapshot, which is too old and no longer published.
func (h Hub) Dropped() {
	h.self.partial.DeleteLabelValues(h.namespace)
	h.self.users.DeleteLabelValues(h.namespace)
	h.self.memberships.DeleteLabelValues(h.namespace)
	h.self.omitted.DeletePartialMatch(prometheus.Labels{LabelNamespace: h.namespace})
	h.self.pageSize.DeleteLabelValues(h.namespace)
	h.self.pageSeries.DeleteLabelValues(h.namespace)
}

// Usage initializes the families about the queries of a resource at an interval. Counters for all reasons start at 0.
func (h Hub) Usage(resource usage.Resource, interval time.Duration, reasons ...string) {
	h.self.usageInterval.WithLabelValues(h.namespace, string(resource)).Set(interval.Seconds())
	for _, reason := range reasons {
		h.self.usageFailures.WithLabelValues(h.namespace, string(resource), reason)
	}
}

// UsageRead records a successful query of usage.
func (h Hub) UsageRead(resource usage.Resource, at time.Time) {
	h.self.usageSuccess.WithLabelValues(h.namespace, string(resource)).Set(float64(at.UnixMilli()) / 1000)
}

// UsageFailed records a failed query of usage.
func (h Hub) UsageFailed(resource usage.Resource, reason string) {
	h.self.usageFailures.WithLabelValues(h.namespace, string(resource), reason).Inc()
}

// Unattributed records how many results of a query count for no group. Unknown results belong to no user of the hub,
// and the values of others are not finite.
func (h Hub) Unattributed(resource usage.Resource, unknown, notFinite int) {
	h.self.unattributed.WithLabelValues(h.namespace, string(resource), "unknown").Set(float64(unknown))
	h.self.unattributed.WithLabelValues(h.namespace, string(resource), "not_finite").Set(float64(notFinite))
}

// UsageDropped removes the metrics about the last answer, which is too old and no longer published.
func (h Hub) UsageDropped(resource usage.Resource) {
	h.self.unattributed.DeletePartialMatch(prometheus.Labels{LabelNamespace: h.namespace, LabelResource: string(resource)})
}

// SeriesMissing records whether Prometheus lacks a series that usage is computed from.
func (h Hub) SeriesMissing(series string, missing bool) {
	value := 0.0
	if missing {
		value = 1
	}
	h.self.seriesMissing.WithLabelValues(h.namespace, series).Set(value)
}

// SeriesUnknown removes the metrics of SeriesMissing, because the last lookup is too old.
func (h Hub) SeriesUnknown() {
	h.self.seriesMissing.DeletePartialMatch(prometheus.Labels{LabelNamespace: h.namespace})
}
