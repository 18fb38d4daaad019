package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

const gib = 1 << 30

// cohort is a set of hubs whose series have samples at the same intervals, so that one query covers all of them. It
// holds what is needed to attribute their usage on one day to users.
type cohort struct {
	window     window
	namespaces []string
	past       promql.Past
	timelines  map[string]*timeline
	owners     map[pod][]string
	// users and homeOwners map namespaces and the forms of user names that pods and directories have to users.
	users, homeOwners map[string]map[string]string
	// served is the time of all servers, and lost that of servers without an owner, by namespace.
	served, lost map[string]float64
}

// measureQuery is the query for a measure.
type measureQuery struct {
	measure report.Measure
	expr    func(promql.Past) string
	step    time.Duration
	unit    float64 // the amount of the measure for a value of 1 at one point
}

// readDay adds the usage in a window to s.
func (r *reader) readDay(ctx context.Context, w window, s *sums) error {
	timelines := map[string]*timeline{}
	for _, namespace := range r.Namespaces {
		t, err := r.timeline(ctx, namespace, w)
		if err != nil {
			return err
		}
		timelines[namespace] = t
	}
	sampled, err := r.samplings(ctx, w)
	if err != nil {
		return err
	}
	cohorts := r.cohorts(w, sampled, timelines)
	for _, c := range cohorts {
		if err := r.readCohort(ctx, c, sampled.homes, s); err != nil {
			return err
		}
	}
	return r.cover(ctx, w, sampled, cohorts)
}

// samplings holds how often the series of each namespace have samples.
type samplings struct {
	kubelet, state, homes map[string]*sampling
	// noCPU and noRequests are the windows in which no pod of the whole cluster has such series.
	noCPU, noRequests []window
}

// samplings finds out how often series have samples in a window.
func (r *reader) samplings(ctx context.Context, w window) (*samplings, error) {
	found := &samplings{}
	past := promql.Past{Queries: r.Queries, NoPhases: r.noPhases}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, source := range []struct {
		found     *map[string]*sampling
		selectors []string
	}{
		{&found.kubelet, []string{past.PodSeries(promql.ContainerMemory)}},
		{&found.state, past.RunningSeries()},
		{&found.homes, []string{r.Queries.OfHubs(promql.DirectorySize)}},
	} {
		group.Go(func() (err error) {
			*source.found, err = r.measureFirst(groupCtx, source.selectors, w)
			return err
		})
	}
	for _, source := range []struct {
		absent   *[]window
		measure  report.Measure
		selector string
	}{
		{&found.noCPU, report.CPU, promql.Past{Queries: r.cluster}.PodSeries(promql.ContainerCPU)},
		{&found.noRequests, report.MemoryRequested, promql.Past{Queries: r.cluster}.RequestSeries(usage.MemoryRequests)},
	} {
		if !r.has(source.measure) {
			continue
		}
		group.Go(func() error {
			s, err := r.measureAny(groupCtx, source.selector, w)
			if err == nil {
				*source.absent, err = r.absent(groupCtx, []string{source.selector}, s, s.at(minStep), w)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, namespace := range r.Namespaces {
		for _, source := range []map[string]*sampling{found.kubelet, found.state, found.homes} {
			if source[namespace] == nil {
				source[namespace] = &sampling{}
			}
		}
	}
	return found, nil
}

const (
	// minStep is the minimum interval between the points for pods.
	minStep = 15 * time.Second
	// minCPUStep is the minimum for CPU time. Its query is expensive, and its values are averages over ten minutes
	// anyway.
	minCPUStep = 5 * time.Minute
	// shortWindow is the length below which CPU time is evaluated as often as memory, because the period may begin or end
	// between two points.
	shortWindow = 12 * time.Hour
	// minHomeStep is the minimum for directories, whose sizes change slowly.
	minHomeStep = 5 * time.Minute
	// usersPerHomeStep is the number of users that makes the points for directories another minHomeStep apart: a query
	// for more than some ten million values takes Prometheus minutes, or exceeds its limit.
	usersPerHomeStep = 30_000
)

// cohorts groups the hubs by how often their series have samples.
func (r *reader) cohorts(w window, found *samplings, timelines map[string]*timeline) []*cohort {
	byPoints := map[string]*cohort{}
	var cohorts []*cohort
	for _, namespace := range r.Namespaces {
		homeStep := minHomeStep * time.Duration(1+len(timelines[namespace].users)/usersPerHomeStep)
		past := promql.Past{
			Queries: r.Queries, NoPhases: r.noPhases, Kubelets: found.kubelet[namespace].ofJobs(minStep),
			State: found.state[namespace].at(minStep), Homes: found.homes[namespace].at(homeStep),
		}
		points := fmt.Sprint(past.Kubelets, past.State, past.Homes)
		c := byPoints[points]
		if c == nil {
			c = &cohort{
				window: w, past: past, timelines: timelines, users: map[string]map[string]string{}, homeOwners: map[string]map[string]string{},
				served: map[string]float64{}, lost: map[string]float64{},
			}
			byPoints[points] = c
			cohorts = append(cohorts, c)
		}
		c.namespaces = append(c.namespaces, namespace)
		c.users[namespace] = r.forms.byForm(timelines[namespace].users, ownerForms)
		c.homeOwners[namespace] = r.forms.byForm(timelines[namespace].users, directoryForms)
	}
	for _, c := range cohorts {
		if len(cohorts) > 1 {
			c.past.Hubs = append(slices.Clone(c.past.Hubs), oneOf(metrics.LabelNamespace, c.namespaces))
		}
	}
	return cohorts
}

// readCohort adds the usage of some hubs to s, given how often the series of directories have samples.
func (r *reader) readCohort(ctx context.Context, c *cohort, homes map[string]*sampling, s *sums) (err error) {
	if c.owners, err = r.readOwners(ctx, c.past, c.window); err != nil {
		return err
	}
	measureQueries := r.measureQueries(c)
	results := make([][]*model.Sample, len(measureQueries))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, q := range measureQueries {
		group.Go(func() (err error) {
			results[i], err = r.sum(groupCtx, q.expr(c.past), q.step, c.window)
			return err
		})
	}
	var homePoints map[string]float64
	if r.has(report.Home) {
		group.Go(func() (err error) {
			homePoints, err = r.homePoints(groupCtx, c, homes)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for namespace, points := range homePoints {
		s.result.HomeHours[namespace] += points * c.past.Homes.Step.Hours()
	}
	for i, q := range measureQueries {
		if err := r.attribute(ctx, c, q, results[i], s); err != nil {
			return err
		}
	}
	return nil
}

// homePoints returns at how many points any directory has a size, by namespace. Prometheus has to count them only if the
// directory with the most samples lacks some.
func (r *reader) homePoints(ctx context.Context, c *cohort, homes map[string]*sampling) (map[string]float64, error) {
	points := map[string]float64{}
	complete := true
	for _, namespace := range c.namespaces {
		all, covered := homes[namespace].points(c.window, c.past.Homes)
		points[namespace] = float64(all)
		complete = complete && covered == all
	}
	if complete {
		return points, nil
	}
	counted, err := r.sum(ctx, "group by (namespace) ("+c.past.Sizes()+")", c.past.Homes.Step, c.window)
	clear(points)
	for _, one := range counted { // several of a namespace if the query had to be split
		points[string(one.Metric[metrics.LabelNamespace])] += float64(one.Value)
	}
	return points, err
}

// timeline returns the mapped memberships of a hub in a window.
func (r *reader) timeline(ctx context.Context, namespace string, w window) (*timeline, error) {
	t, err := r.recorded(ctx, namespace, w)
	if mapping := r.mappings[namespace]; err == nil && mapping != nil {
		if err := t.mapGroups(mapping, r.Multiple); err != nil {
			return nil, fmt.Errorf("the group map doesn't fit the memberships that were recorded for %s: %w", namespace, err)
		}
	}
	return t, err
}

// recorded returns the memberships of a hub in a window, as they were recorded.
func (r *reader) recorded(ctx context.Context, namespace string, w window) (*timeline, error) {
	if r.Memberships == nil {
		return r.hubs[namespace].read(ctx, w)
	}
	t := &timeline{window: w, known: []window{{w.from, w.to}}, users: map[string][]run{}}
	for user, groups := range r.Memberships[namespace] {
		t.users[user] = []run{{window{w.from, w.to}, groups}}
	}
	return t, nil
}

// measureQueries returns the queries for the measures that Prometheus has data for.
func (r *reader) measureQueries(c *cohort) []measureQuery {
	kubelet, state, homes := c.past.Kubelets[0].Step, c.past.State.Step, c.past.Homes.Step
	cpu := (kubelet + minCPUStep - 1) / minCPUStep * minCPUStep
	if c.window.length() < shortWindow {
		cpu = kubelet
	}
	requests := func(resource usage.Resource) func(promql.Past) string {
		return func(p promql.Past) string { return p.Requests(resource) }
	}
	charged := func(resource usage.Resource) func(promql.Past) string {
		return func(p promql.Past) string { return p.Charged(resource) }
	}
	all := []measureQuery{
		{report.ServerHours, promql.Past.Running, state, state.Hours()},
		{report.CPU, func(p promql.Past) string { return p.CPU(cpu) }, cpu, 1.0 / 3600},
		{report.CPURequested, requests(usage.CPURequests), state, state.Hours()},
		{report.Memory, promql.Past.Memory, kubelet, kubelet.Hours() / gib},
		{report.MemoryRequested, requests(usage.MemoryRequests), state, state.Hours() / gib},
		{report.GPU, requests(usage.GPURequests), state, state.Hours()},
		{report.GPUSlices, requests(usage.GPUSliceRequests), state, state.Hours()},
		{report.Home, promql.Past.Sizes, homes, homes.Hours() / gib},
	}
	if r.Charged {
		all = append(all,
			measureQuery{report.CPUCharged, charged(usage.CPU), kubelet, kubelet.Hours()},
			measureQuery{report.MemoryCharged, charged(usage.Memory), kubelet, kubelet.Hours() / gib})
	}
	return slices.DeleteFunc(all, func(q measureQuery) bool { return !r.has(q.measure) || slices.Contains(r.unused, q.measure) })
}
