package history

import (
	"context"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// Recorded finds users in the recorded memberships of a hub, such as users that the hub no longer has.
type Recorded struct {
	querier  *querier
	selector func(matchers ...string) string
	window   window
}

// NewRecorded returns the memberships that were recorded between a time and now. The matchers in queries select the hub.
func NewRecorded(client *prometheus.Client, queries promql.Queries, from, now time.Time) *Recorded {
	today := now.UTC().Truncate(wholeDay)
	return &Recorded{newQuerier(client), queries.Memberships, window{from.UnixMilli(), today.Add(wholeDay).UnixMilli() + 1}}
}

// Users returns the names of all users, sorted. Its error is a *remote.Error, or that of the context.
func (r *Recorded) Users(ctx context.Context) ([]string, error) {
	return r.querier.labelValues(ctx, metrics.LabelUsername, r.window, r.selector())
}

// LastSeen returns the last day, in UTC, on which each of some users had memberships. Its error is a *remote.Error, or
// that of the context.
func (r *Recorded) LastSeen(ctx context.Context, users []string) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	for chunk := range slices.Chunk(users, maxUsers) {
		present := "group by (" + metrics.LabelUsername + ") (present_over_time(" + r.selector(oneOf(metrics.LabelUsername, chunk)) + "[1d]))"
		found, err := r.querier.points(ctx, present, wholeDay, r.window)
		if err != nil {
			return nil, err
		}
		for _, series := range found {
			user := string(series.Metric[metrics.LabelUsername])
			for _, value := range series.Values {
				if on := value.Timestamp.Time().UTC().Add(-wholeDay); on.After(last[user]) { // the day ends at the timestamp
					last[user] = on
				}
			}
		}
	}
	return last, nil
}
