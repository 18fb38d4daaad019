package main

import (
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// recordedDays is how far back deleted users are looked for.
const recordedDays = 365

// newRecorded returns the memberships that Prometheus has recorded of the hub in the last recordedDays.
func newRecorded(reader *prometheus.UsageReader, prefix string) *history.Recorded {
	queries := reader.Queries
	queries.Prefix = prefix
	queries.Hubs = append(slices.Clone(queries.Hubs), promql.Is(metrics.LabelNamespace, reader.Namespace))
	now := time.Now()
	return history.NewRecorded(reader.Client, queries, now.AddDate(0, 0, -recordedDays), now)
}
