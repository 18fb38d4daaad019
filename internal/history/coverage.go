package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// The sources of a report.
const (
	memberships = "memberships"
	containers  = "containers"
	requests    = "requests"
	annotations = "annotations"
	directories = "directories"
)

// coverage collects the gaps in the data of each source.
type coverage struct {
	gaps map[coverageKey][]window
	// kubelets and states are the jobs of the kubelets and of kube-state-metrics that have had series on any day so
	// far.
	kubelets, states map[string]bool
}

type coverageKey struct{ source, namespace string }

func newCoverage() *coverage {
	return &coverage{map[coverageKey][]window{}, map[string]bool{}, map[string]bool{}}
}

func (c *coverage) add(source, namespace string, gaps []window) {
	key := coverageKey{source, namespace}
	if c.gaps[key] == nil {
		c.gaps[key] = []window{}
	}
	for _, gap := range gaps {
		c.gaps[key] = appendWindow(c.gaps[key], gap)
	}
}

// of returns the coverage of consecutive periods. Memberships are carried over gaps up to the lookback.
func (c *coverage) of(periods []report.Period, lookback time.Duration) []report.Coverage {
	first, last := periods[0], periods[len(periods)-1]
	whole := last.To.Sub(first.From)
	var all []report.Coverage
	for key, gaps := range c.gaps {
		one := report.Coverage{Source: key.source, Namespace: key.namespace}
		missing := time.Duration(0)
		for _, gap := range gaps {
			period := report.Period{From: time.UnixMilli(gap.from).In(first.From.Location()), To: time.UnixMilli(gap.to).In(first.From.Location())}
			carried := key.source == memberships && gap.length() <= lookback
			if !carried {
				missing += gap.length()
			}
			one.Gaps = append(one.Gaps, report.Gap{Period: period, Carried: carried})
		}
		one.Covered = 1 - missing.Seconds()/whole.Seconds()
		all = append(all, one)
	}
	order := []string{memberships, annotations, containers, requests, directories}
	slices.SortFunc(all, func(a, b report.Coverage) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Source), slices.Index(order, b.Source)), cmp.Compare(a.Namespace, b.Namespace))
	})
	return all
}

// cover records the gaps of each source in a window.
func (r *reader) cover(ctx context.Context, w window, found *samplings, cohorts []*cohort) error {
	for _, c := range cohorts {
		for _, namespace := range c.namespaces {
			if err := r.coverHub(ctx, w, found, c, namespace); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) coverHub(ctx context.Context, w window, found *samplings, c *cohort, namespace string) error {
	known := []window{w}
	if r.Memberships == nil {
		gaps := c.timelines[namespace].gaps
		r.coverage.add(memberships, namespace, gaps)
		known = without(w, gaps)
	}
	past := c.past
	past.Queries = inNamespace(past.Queries, namespace)
	if r.has(report.Home) {
		absent, err := r.absent(ctx, []string{past.OfHubs(promql.DirectorySize)}, found.homes[namespace], past.Homes, w)
		if err != nil {
			return err
		}
		r.coverage.add(directories, namespace, absent)
		known = union(known, without(w, absent))
	}
	if !r.has(report.ServerHours) {
		return nil
	}
	return r.coverPods(ctx, w, found, c, past, namespace, known)
}

// coverPods records the gaps of the kubelets and of kube-state-metrics. If neither has any pod while memberships or
// directories are recorded, no server was running, and this is a gap only if their targets were down. A short time
// beside such an idle time is no gap either, because the series of a pod don't start and end at the same moment.
func (r *reader) coverPods(ctx context.Context, w window, found *samplings, c *cohort, past promql.Past, namespace string, known []window) error {
	kubelets := found.kubelet[namespace].at(minStep)
	kubelet, err := r.absent(ctx, []string{past.PodSeries(promql.ContainerMemory)}, found.kubelet[namespace], kubelets, w)
	if err != nil {
		return err
	}
	state, err := r.absent(ctx, past.RunningSeries(), found.state[namespace], past.State, w)
	if err != nil {
		return err
	}
	short := 2 * max(kubelets.Step, past.State.Step)
	idle := intersection(intersection(kubelet, state), known)
	none := func(absent []window) []window { return withoutShort(subtract(absent, idle), idle, short) }
	noContainers, err := r.whileRunning(ctx, past, none(kubelet), state, short)
	if err != nil {
		return err
	}
	noCPU := withoutShort(intersection(found.noCPU, without(w, kubelet)), kubelet, short)
	noRequests, err := r.withRequests(ctx, past, withoutShort(intersection(found.noRequests, without(w, state)), state, short))
	if err != nil {
		return err
	}
	for _, source := range []struct {
		name   string
		series *sampling
		jobs   map[string]bool
		absent []window // at which no pod of the hub has such series
		gaps   []window // found in other ways
	}{
		{containers, found.kubelet[namespace], r.coverage.kubelets, noContainers, noCPU},
		{annotations, found.state[namespace], r.coverage.states, none(state), c.unowned(namespace)},
		{requests, found.state[namespace], r.coverage.states, none(state), noRequests},
	} {
		for _, job := range source.series.jobs {
			source.jobs[job.name] = true
		}
		down, err := r.down(ctx, slices.Sorted(maps.Keys(source.jobs)), idle)
		if err != nil {
			return err
		}
		r.coverage.add(source.name, namespace, union(union(source.absent, down), source.gaps))
	}
	return nil
}

// whileRunning returns the parts of windows in which any pod was running, or in which nothing is known about pods. In
// other parts there are no containers, because pods are pending or have ended.
func (r *reader) whileRunning(ctx context.Context, past promql.Past, windows, unknown []window, short time.Duration) ([]window, error) {
	var found []window
	for _, w := range windows {
		points, err := r.points(ctx, "group("+past.Running()+")", past.State.Step, w)
		if err != nil {
			return nil, err
		}
		idle := subtract(absentBetween(timesOf(points), past.State.Step, past.State.Step, w), unknown)
		found = append(found, withoutShort(without(w, idle), idle, short)...)
	}
	return found, nil
}

// withRequests returns the windows in which any pod was running whose name requests memory at another time.
func (r *reader) withRequests(ctx context.Context, past promql.Past, windows []window) ([]window, error) {
	var found []window
	for _, w := range windows {
		running, err := r.vector(ctx, "max by (pod) ("+anyOf(past.RunningSeries(), func(selector string) string {
			return "max_over_time(" + selector + w.brackets() + ")"
		})+") > 0", w)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(running, func(one *model.Sample) bool { return r.requesting[string(one.Metric["pod"])] }) {
			found = append(found, w)
		}
	}
	return found, nil
}

// absent returns the parts of a window in which no series that any of the selectors matches has a sample.
func (r *reader) absent(ctx context.Context, selectors []string, s *sampling, at promql.Sampling, w window) ([]window, error) {
	if len(s.times) == 0 && s.interval == 0 {
		return []window{w}, nil
	}
	if s.isComplete(w) {
		return absentBetween(s.times, s.interval, s.window, w), nil
	}
	points, err := r.points(ctx, "group("+anyOf(selectors, at.At)+")", at.Step, w)
	if err != nil {
		return nil, err
	}
	return absentBetween(timesOf(points), at.Step, at.Step, w), nil
}

// anyOf returns the expression for the results of any of some selectors.
func anyOf(selectors []string, expr func(selector string) string) string {
	all := make([]string, len(selectors))
	for i, selector := range selectors {
		all[i] = expr(selector)
	}
	return strings.Join(all, " or ")
}

// absentBetween returns the gaps between some times in a window. A gap is longer than 1.5 intervals, and longer than
// most.
func absentBetween(times []int64, interval, most time.Duration, w window) []window {
	usual := interval.Milliseconds()
	var gaps []window
	last, from := w.from, w.from // a gap before the first time begins with the window
	for _, next := range append(slices.Clone(times), w.to+usual) {
		if next-last > max(usual*3/2, most.Milliseconds()) {
			gaps = append(gaps, window{from, min(next, w.to)})
		}
		last, from = next, next+usual
	}
	return gaps
}

// down returns the parts of windows in which no target of some jobs was up. It returns nothing if Prometheus doesn't
// record the series up of these jobs.
func (r *reader) down(ctx context.Context, jobs []string, windows []window) ([]window, error) {
	up := promql.Select("up", oneOf("job", jobs))
	var found []window
	for _, w := range windows {
		if len(jobs) == 0 || w.length() < minWindow {
			continue
		}
		recorded, err := r.labelValues(ctx, "job", w, up)
		if err != nil {
			return nil, err
		}
		if len(recorded) == 0 {
			continue
		}
		points, err := r.points(ctx, "max("+up+") == 1", time.Minute, w)
		if err != nil {
			return nil, err
		}
		found = append(found, absentBetween(timesOf(points), time.Minute, time.Minute, w)...)
	}
	return found, nil
}
