package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// process describes a process that the benchmark starts from its own binary.
type process struct {
	kind   string // "hub", "limit", "gaugevec" or "constant"
	seed   uint64
	size   size
	source string // address of the server that the limit replays
}

// processFlag is the flag that the benchmark passes to these processes.
const processFlag = "role"

// String returns the process as a flag value.
func (p process) String() string {
	return fmt.Sprintf("%s %d %d %d %s", p.kind, p.seed, p.size.series, p.size.users, p.source)
}

// Set parses the result of String.
func (p *process) Set(text string) error {
	_, err := fmt.Sscanf(text+" .", "%s %d %d %d %s", &p.kind, &p.seed, &p.size.series, &p.size.users, &p.source)
	return err
}

// serve runs a server until ctx ends, and prints its address when it is ready. Without a kind, it does nothing.
func (p *process) serve(ctx context.Context) (err error) {
	defer recoverFailure(&err)
	var metrics http.Handler
	switch p.kind {
	case "hub":
		metrics = &cachedHub{hub: newPopulation(p.seed, p.size).hub(), responses: map[string]*httptest.ResponseRecorder{}}
	case "limit":
		metrics = replay(p.source)
	case "gaugevec":
		metrics = gaugeVec(newPopulation(p.seed, p.size).families())
	case "constant":
		metrics = constMetrics(newPopulation(p.seed, p.size).families())
	default:
		return nil
	}
	// The memory used for preparing the series doesn't count, neither as resident nor as the peak.
	debug.FreeOSMemory()
	check(os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
	mux := http.NewServeMux()
	mux.Handle("/", metrics)
	mux.HandleFunc("/debug/pprof/", pprof.Index) // counts allocations
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println("listening", listener.Addr())
	_ = server.Serve(listener) // returns when ctx ends
	return nil
}

// gaugeVec returns a handler that serves the families from vectors of gauges in a registry. This is the usual way to
// use client_golang.
func gaugeVec(families []family) http.Handler {
	r := registry()
	for _, f := range families {
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: f.name, Help: f.help}, f.labels)
		for _, row := range f.rows {
			vec.WithLabelValues(row.values...).Set(row.value)
		}
		check(r.Register(vec))
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// constMetrics returns a handler that creates constant metrics for each scrape.
func constMetrics(families []family) http.Handler {
	r := registry()
	check(r.Register(collector(families)))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type collector []family

func (collector) Describe(chan<- *prometheus.Desc) {} // unchecked

func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, f := range c {
		desc := prometheus.NewDesc(f.name, f.help, f.labels, nil)
		for _, row := range f.rows {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, row.value, row.values...)
		}
	}
}

// registry returns a registry with the same collectors as client_golang's default one.
func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	check(r.Register(collectors.NewGoCollector()))
	check(r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
	return r
}

// replay returns a handler that responds with the recorded headers and bytes of another server, plain or compressed.
// No server that sends the same response can be faster.
func replay(address string) http.Handler {
	type response struct {
		header http.Header
		body   []byte
	}
	record := func(encoding string) response {
		c := dial(address, encoding)
		defer c.close()
		var body bytes.Buffer
		header := must(c.do(http.MethodGet, metricsPath, &body))
		header.Del("Date") // net/http adds the current one
		return response{header, bytes.Clone(body.Bytes())}
	}
	plain, compressed := record("identity"), record("gzip")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := plain
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			recorded = compressed
		}
		maps.Copy(w.Header(), recorded.header)
		_, _ = w.Write(recorded.body)
	})
}

// cachedHub caches the responses of a hub, so that the time of a refresh is mostly the exporter's. It prints the time
// at which each refresh requests its first page of users.
type cachedHub struct {
	hub       http.Handler
	mu        sync.Mutex
	responses map[string]*httptest.ResponseRecorder
}

func (m *cachedHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	key := r.Host + r.URL.String()
	a := m.responses[key]
	if a == nil {
		a = httptest.NewRecorder()
		m.hub.ServeHTTP(a, r)
		m.responses[key] = a
	}
	m.mu.Unlock()
	maps.Copy(w.Header(), a.Header())
	w.WriteHeader(a.Code)
	if offset := r.URL.Query().Get("offset"); strings.HasSuffix(r.URL.Path, "/users") && (offset == "" || offset == "0") {
		fmt.Println("refresh started", time.Now().UnixNano())
	}
	_, _ = w.Write(a.Body.Bytes())
}
