package history

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// sampling says how often series have samples.
type sampling struct {
	// interval is the usual distance of two samples.
	interval time.Duration
	// window is how long a sample counts: until the next one, as long as that is usual.
	window time.Duration
	// times are the times of the samples of the series with the most samples, in milliseconds since 1970.
	times []int64
	// jobs are the values of the label job.
	jobs []string
}

// isComplete reports whether the series had samples throughout a window.
func (s *sampling) isComplete(w window) bool {
	return s.interval > 0 && float64(len(s.times)) >= nearlyAll*float64(w.length()/s.interval)
}

// nearlyAll is the part of the expected samples from which a series counts as present throughout. A few scrapes always fail.
const nearlyAll = 0.98

// step returns the distance of the points at which the series are evaluated: the distance of their samples, or a multiple of it
// that is at least half a minute.
func (s *sampling) step() time.Duration {
	const finest = 30 * time.Second
	if s.interval == 0 {
		return time.Minute
	}
	return (finest + s.interval - 1) / s.interval * s.interval
}

// measure looks at the series with the most samples in a window. If several jobs have such series, it looks at one of each: a sample
// counts as long as that of the slowest. The result is empty if there is no series.
func (q *querier) measure(ctx context.Context, selector string, w window) (*sampling, error) {
	most, err := q.vector(ctx, "topk by (job) (1, count_over_time("+selector+w.brackets()+"))", w)
	if err != nil {
		return nil, err
	}
	found := &sampling{}
	for _, one := range most {
		series, err := q.raw(ctx, exactly(nameOf(selector), one.Metric), w)
		if err != nil {
			return nil, err
		}
		s := newSampling(timesOf(series))
		s.jobs, s.window = append(found.jobs, string(one.Metric["job"])), max(s.window, found.window)
		if len(s.times) < len(found.times) {
			s.times, s.interval = found.times, found.interval
		}
		found = s
	}
	return found, nil
}

// newSampling computes the usual distance of samples. Distances above 1.5 times the median are gaps.
func newSampling(times []int64) *sampling {
	s := &sampling{times: times}
	var distances []int64
	for i := 1; i < len(times); i++ {
		distances = append(distances, times[i]-times[i-1])
	}
	if len(distances) == 0 {
		return s
	}
	slices.Sort(distances)
	median := distances[len(distances)/2]
	s.interval = time.Duration(median) * time.Millisecond
	if median >= 1000 {
		s.interval = s.interval.Round(time.Second) // scrapes are some milliseconds late
	}
	usual := slices.DeleteFunc(distances, func(d int64) bool { return d > median*3/2 })
	s.window = time.Duration(usual[len(usual)*99/100]-1) * time.Millisecond
	return s
}

// timesOf returns the times of all samples, sorted and without duplicates.
func timesOf(series []*model.SampleStream) []int64 {
	var times []int64
	for _, one := range series {
		for _, value := range one.Values {
			times = append(times, int64(value.Timestamp))
		}
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// exactly returns the selector of the series with exactly these labels.
func exactly(name string, labels model.Metric) string {
	matchers := make([]string, 0, len(labels))
	for label, value := range labels {
		if label != model.MetricNameLabel {
			matchers = append(matchers, string(label)+"="+strconv.Quote(string(value)))
		}
	}
	slices.Sort(matchers)
	return promql.Select(name, matchers...)
}
