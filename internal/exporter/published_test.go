package exporter

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// textOf returns the text of a scrape.
func textOf(t *testing.T, page *exposition.Page) string {
	t.Helper()
	var text strings.Builder
	if _, err := page.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// The exporter's own metrics are at most 5 s old, and current after an update.
func TestPublishedMetricsAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, start := prometheus.NewRegistry(), time.Now()
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "age", Help: "Age."}, func() float64 {
			return time.Since(start).Seconds()
		}))
		self := newPublished(registry, Status{}, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go self.run(ctx)
		for range 3 {
			time.Sleep(4999 * time.Millisecond)
			synctest.Wait()
			_, value, _ := strings.Cut(textOf(t, self.current.Load().Page), "\nage ")
			gathered, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || time.Since(start).Seconds()-gathered >= 5 {
				t.Errorf("after %v: metrics gathered at %q, want at most 5 s ago (error: %v)", time.Since(start), value, err)
			}
		}
		self.update(func(*State) {})
		if text := textOf(t, self.current.Load().Page); !strings.HasSuffix(text, "age 14.997\n") {
			t.Errorf("gathered after 14.997 s:\n%s", text)
		}
	})
}

// A scrape during an update sees the old page with the old status. A scrape after it sees the new ones.
func TestPageAndStatusSwitchTogether(t *testing.T) {
	gathering, release := make(chan struct{}), make(chan struct{})
	users := prometheus.NewGauge(prometheus.GaugeOpts{Name: "users", Help: "Users."})
	registry := prometheus.NewRegistry()
	registry.MustRegister(users)
	wait := false
	p := newPublished(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		if wait {
			gathering <- struct{}{}
			<-release
		}
		return registry.Gather()
	}), Status{}, slog.New(slog.DiscardHandler))
	check := func(when string, number int) {
		t.Helper()
		state := p.current.Load()
		if text := textOf(t, state.Page); state.Status.Users != number || !strings.HasSuffix(text, fmt.Sprintf("users %d\n", number)) {
			t.Errorf("%s: status %+v, metrics %s; want %d", when, state.Status, text, number)
		}
	}
	check("at first", 0)
	wait = true
	updated := make(chan struct{})
	go func() {
		defer close(updated)
		p.update(func(s *State) {
			s.Status.Users = 1
			users.Set(1)
		})
	}()
	<-gathering
	check("during the update", 0)
	close(release)
	<-updated
	check("after the update", 1)
}
