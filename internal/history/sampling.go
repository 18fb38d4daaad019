package history

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// sampling says how often series of a namespace have samples.
type sampling struct {
	// interval is the usual distance of two samples.
	interval time.Duration
	// window is how long a sample counts: until the next one, as long as that is usual.
	window time.Duration
	// times are the times of the samples of the series with the most samples, in milliseconds since 1970.
	times []int64
	// jobs are those of each job that has such series, the one with the most samples first.
	jobs []job
}

// job is the sampling of the series of a job.
type job struct {
	name             string
	interval, window time.Duration
	samples          int
}

// isComplete reports whether the series had samples throughout a window.
func (s *sampling) isComplete(w window) bool {
	return s.interval > 0 && float64(len(s.times)) >= nearlyAll*float64(w.length()/s.interval)
}

// nearlyAll is the part of the expected samples from which a series counts as present throughout. A few scrapes always fail.
const nearlyAll = 0.98

// at returns the points at which the series are evaluated. Their distance is that of the samples, or the smallest multiple of it
// that isn't less than finest.
func (s *sampling) at(finest time.Duration) promql.Sampling {
	interval := max(s.interval, time.Second)
	if s.interval == 0 {
		interval = time.Minute
	}
	return promql.Sampling{
		Interval: interval, Step: (finest + interval - 1) / interval * interval, Window: max(s.window, interval),
	}
}

// ofJobs returns the points for the series of each job. They are the same for all jobs.
func (s *sampling) ofJobs(finest time.Duration) []promql.Sampling {
	whole := s.at(finest)
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

// measure looks at the series with the most samples in a window, for each namespace. If several jobs have such series, it looks
// at one of each: a sample counts as long as that of the slowest.
func (q *querier) measure(ctx context.Context, selector string, w window) (map[string]*sampling, error) {
	most, err := q.vector(ctx, "topk by (namespace, job) (1, count_over_time("+selector+w.brackets()+"))", w)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(most, func(a, b *model.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	found := map[string]*sampling{}
	for _, one := range most {
		series, err := q.raw(ctx, exactly(nameOf(selector), one.Metric), w)
		if err != nil {
			return nil, err
		}
		namespace := string(one.Metric[metrics.LabelNamespace])
		found[namespace] = found[namespace].with(string(one.Metric["job"]), newSampling(timesOf(series)))
	}
	return found, nil
}

// measureAny looks at the series with the most samples in a window, wherever it is.
func (q *querier) measureAny(ctx context.Context, selector string, w window) (*sampling, error) {
	most, err := q.vector(ctx, "topk(1, count_over_time("+selector+w.brackets()+"))", w)
	if err != nil || len(most) == 0 {
		return &sampling{}, err
	}
	series, err := q.raw(ctx, exactly(nameOf(selector), most[0].Metric), w)
	return newSampling(timesOf(series)), err
}

// with adds the sampling of a job.
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

// newSampling computes the usual distance of samples. Distances above twice the median are gaps.
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

// roundUp rounds to whole seconds: scrapes are some milliseconds early or late.
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
