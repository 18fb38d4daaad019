package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/server"
)

const hubText = "# TYPE hub_metric gauge\nhub_metric 1\n"

const selfText = "# HELP self_metric Self.\n# TYPE self_metric gauge\nself_metric 2\n"

type site struct {
	server.Handler
	state exporter.State
}

// newSite returns a handler with only the exporter's own metrics.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{state: exporter.State{Page: exposition.Join(sheet(t, "self_metric", "Self.", 2)), Status: exporter.Status{Version: "1.2.3", Hub: "http://hub/hub/api"}}}
	s.Handler = server.Handler{
		State:         func() *exporter.State { return &s.state },
		TelemetryPath: "/metrics", RoutePrefix: "/services/groups-exporter/", Log: discard(),
	}
	return s
}

func sheet(t *testing.T, name, help string, values ...float64) *exposition.Sheet {
	t.Helper()
	family := &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum()}
	if help != "" {
		family.Help = &help
	}
	for i := range values {
		family.Metric = append(family.Metric, &dto.Metric{Gauge: &dto.Gauge{Value: &values[i]}})
	}
	encoded, err := exposition.Encode(slices.Values([]*dto.MetricFamily{family}), exposition.Text, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// publish adds a metric of the hub with the given values, or with a single value by default.
func (s *site) publish(t *testing.T, values ...float64) {
	t.Helper()
	if len(values) == 0 {
		values = []float64{1}
	}
	s.state.Page = exposition.Join(sheet(t, "hub_metric", "", values...), sheet(t, "self_metric", "Self.", 2))
	s.state.Status.Refreshed = time.Now()
}

func (s *site) get(path string, header ...string) *http.Response {
	return s.send(http.MethodGet, path, header...)
}

func (s *site) send(method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
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
		t.Errorf("Content-Length is %s, body has %d bytes", length, len(data))
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
			t.Errorf("%s: status %d, want %d", path, got.StatusCode, want)
		}
	}
	s.publish(t)
	if got := s.get("/-/ready"); got.StatusCode != http.StatusOK {
		t.Errorf("/-/ready after the first refresh: status %d, want 200", got.StatusCode)
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
	if got := s.send("POST", "/metrics").StatusCode; got != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", got)
	}
}

func TestScrape(t *testing.T) {
	s := newSite(t)
	if got := body(t, s.get("/metrics")); got != selfText {
		t.Errorf("before the first refresh: got %q, want only the exporter's own metrics", got)
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
			t.Errorf("%q: got gzip %v, want %v", c.accept, isGzip, c.gzip)
		}
		if got := body(t, response); got != hubText+selfText {
			t.Errorf("%q: got the body %q, want %q", c.accept, got, hubText+selfText)
		}
		if got := response.Header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("got the Content-Type %q, want that of the text format", got)
		}
		if response.Header.Get("Vary") != "Accept-Encoding" || response.Header.Get("Content-Length") == "" {
			t.Errorf("got the headers %v, want Vary: Accept-Encoding and a Content-Length", response.Header)
		}
	}
}

// At the route prefix, the hub would take a response with 5xx for a service that is down.
func TestCheck(t *testing.T) {
	s := newSite(t)
	s.publish(t)
	s.Pprof, s.Reload = true, func() { t.Error("reloaded") }
	var refusal *server.Refusal
	s.Check = func(r *http.Request) *server.Refusal {
		if r.Header.Get("Authorization") == "let me in" {
			return nil
		}
		return refusal
	}
	const bare = "/services/groups-exporter"
	for _, path := range []string{"/", "/metrics", bare, bare + "/", bare + "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/nothing"} {
		for status, want := range map[int]int{401: 401, 403: 403, 503: 503} {
			if strings.TrimSuffix(path, "/") == bare && status == 503 {
				want = 403
			}
			refusal = &server.Refusal{Status: status, Reason: "because"}
			response := s.get(path)
			if got := body(t, response); response.StatusCode != want || got != "because\n" {
				t.Errorf("%s refused with %d: got status %d and %q", path, status, response.StatusCode, got)
			}
			if challenged := response.Header.Get("WWW-Authenticate") != ""; challenged != (want == 401) {
				t.Errorf("%s refused with %d: WWW-Authenticate present: %v", path, status, challenged)
			}
		}
		if path != "/nothing" && s.get(path, "Authorization", "let me in").StatusCode != http.StatusOK {
			t.Errorf("%s: accepted caller was refused", path)
		}
	}
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		if got := s.get(path).StatusCode; got != 200 {
			t.Errorf("%s: status %d, want 200 without a check", path, got)
		}
	}
	refusal = &server.Refusal{Status: 503}
	if got := s.send("POST", "/-/reload").StatusCode; got != 503 {
		t.Errorf("reload of a refused caller: status %d, want 503", got)
	}
}

func TestReload(t *testing.T) {
	s := newSite(t)
	reloads := 0
	check := func(what, method string, want, total int) {
		t.Helper()
		if got := s.send(method, "/-/reload").StatusCode; got != want || reloads != total {
			t.Errorf("%s, %s: got status %d and %d reloads so far, want %d and %d", what, method, got, reloads, want, total)
		}
	}
	check("disabled", "POST", http.StatusForbidden, 0)
	s.Reload = func() { reloads++ }
	check("enabled", "POST", http.StatusAccepted, 1)
	check("enabled", "PUT", http.StatusAccepted, 2)
	check("enabled", "GET", http.StatusMethodNotAllowed, 2)
}

// The profiles don't show the command line, which may contain a token.
func TestPprof(t *testing.T) {
	s := newSite(t)
	for path, enabled := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/symbol": 200,
		"/debug/pprof/cmdline": 404, "/debug/pprof/nothing": 404, "/debug/pprof": 404,
	} {
		for isEnabled, want := range map[bool]int{false: 404, true: enabled} {
			s.Pprof = isEnabled
			if got := s.get(path).StatusCode; got != want {
				t.Errorf("enabled %v, %s: status %d, want %d", isEnabled, path, got, want)
			}
		}
	}
}

func TestLanding(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	many := make([]exporter.GroupStatus, 600)
	numbered := []exporter.GroupStatus{{Name: "group-1", Members: 1}, {Name: "group-10", Members: 1}, {Name: "group-2", Members: 1}}
	for _, c := range []struct {
		what   string
		status exporter.Status
		has    []string
		hasNot []string
	}{
		{"before the first answer", exporter.Status{Version: "1.2.3", Hub: "http://hub/hub/api", Namespace: "prod"},
			[]string{"waiting for the first answer of the hub", "http://hub/hub/api", "prod", "1.2.3", `href="metrics"`}, []string{"Last refresh", "<table>", `class="error"`}},
		{"a hub that has never answered", exporter.Status{Error: "connection refused", Next: at},
			[]string{"the hub has not answered yet", `class="error">connection refused`, "2026-05-01 12:00:00 UTC"}, []string{"Last refresh", "<table>"}},
		{"up to date", exporter.Status{Refreshed: at, Next: at.Add(time.Minute), Published: true, Users: 37, Groups: []exporter.GroupStatus{{Name: "<b>&bio", Members: 12}}},
			[]string{"up to date", "2026-05-01 12:01:00 UTC", ">37<", "<td>&lt;b&gt;&amp;bio</td><td>12</td>"}, []string{`class="error"`, "more groups"}},
		{"a hub that fails", exporter.Status{Refreshed: at, Published: true, Error: "timeout"}, []string{"its last answer is still published", "timeout"}, nil},
		{"a hub that fails for too long", exporter.Status{Refreshed: at, Error: "timeout"}, []string{"too old to be published"}, []string{"<table>", "Users"}},
		{"groups in natural order", exporter.Status{Refreshed: at, Published: true, Groups: numbered}, []string{"<td>group-2</td><td>1</td></tr>\n<tr><td>group-10</td>"}, nil},
		{"more groups than are shown", exporter.Status{Refreshed: at, Published: true, Groups: many}, []string{"100 more groups are not shown."}, nil},
	} {
		s := newSite(t)
		s.state.Status = c.status
		response := s.get("/")
		page := body(t, response)
		for _, want := range c.has {
			if !strings.Contains(page, want) {
				t.Errorf("%s: missing %q in\n%s", c.what, want, page)
			}
		}
		for _, not := range c.hasNot {
			if strings.Contains(page, not) {
				t.Errorf("%s: got %q, want it left out, in\n%s", c.what, not, page)
			}
		}
		if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: got the Content-Security-Policy %q, want default-src 'none'", c.what, policy)
		}
		if reload := response.Header.Get("Refresh"); reload != "30" {
			t.Errorf("%s: got Refresh: %q, want 30", c.what, reload)
		}
	}
	if len(many) != 600 || numbered[1].Name != "group-10" {
		t.Error("the page changed the list of groups in the state")
	}
}

func TestServeWaitsForOpenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newInMemory()
		stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(4 * time.Second)
			_, _ = io.WriteString(w, "whole")
		}), "", discard(), listener)
		c := listener.dial("192.0.2.1")
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		go stop()
		if answer, _ := io.ReadAll(c); !strings.HasSuffix(string(answer), "\r\n\r\nwhole") {
			t.Errorf("open request: got %q, want the whole response", answer)
		}
	})
}

// manyValues returns values for a page that is large even when compressed.
func manyValues() []float64 {
	values := make([]float64, 100_000)
	for i := range values {
		values[i] = rand.Float64()
	}
	return values
}

// A client that never reads doesn't affect other clients, nor delay a stop.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(t, manyValues()...) // more than fits into the kernel's buffers
	size, listener := s.state.Page.Size(), listenTCP(t)
	stop := serve(t, &s.Handler, "", discard(), listener)
	deaf, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	if _, err := io.WriteString(deaf, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		response, err := http.Get("http://" + listener.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if got := body(t, response); int64(len(got)) < size {
			t.Errorf("another client: got %d bytes, want %d", len(got), size)
		}
		response.Body.Close()
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("the stop took %v, want about 5 s", took)
	}
}

// discardWriter is a ResponseWriter that discards the response.
type discardWriter http.Header

func (w discardWriter) Header() http.Header               { return http.Header(w) }
func (w discardWriter) Write(b []byte) (int, error)       { return len(b), nil }
func (w discardWriter) WriteHeader(int)                   {}
func (w discardWriter) WriteString(s string) (int, error) { return len(s), nil }

func TestAllocationsPerScrape(t *testing.T) {
	s := newSite(t)
	s.publish(t)
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for _, encoding := range []string{"gzip", "identity"} {
		request.Header.Set("Accept-Encoding", encoding)
		allocations := testing.AllocsPerRun(100, func() { s.ServeHTTP(discardWriter{}, request) })
		if allocations > 40 {
			t.Errorf("%s: %v allocations, want at most 40", encoding, allocations)
		}
	}
}
