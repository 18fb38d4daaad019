package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// selfPrefix begins the names of what the exporter says about itself.
const selfPrefix = "groups_exporter"

// Self is what the exporter says about itself and its refreshes, in a registry
// of its own.
type Self struct {
	Registry     *prometheus.Registry
	hubUp        *prometheus.GaugeVec
	lastSuccess  *prometheus.GaugeVec
	users        *prometheus.GaugeVec
	memberships  *prometheus.GaugeVec
	failures     *prometheus.CounterVec
	inconsistent *prometheus.CounterVec
	requests     *prometheus.CounterVec
	duration     prometheus.Histogram
}

// NewSelf makes all families about the exporter, with those of the Go runtime
// and the process.
func NewSelf() *Self {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: selfPrefix + name, Help: help}, []string{labelNamespace})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: selfPrefix + name, Help: help}, append([]string{labelNamespace}, labels...))
	}
	s := &Self{
		Registry:     prometheus.NewRegistry(),
		hubUp:        gauge("_hub_up", "Whether the last refresh from the hub succeeded."),
		lastSuccess:  gauge("_last_refresh_success_timestamp_seconds", "When the last refresh succeeded."),
		users:        gauge("_users", "Users in the published snapshot."),
		memberships:  gauge("_memberships", "Memberships in the published snapshot."),
		failures:     counter("_refresh_failures_total", "Refreshes that failed, by reason.", labelReason),
		inconsistent: counter("_inconsistent_refreshes_total", "Refreshes during which the list of users changed each time it was read: somebody may be missing."),
		requests:     counter("_hub_requests_total", "Requests to the hub, by the answer's status code, 0 where none came.", labelCode),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: selfPrefix + "_refresh_duration_seconds", Help: "How long refreshes took, failed ones too.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}),
	}
	s.Registry.MustRegister(
		s.hubUp, s.lastSuccess, s.users, s.memberships, s.failures, s.inconsistent, s.requests, s.duration,
		version.NewCollector(selfPrefix), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return s
}

// Hub records what happens with one hub.
type Hub struct {
	self      *Self
	namespace string
}

// Hub starts the families of a hub: it is not up yet, and nothing has failed for
// any of the reasons, so that a rate sees the first failure.
func (s *Self) Hub(namespace string, reasons ...string) Hub {
	s.hubUp.WithLabelValues(namespace).Set(0)
	s.inconsistent.WithLabelValues(namespace)
	for _, reason := range reasons {
		s.failures.WithLabelValues(namespace, reason)
	}
	return Hub{s, namespace}
}

// Answered records a request with the answer's status code, 0 where none came.
func (h Hub) Answered(code int) {
	h.self.requests.WithLabelValues(h.namespace, strconv.Itoa(code)).Inc()
}

// Refreshed records a refresh that succeeded at a time, and what it brought.
func (h Hub) Refreshed(at time.Time, took time.Duration, snapshot *membership.Snapshot) {
	h.self.duration.Observe(took.Seconds())
	h.self.hubUp.WithLabelValues(h.namespace).Set(1)
	h.self.lastSuccess.WithLabelValues(h.namespace).Set(float64(at.UnixMilli()) / 1000)
	h.self.users.WithLabelValues(h.namespace).Set(float64(snapshot.Len()))
	h.self.memberships.WithLabelValues(h.namespace).Set(float64(snapshot.Memberships()))
}

// Inconsistent records that a refresh may have missed somebody.
func (h Hub) Inconsistent() { h.self.inconsistent.WithLabelValues(h.namespace).Inc() }

// Failed records a refresh that failed.
func (h Hub) Failed(took time.Duration, reason string) {
	h.self.duration.Observe(took.Seconds())
	h.self.hubUp.WithLabelValues(h.namespace).Set(0)
	h.self.failures.WithLabelValues(h.namespace, reason).Inc()
}

// Dropped records that the snapshot grew too old and is published no longer.
func (h Hub) Dropped() {
	h.self.users.DeleteLabelValues(h.namespace)
	h.self.memberships.DeleteLabelValues(h.namespace)
}
