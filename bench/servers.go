package main

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The servers that the benchmark starts from its own binary. They serve what groups-exporter serves.
const (
	limit        = "limit"
	clientGolang = "client_golang"
)

// serve runs a server with the series of another one until the process is terminated, and prints its address.
func serve(kind, source string) {
	var handler http.Handler
	switch kind {
	case limit:
		handler = replay(source)
	case clientGolang:
		handler = gaugeVec(source)
	}
	// The memory used for preparing the series doesn't count, neither as resident nor as the peak.
	debug.FreeOSMemory()
	check(os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println("listening", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	check(server.Serve(listener))
}

// replay returns a handler that responds with the recorded header and bytes of another server. No server that sends the
// same response can be faster.
func replay(address string) http.Handler {
	c := dial(address)
	defer c.close()
	var page bytes.Buffer
	header := must(c.do(http.MethodGet, metricsPath, &page))
	header.Del("Date") // net/http adds the current one
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		_, _ = w.Write(page.Bytes())
	})
}

// gaugeVec returns a handler that serves the families of another server from vectors of gauges in a registry, with the
// collectors of the default registry. This is the usual way to use client_golang.
func gaugeVec(address string) http.Handler {
	c := dial(address)
	defer c.close()
	r := prometheus.NewRegistry()
	check(r.Register(collectors.NewGoCollector()))
	check(r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
	for name, family := range c.families(metricsPath) {
		var labels []string
		for _, l := range family.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: family.GetHelp()}, labels)
		for _, m := range family.Metric {
			values := prometheus.Labels{}
			for _, l := range m.Label {
				values[l.GetName()] = l.GetValue()
			}
			vec.With(values).Set(m.GetGauge().GetValue())
		}
		check(r.Register(vec))
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
