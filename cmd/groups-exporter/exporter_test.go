package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// Callers who could read before an outage of the hub can read as long as memberships are published. An outage can also
// be a service mesh that refuses the requests.
func TestCallersStayInDuringAnOutage(t *testing.T) {
	for _, status := range []int{http.StatusBadGateway, http.StatusForbidden} {
		t.Run(http.StatusText(status), func(t *testing.T) { testOutage(t, status) })
	}
}

func testOutage(t *testing.T, status int) {
	var h fakehub.Hub
	var down atomic.Bool
	h.Grant("prometheus", "read:metrics")
	h.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			w.Header().Del("X-JupyterHub-Version")
			w.WriteHeader(status)
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
			publish: publishOptions{maxSeries: 100}, schedules: scheduleOptions{hub: time.Minute, maxStaleness: 20 * time.Minute},
			hub: hubOptions{api: api, namespace: "n", timeout: time.Minute}, web: webOptions{telemetryPath: "/metrics", auth: authHub, enough: []string{"read:metrics"}},
		}
		log := slog.New(slog.DiscardHandler)
		handler := o.handler(o.exporter(log), log)
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
				t.Errorf("%s, %s: got %d, want %d", when, token, got, status)
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
