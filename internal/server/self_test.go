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

	"github.com/groups-exporter/groups-exporter/internal/server"
)

func selfText(t *testing.T, s *server.Self) string {
	t.Helper()
	var text strings.Builder
	if _, err := s.Tail().WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// What a scrape is told is younger than 5 s, and after Gather it is of now.
func TestSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, start := prometheus.NewRegistry(), time.Now()
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "age", Help: "Age."}, func() float64 {
			return time.Since(start).Seconds()
		}))
		self := server.NewSelf(registry, slog.New(slog.DiscardHandler))
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
		self.Gather()
		if text := selfText(t, self); !strings.HasSuffix(text, "age 14.997\n") {
			t.Errorf("gathered after 14.997 s: %s", text)
		}
	})
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
	s.Self = server.NewSelf(registry, s.Log).Tail
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
