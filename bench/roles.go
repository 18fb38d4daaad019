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

// role is what this process is, where it isn't the one that measures.
type role struct {
	name string
	seed uint64
	size size
	from string // address of the metrics that the limit repeats
}

// roleFlag is the flag that a process of another role is started with.
const roleFlag = "role"

func (r role) String() string {
	return fmt.Sprintf("%s %d %d %d %s", r.name, r.seed, r.size.series, r.size.users, r.from)
}

// Set reads what String gives: a role is a flag's value.
func (r *role) Set(text string) error {
	_, err := fmt.Sscanf(text+" .", "%s %d %d %d %s", &r.name, &r.seed, &r.size.series, &r.size.users, &r.from)
	return err
}

// serve says where it listens when it is ready, and serves until ctx ends.
func (r *role) serve(ctx context.Context) (err error) {
	defer caught(&err)
	var metrics http.Handler
	switch r.name {
	case "hub":
		metrics = &memo{hub: newCampus(r.seed, r.size).hub(), answers: map[string]*httptest.ResponseRecorder{}}
	case "limit":
		metrics = repeat(r.from)
	case "gaugevec":
		metrics = gaugeVec(newCampus(r.seed, r.size).families())
	case "constant":
		metrics = constants(newCampus(r.seed, r.size).families())
	default:
		return nil
	}
	// What making it took doesn't count, neither now nor at the peak.
	debug.FreeOSMemory()
	check(os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
	mux := http.NewServeMux()
	mux.Handle("/", metrics)
	mux.HandleFunc("/debug/pprof/", pprof.Index) // which counts allocations
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println("listening", listener.Addr())
	_ = server.Serve(listener) // it ends with ctx
	return nil
}

// gaugeVec is what anyone would write: a vector of gauges in a registry.
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

// constants makes constant metrics for each scrape.
func constants(families []family) http.Handler {
	r := registry()
	check(r.Register(collector(families)))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type collector []family

func (collector) Describe(chan<- *prometheus.Desc) {} // an unchecked one

func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, f := range c {
		desc := prometheus.NewDesc(f.name, f.help, f.labels, nil)
		for _, row := range f.rows {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, row.value, row.values...)
		}
	}
}

// registry has what client_golang's default one has.
func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	check(r.Register(collectors.NewGoCollector()))
	check(r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
	return r
}

// repeat answers with the bytes and headers that another server answered once, plain and
// compressed. No server that has to send them can be quicker.
func repeat(address string) http.Handler {
	type answer struct {
		header http.Header
		body   []byte
	}
	get := func(encoding string) answer {
		c := dial(address, encoding)
		defer c.close()
		var body bytes.Buffer
		header := must(c.do(http.MethodGet, metricsPath, &body))
		header.Del("Date") // a server's own
		return answer{header, bytes.Clone(body.Bytes())}
	}
	plain, compressed := get("identity"), get("gzip")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := plain
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			a = compressed
		}
		maps.Copy(w.Header(), a.header)
		_, _ = w.Write(a.body)
	})
}

// memo gives a hub's answers again: beside a hub that answers quickly one sees what the
// exporter takes. It says when it begins to answer the first page of users.
type memo struct {
	hub     http.Handler
	mu      sync.Mutex
	answers map[string]*httptest.ResponseRecorder
}

func (m *memo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	key := r.Host + r.URL.String()
	a := m.answers[key]
	if a == nil {
		a = httptest.NewRecorder()
		m.hub.ServeHTTP(a, r)
		m.answers[key] = a
	}
	m.mu.Unlock()
	maps.Copy(w.Header(), a.Header())
	w.WriteHeader(a.Code)
	if offset := r.URL.Query().Get("offset"); strings.HasSuffix(r.URL.Path, "/users") && (offset == "" || offset == "0") {
		fmt.Println("asked", time.Now().UnixNano())
	}
	_, _ = w.Write(a.Body.Bytes())
}
