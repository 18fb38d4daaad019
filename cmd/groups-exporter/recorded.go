package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/membership"
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

// formerUsers returns the users that Prometheus recorded and the hub no longer has. If Prometheus recorded no user at all,
// it returns a notice.
func formerUsers(ctx context.Context, recorded *history.Recorded, snapshot *membership.Snapshot) (former []string, notice string, err error) {
	users, err := recorded.Users(ctx)
	if err == nil && len(users) == 0 {
		notice = fmt.Sprintf("Prometheus has no user names for the namespace %s in the last %d days, so deleted users can't be found", quote(snapshot.Namespace()), recordedDays)
	}
	current := map[string]bool{}
	for user := range snapshot.Users() {
		current[user] = true
	}
	return slices.DeleteFunc(users, func(user string) bool { return current[user] }), notice, err
}
