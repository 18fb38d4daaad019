package history

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// minWindow is the shortest range that a query is split into.
const minWindow = 5 * time.Minute

// maxTries limits how often a query is sent if it fails for a temporary reason.
const maxTries = 5

// querier runs queries. It limits how many run at a time, retries those that fail for a temporary reason, and splits
// those that are too large.
type querier struct {
	client *prometheus.Client
	slots  chan struct{} // limits concurrent queries

	mu       sync.Mutex
	answered bool
	seen     map[string]bool // see Result.Queries
}

func newQuerier(client *prometheus.Client) *querier {
	const concurrent = 2
	return &querier{client: client, slots: make(chan struct{}, concurrent), seen: map[string]bool{}}
}

// window is a time range in milliseconds since 1970. Its end is exclusive.
type window struct{ from, to int64 }

func (w window) length() time.Duration { return time.Duration(w.to-w.from) * time.Millisecond }

// halves splits a window in two, at a whole minute near its middle.
func (w window) halves() (first, second window) {
	middle := (w.from + w.to) / 2 / 60_000 * 60_000
	return window{w.from, middle}, window{middle, w.to}
}

// widened returns the window, extended by two intervals at each end.
func (w window) widened(interval time.Duration) window {
	return window{w.from - 2*interval.Milliseconds(), w.to + 2*interval.Milliseconds()}
}

// atLeastAnHour returns the window, or the hour before its end if the window is shorter.
func (w window) atLeastAnHour() window {
	return window{min(w.from, w.to-time.Hour.Milliseconds()), w.to}
}

// times returns the times that are in the window. They have to be sorted.
func (w window) times(sorted []int64) []int64 {
	from, _ := slices.BinarySearch(sorted, w.from)
	to, _ := slices.BinarySearch(sorted, w.to)
	return sorted[from:to]
}

// sum returns the sum of each series of an expression over the points in a window.
func (q *querier) sum(ctx context.Context, expr string, step time.Duration, w window) ([]*model.Sample, error) {
	q.note(promql.Over(expr, w.length(), step))
	value, err := q.at(ctx, promql.Over(expr, w.length(), step), w)
	if q.mustSplit(err, w) {
		return both(w, func(half window) ([]*model.Sample, error) { return q.sum(ctx, expr, step, half) })
	}
	return samples(value, err)
}

// raw returns the samples of a selector in a window, by series.
func (q *querier) raw(ctx context.Context, selector string, w window) ([]*model.SampleStream, error) {
	value, err := q.at(ctx, selector+w.brackets(), w)
	if q.mustSplit(err, w) {
		return both(w, func(half window) ([]*model.SampleStream, error) { return q.raw(ctx, selector, half) })
	}
	matrix, _ := value.(model.Matrix)
	return matrix, err
}

// points returns the values of an expression at the points in a window, by series.
func (q *querier) points(ctx context.Context, expr string, step time.Duration, w window) ([]*model.SampleStream, error) {
	ms := step.Milliseconds()
	first, last := (w.from+ms-1)/ms*ms, (w.to-1)/ms*ms
	if last < first {
		return nil, nil
	}
	var matrix model.Matrix
	err := q.do(ctx, func() (err error) {
		matrix, err = q.client.QueryRange(ctx, expr, time.UnixMilli(first), time.UnixMilli(last), step)
		return err
	})
	if q.mustSplit(err, w) {
		return both(w, func(half window) ([]*model.SampleStream, error) { return q.points(ctx, expr, step, half) })
	}
	return matrix, err
}

// brackets returns the length of a window as a range selector in PromQL.
func (w window) brackets() string { return "[" + promql.Duration(w.length()) + "]" }

// vector evaluates an expression at the end of a window. A range selector in the expression covers the window.
func (q *querier) vector(ctx context.Context, expr string, w window) ([]*model.Sample, error) {
	q.note(expr)
	return samples(q.at(ctx, expr, w))
}

func samples(value model.Value, err error) ([]*model.Sample, error) {
	vector, _ := value.(model.Vector)
	return vector, err
}

// both runs a query for each half of a window, and returns all results.
func both[T any](w window, query func(window) ([]T, error)) ([]T, error) {
	one, two := w.halves()
	first, err := query(one)
	if err != nil {
		return nil, err
	}
	second, err := query(two)
	return append(first, second...), err
}

// mustSplit reports whether a query failed because it is too large, and its window can be split.
func (q *querier) mustSplit(err error, w window) bool {
	failed, ok := errors.AsType[*remote.Error](err)
	return ok && isTooLarge(failed) && w.length() >= 2*minWindow
}

// at evaluates a query at the last millisecond of a window. A range selector as long as the window covers it from
// there. In Prometheus 2, it also includes the millisecond before the window, because only Prometheus 3 excludes the
// start of a range.
func (q *querier) at(ctx context.Context, query string, w window) (value model.Value, err error) {
	err = q.do(ctx, func() (err error) {
		value, err = q.client.QueryAt(ctx, query, time.UnixMilli(w.to-1))
		return err
	})
	return value, err
}

// do runs a query, and retries it after a pause if it fails for a temporary reason.
func (q *querier) do(ctx context.Context, query func() error) error {
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	tries := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		tries++
		err := query()
		if err != nil && !q.mayRetry(err, tries) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		q.mu.Lock()
		q.answered = true
		q.mu.Unlock()
	}
	return err
}

// mayRetry reports whether to retry a failed query. It gives up on a server that has never answered and can't be
// reached. A query that timed out twice is too large.
func (q *querier) mayRetry(err error, tries int) bool {
	failed, ok := errors.AsType[*remote.Error](err)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !ok || failed.Reason == remote.Connect && !q.answered:
		return false
	case isTooLarge(failed):
		return isTemporary(failed) && tries < 2
	default:
		return isTemporary(failed)
	}
}

// note records the text of a query.
func (q *querier) note(text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen[strings.TrimSpace(text)] = true
}

// queries returns the texts that were noted so far, sorted.
func (q *querier) queries() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]string, 0, len(q.seen))
	for text := range q.seen {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// labelValues returns the values of a label in series of a window that match any of the selectors.
func (q *querier) labelValues(ctx context.Context, label string, w window, selectors ...string) (values []string, err error) {
	err = q.do(ctx, func() (err error) {
		values, err = q.client.LabelValues(ctx, label, selectors, time.UnixMilli(w.from), time.UnixMilli(w.to))
		return err
	})
	return values, err
}

// isTooLarge reports whether a query failed because its evaluation or its answer was too large, or took too long.
func isTooLarge(err *remote.Error) bool {
	switch err.Reason {
	case remote.Timeout, remote.TooLarge:
		return true
	case remote.Status:
		return err.Status == http.StatusServiceUnavailable || err.Status == http.StatusGatewayTimeout
	case remote.Query:
		problem := strings.ToLower(err.Problem)
		return slices.ContainsFunc([]string{"too many", "exceed", "limit", "timed out"}, func(text string) bool { return strings.Contains(problem, text) })
	default:
		return false
	}
}

// isTemporary reports whether the server may answer the same query later.
func isTemporary(err *remote.Error) bool {
	return err.Reason == remote.Connect || err.Reason == remote.Status && (err.Status == http.StatusTooManyRequests || err.Status >= 500)
}
