package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/server"
)

const hubText = "# TYPE hub_metric gauge\nhub_metric 1\n"

type site struct {
	server.Handler
	page  atomic.Pointer[exposition.Page]
	ready atomic.Bool
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "self_metric", Help: "Self."}, func() float64 { return 2 }))
	s.Handler = server.Handler{
		Page: s.page.Load, Ready: s.ready.Load, Self: registry,
		TelemetryPath: "/metrics", RoutePrefix: "/services/groups-exporter/",
		Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
	}
	return s
}

func (s *site) publish(t *testing.T) {
	t.Helper()
	name, value, kind := "hub_metric", 1.0, dto.MetricType_GAUGE
	page, err := exposition.Encode(func(yield func(*dto.MetricFamily) bool) {
		yield(&dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}}})
	}, exposition.Text)
	if err != nil {
		t.Fatal(err)
	}
	s.page.Store(page)
	s.ready.Store(true)
}

func (s *site) get(path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if length := r.Header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(data)) {
		t.Errorf("Content-Length %s, body %d", length, len(data))
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		reader, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
	return string(data)
}

func TestPaths(t *testing.T) {
	s := newSite(t)
	for path, want := range map[string]int{
		"/metrics": 200, "/services/groups-exporter/metrics": 200, "/services/groups-exporter/": 200, "/services/groups-exporter": 200,
		"/": 200, "/-/healthy": 200, "/-/ready": 503, "/metrics/": 404, "/other": 404, "/services/other/": 404,
	} {
		if got := s.get(path); got.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, got.StatusCode, want)
		}
	}
	s.publish(t)
	if got := s.get("/-/ready"); got.StatusCode != http.StatusOK {
		t.Errorf("/-/ready after the first refresh: %d", got.StatusCode)
	}

	s.TelemetryPath, s.RoutePrefix = "/a{b}", "/"
	for path, want := range map[string]int{"/a{b}": 200, "/": 200, "/metrics": 404} {
		if got := s.get(strings.NewReplacer("{", "%7B", "}", "%7D").Replace(path)); got.StatusCode != want {
			t.Errorf("with other paths, %s: %d, want %d", path, got.StatusCode, want)
		}
	}
	for _, prefix := range []string{"/my%20lab/services/x/", "/my lab/services/x/"} {
		s.TelemetryPath, s.RoutePrefix = "/metrics", prefix
		for path, want := range map[string]int{"/my%20lab/services/x/": 200, "/my%20lab/services/x/metrics": 200, "/my%2520lab/services/x/": 404} {
			if got := s.get(path); got.StatusCode != want {
				t.Errorf("with the prefix %q, %s: %d, want %d", prefix, path, got.StatusCode, want)
			}
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestScrape(t *testing.T) {
	s := newSite(t)
	const self = "# HELP self_metric Self.\n# TYPE self_metric gauge\nself_metric 2\n"
	if got := body(t, s.get("/metrics")); got != self {
		t.Errorf("before the first refresh: %q", got)
	}
	s.publish(t)
	for _, c := range []struct {
		accept []string
		gzip   bool
	}{
		{nil, false},
		{[]string{"gzip"}, true},
		{[]string{"deflate, gzip;q=1.0, *;q=0.5"}, true},
		{[]string{"deflate", "x-gzip"}, true},
		{[]string{"GZip ; q=0.3"}, true},
		{[]string{"*"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"*, gzip;q=0.0"}, false},
		{[]string{"*;q=0"}, false},
		{[]string{"identity"}, false},
		{[]string{"br, zstd"}, false},
		{[]string{"gzip;q=bad"}, false},
	} {
		var headers []string
		for _, value := range c.accept {
			headers = append(headers, "Accept-Encoding", value)
		}
		response := s.get("/metrics", headers...)
		if isGzip := response.Header.Get("Content-Encoding") == "gzip"; isGzip != c.gzip {
			t.Errorf("%q: gzip is %v", c.accept, isGzip)
		}
		if got := body(t, response); got != hubText+self {
			t.Errorf("%q: %q", c.accept, got)
		}
		if got := response.Header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
		if response.Header.Get("Vary") != "Accept-Encoding" || response.Header.Get("Content-Length") == "" {
			t.Errorf("headers %v", response.Header)
		}
	}
}

func TestLanding(t *testing.T) {
	s := newSite(t)
	before := body(t, s.get("/"))
	s.publish(t)
	after := body(t, s.get("/"))
	if !strings.Contains(before, "No refresh has succeeded yet") || strings.Contains(after, "No refresh") {
		t.Error("the page doesn't tell whether the hub was read")
	}
	if !strings.Contains(after, `href="metrics"`) || !strings.Contains(after, "1.2.3") {
		t.Errorf("page: %s", after)
	}
}

func TestServeStopsAfterOpenRequests(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(w, "whole")
	})
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		data, _ := io.ReadAll(response.Body)
		answer <- string(data)
	}()
	<-entered
	cancel()
	if got := <-answer; got != "whole" {
		t.Errorf("an open request got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeSaysWhatFailed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := server.Serve(t.Context(), listener, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a closed listener is no error")
	}
}
