package history_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// memberships returns users in 50 groups.
func memberships(users int) map[string][]string {
	all := map[string][]string{}
	for i := range users {
		all[fmt.Sprintf("user-%d", i)] = []string{fmt.Sprintf("group-%d", i%50)}
	}
	return all
}

// counting counts all requests to a server, and the requests at the same time.
type counting struct {
	http.RoundTripper
	requests, now, most atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	now := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	return c.RoundTripper.RoundTrip(r)
}

// clientOf returns a client of a server.
func clientOf(tb testing.TB, server http.RoundTripper) *prometheus.Client {
	tb.Helper()
	client, err := prometheus.New(prometheus.Options{
		URL: &url.URL{Scheme: "http", Host: "prometheus.invalid"}, HTTP: config.DefaultHTTPClientConfig, Timeout: time.Minute, Transport: server,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// read reads some days of October as one period.
func read(tb testing.TB, server http.RoundTripper, days int) *history.Result {
	tb.Helper()
	result, err := readMapped(tb, server, days, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

// readMapped reads some days of October as one period, with a group map.
func readMapped(tb testing.TB, server http.RoundTripper, days int, m *groupmap.Map) (*history.Result, error) {
	tb.Helper()
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	return history.Read(context.Background(), history.Options{
		Client: clientOf(tb, server), GroupMap: m, IsServer: func(pod string) bool { return strings.HasPrefix(pod, "jupyter-") }, IsExcluded: func(string) bool { return false },
		None: "none", Multiple: "multiple", Lookback: time.Hour, Progress: func(int, int) {},
	}, []report.Period{{From: from, To: from.AddDate(0, 0, days)}})
}

// The memberships at the beginning of a period are known from the scrape before it, also if the lookback is shorter.
func TestShortLookback(t *testing.T) {
	from := time.Date(2026, 10, 1, 0, 2, 0, 0, time.UTC) // a scrape is at 00:00, the next one at 00:05
	result, err := history.Read(t.Context(), history.Options{
		Client: clientOf(t, fakeprometheus.New("hub", memberships(40))), IsServer: func(string) bool { return true }, IsExcluded: func(string) bool { return false },
		None: "none", Multiple: "multiple", Lookback: time.Minute, Progress: func(int, int) {},
	}, []report.Period{{From: from, To: from.Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range result.Coverage {
		if c.Source == "memberships" && (len(c.Gaps) > 0 || c.Covered != 1) {
			t.Errorf("got %+v, want no gap", c)
		}
	}
}

// total returns the sum of a measure over all users.
func total(r *history.Result, m report.Measure) float64 {
	sum := 0.0
	for _, use := range r.Uses[0].Uses {
		sum += use.Amounts[m]
	}
	return sum
}

// Days add up, each user has the groups that were recorded, and all sources are covered.
func TestRead(t *testing.T) {
	users := memberships(40)
	server := fakeprometheus.New("hub", users)
	week := read(t, server, 7)
	if want := []string{"hub"}; !slices.Equal(week.Namespaces, want) {
		t.Errorf("got namespaces %q, want %q", week.Namespaces, want)
	}
	for _, use := range week.Uses[0].Uses {
		if use.Kind == report.Known && !slices.Equal(use.Groups, users[use.User]) {
			t.Errorf("got groups %q of %s, want %q", use.Groups, use.User, users[use.User])
		}
	}
	for _, c := range week.Coverage {
		if c.Covered != 1 || len(c.Gaps) > 0 {
			t.Errorf("got coverage %+v, want all of the period", c)
		}
	}
	day := read(t, server, 1)
	for _, m := range []report.Measure{report.ServerHours, report.CPU, report.Memory, report.MemoryRequested, report.Home} {
		if one, all := total(day, m), total(week, m); one <= 0 || all <= one {
			t.Errorf("got %s %v on a day and %v in its week", m, one, all)
		}
	}
}

// If a server refuses to evaluate more than six hours at once, the numbers are the same.
func TestSplitQueries(t *testing.T) {
	server := fakeprometheus.New("hub", memberships(40))
	whole := read(t, server, 2)
	split := read(t, refusing{server}, 2)
	for _, m := range report.Measures() {
		if got, want := total(split, m), total(whole, m); math.Abs(got-want) > 1e-9*want {
			t.Errorf("got %s %v in parts, want %v", m, got, want)
		}
	}
	if diff := cmp.Diff(whole.Coverage, split.Coverage); diff != "" {
		t.Errorf("-whole +split:\n%s", diff)
	}
}

// The time for which sizes of directories are known is the same if the server refuses to count them over a day.
func TestSplitHomeHours(t *testing.T) {
	server := lacking{fakeprometheus.New("hub", memberships(40))} // else they needn't be counted
	for what, server := range map[string]http.RoundTripper{"whole": server, "split": refusing{server}} {
		if got, want := read(t, server, 2).Uses[0].HomeHours["hub"], 48.0; got != want {
			t.Errorf("%s: got sizes for %v hours, want %v", what, got, want)
		}
	}
}

// A sample at the very beginning of a day counts, so a gap after it begins when the next sample is missing.
func TestGapAfterTheFirstSample(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 10, 1, 0, minute, 0, 0, time.UTC) }
	want := []report.Gap{{Period: report.Period{From: at(5), To: at(20)}}}
	for _, c := range read(t, lacking{fakeprometheus.New("hub", memberships(40))}, 1).Coverage {
		if c.Source == "directories" && !slices.Equal(c.Gaps, want) {
			t.Errorf("got the gaps %v, want %v", c.Gaps, want)
		}
	}
}

// lacking is a server that has no samples of the sizes of directories from 00:05 to 00:15.
type lacking struct{ http.RoundTripper }

func (s lacking) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.Form.Get("query"), promql.DirectorySize) {
		return response, err
	}
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			Type   string       `json:"resultType"`
			Result model.Matrix `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	for _, series := range answer.Data.Result {
		series.Values = slices.DeleteFunc(series.Values, func(one model.SamplePair) bool {
			at := one.Timestamp.Time().UTC()
			return at.Hour() == 0 && at.Minute() >= 5 && at.Minute() <= 15
		})
	}
	text, err := json.Marshal(answer)
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response, err
}

// refusing is a server that refuses sums over more than six hours.
type refusing struct{ http.RoundTripper }

func (s refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	if query := r.Form.Get("query"); strings.HasPrefix(query, "sum_over_time") && (strings.Contains(query, "[86400s:") || strings.Contains(query, "[43200s:")) {
		return tooLarge(r), nil
	}
	return s.RoundTripper.RoundTrip(r)
}

// tooLarge returns the response to a query that would load too many samples.
func tooLarge(r *http.Request) *http.Response {
	return &http.Response{
		StatusCode: http.StatusUnprocessableEntity, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`)),
	}
}

// Servers whose series lack the label uid have as many sessions if their points have to be read in parts.
func TestSplitSessions(t *testing.T) {
	users := memberships(40)
	got := 0
	for _, use := range read(t, twoSessions{fakeprometheus.New("hub", users)}, 1).Uses[0].Uses {
		got += len(use.Sessions)
	}
	if want := 2 * len(users); got != want {
		t.Errorf("got %d sessions, want %d", got, want)
	}
}

// twoSessions is a server whose series lack the label uid. At single points, the server of each user ran from 02:00 to 03:00
// and from 20:00 to 21:00. It refuses ranges of more than six hours.
type twoSessions struct{ http.RoundTripper }

func (s twoSessions) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Path != "/api/v1/query_range" {
		text, err := io.ReadAll(response.Body)
		response.Body = io.NopCloser(bytes.NewReader(regexp.MustCompile(`,"uid":"[^"]*"`).ReplaceAll(text, nil)))
		return response, err
	}
	from, to := unix(r.Form.Get("start")), unix(r.Form.Get("end"))
	if to-from > 6*3600 {
		return tooLarge(r), nil
	}
	var series []string
	for user := range memberships(40) {
		var points []string
		for at := from; at <= to; at += unix(r.Form.Get("step")) {
			if hour := time.Unix(at, 0).UTC().Hour(); hour == 2 || hour == 20 {
				points = append(points, fmt.Sprintf(`[%d, "1"]`, at))
			}
		}
		if len(points) > 0 {
			series = append(series, fmt.Sprintf(`{"metric": {"namespace": "hub", "pod": "jupyter-%s"}, "values": [%s]}`, user, strings.Join(points, ", ")))
		}
	}
	response.StatusCode = http.StatusOK
	response.Body = io.NopCloser(strings.NewReader(`{"status": "success", "data": {"resultType": "matrix", "result": [` + strings.Join(series, ", ") + `]}}`))
	return response, nil
}

// unix returns a time or a number of seconds in a request.
func unix(text string) int64 {
	seconds, _ := strconv.ParseFloat(text, 64)
	return int64(seconds)
}

// The number of requests grows with the days and not with the users. No more than two run at a time.
func TestRequests(t *testing.T) {
	count := func(users, days int) int64 {
		server := &counting{RoundTripper: fakeprometheus.New("hub", memberships(users))}
		read(t, server, days)
		if most := server.most.Load(); most > 2 {
			t.Errorf("got %d requests at the same time, want 2 at most", most)
		}
		return server.requests.Load()
	}
	one, three := count(40, 1), count(40, 3)
	const perDay = 30
	if each := (three - one) / 2; each > perDay {
		t.Errorf("got %d requests for each day, want %d at most", each, perDay)
	}
	if small, large := count(300, 1), count(3000, 1); small != large {
		t.Errorf("got %d requests for 300 users and %d for 3,000, want the same", small, large)
	}
}

// A day of a large hub takes a dozen queries, and one for every 100 users who changed, whatever happened to the exporter.
func TestReadTimelinesQueries(t *testing.T) {
	const users, changed = 300, 150
	hub := func(group string, times []time.Time, instance string) stored {
		var all stored
		for i := range users {
			all = append(all, member(fmt.Sprint("user", i), group, times, "instance", instance))
		}
		return all
	}
	day, noon := every(5*minutes, 0, 24*hours), 12*hours
	var failed []time.Time
	for i, when := range day {
		if i < 100 || i%25 != 0 {
			failed = append(failed, when)
		}
	}
	var changes stored
	for i := range changed {
		changes = append(changes, member(fmt.Sprint("user", i), "bio", every(5*minutes, 3*hours, 7*hours), "instance", "a"))
	}
	const few, more = 12 + 2*changed/100, 40 // if the interval changes, each hour or so is counted separately
	for name, all := range map[string]stored{
		"a constant hub":    hub("all", day, "a"),
		"a restart":         slices.Concat(hub("all", every(5*minutes, 0, noon), "a"), hub("all", every(5*minutes, noon+2*minutes, 24*hours), "b")),
		"a gap":             slices.Concat(hub("all", every(5*minutes, 0, noon), "a"), hub("all", every(5*minutes, noon+77*minutes, 24*hours), "b")),
		"new names":         slices.Concat(hub("all", every(5*minutes, 0, noon), "a"), hub("new", every(5*minutes, noon+20*time.Second, 24*hours), "b")),
		"late new names":    slices.Concat(hub("all", every(5*minutes, 0, 23*hours+49*minutes), "a"), hub("new", every(5*minutes, 23*hours+50*minutes, 24*hours), "a")),
		"failed scrapes":    hub("all", failed, "a"),
		"a longer interval": hub("all", slices.Concat(every(minutes, 0, noon), every(5*minutes, noon, 24*hours)), "a"),
		"two exporters":     slices.Concat(hub("all", day, "a"), hub("all", every(5*minutes, 100*time.Second, 24*hours), "b")),
	} {
		server := &counting{RoundTripper: slices.Concat(changes, all)}
		if _, err := history.ReadTimelines(t.Context(), clientOf(t, server), 20_000, start, start.Add(24*hours)); err != nil {
			t.Fatal(err)
		}
		limit := int64(few)
		if name == "a longer interval" {
			limit = more
		}
		got := server.requests.Load()
		t.Logf("%s: %d queries", name, got)
		if got > limit {
			t.Errorf("%s: got %d queries, want %d at most", name, got, limit)
		}
	}
}

// BenchmarkMonth reads a month from a server in memory, which takes about as long as the reader.
func BenchmarkMonth(b *testing.B) {
	for _, users := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			server := fakeprometheus.New("hub", memberships(users))
			b.ReportAllocs()
			for b.Loop() {
				read(b, server, 31)
			}
		})
	}
}
