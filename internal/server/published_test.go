package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/server"
)

func selfText(t *testing.T, p *server.Published) string {
	t.Helper()
	var text strings.Builder
	if _, err := p.State().Self.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// The exporter's own metrics are younger than 5 s, and after an update they are current.
func TestPublishedMetricsAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, start := prometheus.NewRegistry(), time.Now()
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "age", Help: "Age."}, func() float64 {
			return time.Since(start).Seconds()
		}))
		self := server.NewPublished(registry, server.Status{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go self.Run(ctx)
		for range 3 {
			time.Sleep(4999 * time.Millisecond)
			synctest.Wait()
			_, value, _ := strings.Cut(selfText(t, self), "\nage ")
			gathered, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || time.Since(start).Seconds()-gathered >= 5 {
				t.Errorf("after %v what is told is of %q: %v", time.Since(start), value, err)
			}
		}
		self.Update(func(*server.State) {})
		if text := selfText(t, self); !strings.HasSuffix(text, "age 14.997\n") {
			t.Errorf("gathered after 14.997 s: %s", text)
		}
	})
}

// A scrape during an update gets the page and the metrics of before, and then those of after.
func TestPageAndMetricsSwitchTogether(t *testing.T) {
	gathering, release := make(chan struct{}), make(chan struct{})
	users := prometheus.NewGauge(prometheus.GaugeOpts{Name: "users", Help: "Users."})
	registry := prometheus.NewRegistry()
	registry.MustRegister(users)
	s := newSite(t)
	wait := false
	s.published = server.NewPublished(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		if wait {
			gathering <- struct{}{}
			<-release
		}
		return registry.Gather()
	}), server.Status{}, s.Log)
	before := body(t, s.get("/metrics"))
	if s.get("/-/ready").StatusCode != http.StatusServiceUnavailable || !strings.HasSuffix(before, "users 0\n") {
		t.Fatalf("at first: %s", before)
	}
	wait = true
	updated := make(chan struct{})
	go func() {
		defer close(updated)
		users.Set(1)
		s.publish(t)
	}()
	<-gathering
	if got := body(t, s.get("/metrics")); got != before || s.get("/-/ready").StatusCode != http.StatusServiceUnavailable {
		t.Errorf("during the update: %s", got)
	}
	close(release)
	<-updated
	if got := body(t, s.get("/metrics")); !strings.HasPrefix(got, hubText) || !strings.HasSuffix(got, "users 1\n") || s.get("/-/ready").StatusCode != http.StatusOK {
		t.Errorf("after the update: %s", got)
	}
}

// nowhere is a client that takes all and keeps nothing.
type nowhere http.Header

func (n nowhere) Header() http.Header               { return http.Header(n) }
func (n nowhere) Write(b []byte) (int, error)       { return len(b), nil }
func (n nowhere) WriteHeader(int)                   {}
func (n nowhere) WriteString(s string) (int, error) { return len(s), nil }

// A scrape gathers nothing.
func TestAllocationsPerAnswer(t *testing.T) {
	s := newSite(t)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.published = server.NewPublished(registry, server.Status{}, s.Log)
	s.publish(t)
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for _, encoding := range []string{"gzip", "identity"} {
		request.Header.Set("Accept-Encoding", encoding)
		allocations := testing.AllocsPerRun(100, func() { s.ServeHTTP(nowhere{}, request) })
		if allocations > 40 {
			t.Errorf("%s: %v allocations", encoding, allocations)
		}
		t.Logf("%s: %v allocations", encoding, allocations)
	}
}
