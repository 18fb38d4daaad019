package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// sampling describes how often the series of a namespace have samples.
type sampling struct {
	// interval is the usual time between two samples.
	interval time.Duration
	// window is how long a sample counts: 99 % of the samples are followed by the next one within this time, apart from
	// gaps.
	window time.Duration
	// times are the times of the samples of the series with the most samples, in milliseconds since 1970.
	times []int64
	// jobs describes the series of each job, starting with the job that has the most samples.
	jobs []job
}

// job describes how often the series of a job have samples.
type job struct {
	name             string
	interval, window time.Duration
	samples          int
}

// isComplete reports whether the series had samples throughout a window.
func (s *sampling) isComplete(w window) bool {
	return s.interval > 0 && float64(len(s.times)) >= nearlyAll*float64(w.length()/s.interval)
}

// points returns the number of points in a window, and of those at which the series has a sample.
func (s *sampling) points(w window, at promql.Sampling) (all, covered int) {
	step := at.Step.Milliseconds()
	for point := (w.from + step - 1) / step * step; point < w.to; point += step {
		all++
		next := point + step
		if sampled := (window{next - at.Window.Milliseconds(), next}); len(sampled.times(s.times)) > 0 {
			covered++
		}
	}
	return all, covered
}

// nearlyAll is the fraction of the expected samples that a complete series has at least: a few scrapes always fail.
const nearlyAll = 0.98

// at returns the points at which to evaluate the series. The step between them is the smallest multiple of the interval
// that is at least minStep.
func (s *sampling) at(minStep time.Duration) promql.Sampling {
	interval := max(s.interval, time.Second)
	if s.interval == 0 {
		interval = time.Minute
	}
	return promql.Sampling{
		Interval: interval, Step: (minStep + interval - 1) / interval * interval, Window: max(s.window, interval),
	}
}

// ofJobs returns the points for the series of each job, with a common step, or a single Sampling if all jobs have
// samples equally often.
func (s *sampling) ofJobs(minStep time.Duration) []promql.Sampling {
	whole := s.at(minStep)
	same := !slices.ContainsFunc(s.jobs, func(j job) bool { return j.interval != s.interval || j.window != s.window })
	if same {
		return []promql.Sampling{whole}
	}
	var all []promql.Sampling
	for _, j := range s.jobs {
		interval := max(j.interval, time.Second)
		all = append(all, promql.Sampling{Interval: interval, Step: whole.Step, Window: max(j.window, interval), Job: j.name})
	}
	return all
}

// measure returns how often series have samples in a window, by namespace. Of each job, it examines the series with the
// most samples. With several jobs, samples of all jobs count as long as those of the slowest job. In a window of less than
// an hour, it also examines the samples before the window.
func (q *querier) measure(ctx context.Context, selector string, w window) (map[string]*sampling, error) {
	long := w.atLeastAnHour()
	most, err := q.vector(ctx, "topk by (namespace, job) (1, count_over_time("+selector+long.brackets()+"))", long)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(most, func(a, b *model.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	found := map[string]*sampling{}
	for _, one := range most {
		times, err := q.timesExactly(ctx, nameOf(selector), one.Metric, long)
		if err != nil {
			return nil, err
		}
		namespace := string(one.Metric[metrics.LabelNamespace])
		s := newSampling(times)
		s.times = w.times(times)
		found[namespace] = found[namespace].with(string(one.Metric["job"]), s)
	}
	return found, nil
}

// measureFirst is like measure, but looks at the first selector that matches any series of a namespace.
func (q *querier) measureFirst(ctx context.Context, selectors []string, w window) (map[string]*sampling, error) {
	found := map[string]*sampling{}
	for _, selector := range slices.Backward(selectors) {
		these, err := q.measure(ctx, selector, w)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, these)
	}
	return found, nil
}

// measureAny returns how often series have samples in a window. It examines only the series with the most samples,
// whatever its namespace.
func (q *querier) measureAny(ctx context.Context, selector string, w window) (*sampling, error) {
	long := w.atLeastAnHour()
	most, err := q.vector(ctx, "topk(1, count_over_time("+selector+long.brackets()+"))", long)
	if err != nil || len(most) == 0 {
		return &sampling{}, err
	}
	times, err := q.timesExactly(ctx, nameOf(selector), most[0].Metric, long)
	s := newSampling(times)
	s.times = w.times(times)
	return s, err
}

// with returns the sampling of several jobs: those of s, which may be nil, and another one.
func (s *sampling) with(name string, other *sampling) *sampling {
	jobs := []job{{name, other.interval, other.window, len(other.times)}}
	if s != nil {
		jobs = append(jobs, s.jobs...)
		other.window = max(s.window, other.window)
		if len(other.times) < len(s.times) {
			other.times, other.interval = s.times, s.interval
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int { return cmp.Compare(b.samples, a.samples) })
	other.jobs = jobs
	return other
}

// newSampling computes the usual interval between samples. Intervals longer than twice the median are gaps.
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
	usual := slices.DeleteFunc(distances, func(d int64) bool { return d > 2*median })
	sum := int64(0)
	for _, distance := range usual {
		sum += distance
	}
	s.interval = max(time.Second, (time.Duration(sum/int64(len(usual))) * time.Millisecond).Round(time.Second))
	s.window = roundUp(time.Duration(usual[len(usual)*99/100]) * time.Millisecond)
	return s
}

// roundUp rounds up to whole seconds, except that the first 50 ms don't count: scrapes are some milliseconds early or
// late.
func roundUp(d time.Duration) time.Duration {
	const late = 50 * time.Millisecond
	return (d - late + time.Second - 1).Truncate(time.Second)
}

// timesOf returns the times of all samples, sorted and without duplicates.
func timesOf(series []*model.SampleStream) []int64 {
	var times []int64
	for _, one := range series {
		for _, value := range one.Values {
			times = append(times, int64(value.Timestamp))
		}
	}
	return sorted(times)
}

// sorted returns times in order and without duplicates. It changes the slice.
func sorted(times []int64) []int64 {
	slices.Sort(times)
	return slices.Compact(times)
}

// timesExactly returns the times of the samples of the series that has exactly the given labels. A selector alone also
// matches series with more labels.
func (q *querier) timesExactly(ctx context.Context, name string, labels model.Metric, w window) ([]int64, error) {
	series, err := q.raw(ctx, exactly(name, labels), w)
	series = slices.DeleteFunc(series, func(one *model.SampleStream) bool { return !withoutName(one.Metric).Equal(withoutName(labels)) })
	return timesOf(series), err
}

func withoutName(labels model.Metric) model.Metric {
	unnamed := labels.Clone()
	delete(unnamed, model.MetricNameLabel)
	return unnamed
}

// exactly returns the selector of the series with these labels.
func exactly(name string, labels model.Metric) string {
	matchers := make([]string, 0, len(labels))
	for label, value := range labels {
		if label != model.MetricNameLabel {
			matchers = append(matchers, promql.Is(string(label), string(value)))
		}
	}
	slices.Sort(matchers)
	return promql.Select(name, matchers...)
}
