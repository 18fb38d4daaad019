package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/clock"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// textOf returns what a scrape gets of a state.
func textOf(t *testing.T, s *server.State) string {
	t.Helper()
	var text strings.Builder
	for _, part := range []io.WriterTo{s.Page, s.Self} {
		if _, err := part.WriteTo(&text); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// snapshotOf returns a snapshot with so many users.
func snapshotOf(n int) *membership.Snapshot {
	var users []membership.User
	for i := range n {
		users = append(users, membership.User{Name: fmt.Sprint("user", i)})
	}
	return membership.New("n", membership.NewListing(time.Now(), users...), membership.Rules{})
}

// A scrape that comes after a suspend gets nothing that is too old, and asks for it anew: of
// the hub, and of Prometheus for each resource on its own.
func TestAScrapeGetsNothingTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		suspended := map[string]time.Duration{}
		clockOf := func(source string) func() clock.Instant {
			return func() clock.Instant {
				now := clock.Now()
				now.Wall = now.Wall.Add(suspended[source])
				return now
			}
		}
		e := newExporter(serveOptions{
			publish: publishOptions{maxSeries: 100}, interval: time.Hour, maxStaleness: 2 * time.Hour,
			hub:   hubOptions{api: &url.URL{}, namespace: "n"},
			usage: usageOptions{client: &usage.Client{}, attribution: usage.Full, interval: time.Hour, homeDirInterval: time.Hour},
		}, slog.New(slog.DiscardHandler))
		e.hub.Clock = clockOf("hub")
		e.hub.Refresh = func(context.Context) (*membership.Snapshot, error) { return snapshotOf(1), nil }
		e.sources.Refresh = func(context.Context) (*usage.Sources, error) { return &usage.Sources{}, nil }
		for i, resource := range e.resources {
			e.usages[i].Clock = clockOf(string(resource))
			e.usages[i].Refresh = func(context.Context) (*usage.Answer, error) {
				return &usage.Answer{Resource: resource, Values: map[string]float64{"user0": 1}}, nil
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); e.run(ctx) }()
		synctest.Wait()
		stop() // so that nothing is refreshed meanwhile
		<-done

		has := func(want bool, parts ...string) {
			t.Helper()
			text := textOf(t, e.state())
			for _, part := range parts {
				if strings.Contains(text, "\n"+part) != want {
					t.Errorf("%q is there: %v, in\n%s", part, !want, text)
				}
			}
		}
		// What is said of the page holds for the page, also when usage alone has changed.
		sized := func() {
			t.Helper()
			page := e.state().Page
			var text strings.Builder
			if _, err := page.WriteTo(&text); err != nil {
				t.Fatal(err)
			}
			series := len(regexp.MustCompile(`(?m)^[^#]`).FindAllString(text.String(), -1))
			has(true, fmt.Sprintf("groups_exporter_page_size_bytes{namespace=\"n\"} %d\n", text.Len()), fmt.Sprintf("groups_exporter_page_series{namespace=\"n\"} %d\n", series))
		}
		sized()
		const hubMetric, ofHub = "jupyterhub_user_group_info{", "groups_exporter_users{"
		const cpu, memory = "jupyterhub_user_group_cpu_seconds{", "jupyterhub_user_group_memory_bytes{"
		has(true, hubMetric, ofHub, cpu, memory)
		suspended[string(metrics.CPU)] = 2 * time.Hour
		has(false, cpu)
		sized()
		has(true, hubMetric, ofHub, memory)
		suspended["hub"] = 2 * time.Hour
		has(false, hubMetric, ofHub, cpu, memory, "groups_exporter_page_")
		if status := e.state().Status; status.Published || len(status.Groups) > 0 {
			t.Errorf("the landing page shows it: %+v", status)
		}
		for i, reload := range e.reloads {
			if want := i == 0 || e.resources[i-1] == metrics.CPU; len(reload) == 1 != want {
				t.Errorf("source %d is asked at once: %v", i, !want)
			}
		}
	})
}

// Callers who could read before an outage of the hub can read as long as memberships are published.
func TestCallersStayInDuringAnOutage(t *testing.T) {
	var h fakehub.Hub
	var down atomic.Bool
	h.Grant("prometheus", "read:metrics")
	h.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		return down.Load()
	}
	server := httptest.NewUnstartedServer(&h)
	server.Config.SetKeepAlivesEnabled(false) // an idle connection would stop the clock of the bubble
	server.Start()
	defer server.Close()
	synctest.Test(t, func(t *testing.T) {
		api, err := hub.APIURL(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		o := serveOptions{
			publish: publishOptions{maxSeries: 100}, interval: time.Minute, maxStaleness: 20 * time.Minute,
			hub: hubOptions{api: api, namespace: "n", timeout: time.Minute}, web: webOptions{telemetryPath: "/metrics", auth: authHub, enough: []string{"read:metrics"}},
		}
		handler := newExporter(o, slog.New(slog.DiscardHandler)).handler(o)
		statusOf := func(token string) int {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w.Code
		}
		want := func(when, token string, status int) {
			t.Helper()
			if got := statusOf(token); got != status {
				t.Errorf("%s, %s: %d, want %d", when, token, got, status)
			}
		}
		want("before the outage", "prometheus", http.StatusOK)
		down.Store(true)
		time.Sleep(20 * time.Minute)
		want("during the outage", "prometheus", http.StatusOK)
		want("during the outage", "unknown", http.StatusServiceUnavailable)
		time.Sleep(5 * time.Minute)
		want("when nothing is published any more", "prometheus", http.StatusServiceUnavailable)
		down.Store(false)
		want("after the outage", "prometheus", http.StatusOK)
		want("after the outage", "unknown", http.StatusUnauthorized)
	})
}

// Users on a page and users in the exporter's own metrics are of the same refresh.
func TestAScrapeIsOfOneRefresh(t *testing.T) {
	e := newExporter(serveOptions{
		publish: publishOptions{maxSeries: 1000}, hub: hubOptions{api: &url.URL{}, namespace: "n"},
	}, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			switch i % 4 {
			case 3:
				e.drop()
			default:
				if _, err := e.replace(snapshotOf(1 + i%4)); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		text := textOf(t, e.state())
		users := strings.Count(text, "\njupyterhub_user_group_info{")
		want := fmt.Sprintf("\ngroups_exporter_users{namespace=\"n\"} %d\n", users)
		if users == 0 && strings.Contains(text, "\ngroups_exporter_users{") || users > 0 && !strings.Contains(text, want) {
			t.Fatalf("%d users on the page, and the exporter's own metrics are of another refresh:\n%s", users, text)
		}
	}
}
