package history_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// BenchmarkMonth reads a month of users in 50 groups from a server in memory.
func BenchmarkMonth(b *testing.B) {
	for _, users := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			memberships := map[string][]string{}
			for i := range users {
				memberships[fmt.Sprintf("user-%d", i)] = []string{fmt.Sprintf("group-%d", i%50)}
			}
			client, err := prometheus.New(prometheus.Options{
				URL: &url.URL{Scheme: "http", Host: "prometheus.invalid"}, HTTP: config.DefaultHTTPClientConfig, Timeout: time.Minute,
				Transport: fakeprometheus.New("hub", memberships),
			})
			if err != nil {
				b.Fatal(err)
			}
			from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for b.Loop() {
				_, err := history.Read(context.Background(), history.Options{
					Client: client, Servers: func(string) bool { return true }, Excluded: func(string) bool { return false },
					None: "none", Multiple: "multiple", Lookback: time.Hour, Progress: func(int, int) {},
				}, []report.Period{{From: from, To: from.AddDate(0, 1, 0)}})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
