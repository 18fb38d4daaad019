package exporter

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
