package history //nolint:testpackage // it exports an internal function to the tests

import (
	"context"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// ReadTimelines reads consecutive windows between some times with a limit for samples. It returns a function that returns
// a user's groups at a time, and whether they are known.
func ReadTimelines(ctx context.Context, client *prometheus.Client, limit int, bounds ...time.Time) (func(user string, when time.Time) ([]string, bool), error) {
	h := &hub{
		querier: newQuerier(client), namespace: "prod", queries: inNamespace(promql.Queries{}, "prod"), none: "none", multiple: "multiple",
		lookback: time.Hour, maxSamples: limit, state: map[string][]string{}, seen: map[string]bool{},
	}
	var timelines []*timeline
	for i := range bounds[1:] {
		t, err := h.read(ctx, window{bounds[i].UnixMilli(), bounds[i+1].UnixMilli()})
		if err != nil {
			return nil, err
		}
		timelines = append(timelines, t)
	}
	return func(user string, when time.Time) ([]string, bool) {
		for _, t := range timelines {
			for _, r := range t.users[user] {
				if r.from <= when.UnixMilli() && when.UnixMilli() < r.to && contains(t.known, when.UnixMilli()) {
					return r.groups, true
				}
			}
		}
		return nil, false
	}, nil
}
