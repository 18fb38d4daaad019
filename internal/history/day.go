package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

const gib = 1 << 30

// cell holds what is known about some hubs on a day, before usage is joined with users. The series of the hubs have samples equally
// often, so they share queries.
type cell struct {
	window     window
	namespaces []string
	past       promql.Past
	timelines  map[string]*timeline
	owners     map[pod][]string
	// users and homeOwners map forms of users' names to users, by namespace.
	users, homeOwners map[string]map[string]string
	// served and lost are the hours of all servers and of those without an owner, by namespace.
	served, lost map[string]float64
}

// question is a query and what its values mean.
type question struct {
	measure report.Measure
	expr    func(promql.Past) string
	step    time.Duration
	unit    float64 // what a value of 1 at one point adds to the measure
}

// readDay adds the usage in a window to sums.
func (r *reader) readDay(ctx context.Context, w window, s *sums) error {
	timelines := map[string]*timeline{}
	for _, namespace := range r.Namespaces {
		t, err := r.timeline(ctx, namespace, w)
		if err != nil {
			return err
		}
		timelines[namespace] = t
	}
	sampled, err := r.sample(ctx, w)
	if err != nil {
		return err
	}
	cells := r.cells(w, sampled, timelines)
	for _, c := range cells {
		if err := r.readCell(ctx, c, s); err != nil {
			return err
		}
	}
	return r.cover(ctx, w, sampled, cells)
}

// sampled holds how often the series of each namespace have samples.
type sampled struct {
	kubelet, state, homes map[string]*sampling
	// noCPU and noRequests are the times at which no pod of the cluster has such series.
	noCPU, noRequests []window
}

func (r *reader) sample(ctx context.Context, w window) (*sampled, error) {
	found := &sampled{}
	past := promql.Past{Queries: r.Queries, NoPhases: r.noPhases}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, source := range []struct {
		found    *map[string]*sampling
		selector string
	}{
		{&found.kubelet, past.PodSeries(promql.ContainerMemory)},
		{&found.state, past.RunningSeries()},
		{&found.homes, r.Queries.OfHubs(promql.DirectorySize)},
	} {
		group.Go(func() (err error) {
			*source.found, err = r.measure(groupCtx, source.selector, w)
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
				*source.absent, err = r.absent(groupCtx, source.selector, s, s.at(finest), w)
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
	// finest is the least distance of two points for pods.
	finest = 30 * time.Second
	// finestCPU is the least distance of two points for CPU time: the query is expensive, and counters hold what was used in between.
	finestCPU = 5 * time.Minute
	// finestHomes is the least distance of two points for directories, whose sizes change slowly.
	finestHomes = 5 * time.Minute
)

// cells groups the hubs by how often their series have samples.
func (r *reader) cells(w window, found *sampled, timelines map[string]*timeline) []*cell {
	byPoints := map[string]*cell{}
	var cells []*cell
	for _, namespace := range r.Namespaces {
		past := promql.Past{
			Queries: r.Queries, NoPhases: r.noPhases, Kubelets: found.kubelet[namespace].ofJobs(finest),
			State: found.state[namespace].at(finest), Homes: found.homes[namespace].at(finestHomes),
		}
		points := fmt.Sprint(past.Kubelets, past.State, past.Homes)
		c := byPoints[points]
		if c == nil {
			c = &cell{
				window: w, past: past, timelines: timelines, users: map[string]map[string]string{}, homeOwners: map[string]map[string]string{},
				served: map[string]float64{}, lost: map[string]float64{},
			}
			byPoints[points] = c
			cells = append(cells, c)
		}
		c.namespaces = append(c.namespaces, namespace)
		c.users[namespace] = r.forms.byForm(timelines[namespace].users, ownerForms)
		c.homeOwners[namespace] = r.forms.byForm(timelines[namespace].users, directoryForms)
	}
	for _, c := range cells {
		if len(cells) > 1 {
			c.past.Hubs = append(slices.Clone(c.past.Hubs), oneOf(metrics.LabelNamespace, c.namespaces))
		}
	}
	return cells
}

// readCell adds the usage of some hubs to sums.
func (r *reader) readCell(ctx context.Context, c *cell, s *sums) (err error) {
	if c.owners, err = r.readOwners(ctx, c.past, c.window); err != nil {
		return err
	}
	questions := r.questions(c)
	answers := make([][]*model.Sample, len(questions))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, q := range questions {
		group.Go(func() (err error) {
			answers[i], err = r.sum(groupCtx, q.expr(c.past), q.step, c.window)
			return err
		})
	}
	var homePoints []*model.Sample
	if r.has(report.Home) {
		group.Go(func() (err error) {
			homePoints, err = r.sum(groupCtx, "group by (namespace) ("+c.past.Sizes()+")", c.past.Homes.Step, c.window)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, one := range homePoints {
		s.result.HomeHours[string(one.Metric[metrics.LabelNamespace])] += float64(one.Value) * c.past.Homes.Step.Hours()
	}
	for i, q := range questions {
		if err := r.attribute(ctx, c, q, answers[i], s); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) timeline(ctx context.Context, namespace string, w window) (*timeline, error) {
	if r.Memberships == nil {
		return r.hubs[namespace].read(ctx, w)
	}
	t := &timeline{window: w, known: []window{{w.from, w.to}}, users: map[string][]run{}}
	for user, groups := range r.Memberships[namespace] {
		t.users[user] = []run{{window{w.from, w.to}, groups}}
	}
	return t, nil
}

// questions returns the queries for the measures that Prometheus has data for.
func (r *reader) questions(c *cell) []question {
	kubelet, state, homes := c.past.Kubelets[0].Step, c.past.State.Step, c.past.Homes.Step
	cpu := (kubelet + finestCPU - 1) / finestCPU * finestCPU
	requests := func(resource usage.Resource) func(promql.Past) string {
		return func(p promql.Past) string { return p.Requests(resource) }
	}
	charged := func(resource usage.Resource) func(promql.Past) string {
		return func(p promql.Past) string { return p.Charged(resource) }
	}
	all := []question{
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
			question{report.CPUCharged, charged(usage.CPU), kubelet, kubelet.Hours()},
			question{report.MemoryCharged, charged(usage.Memory), kubelet, kubelet.Hours() / gib})
	}
	return slices.DeleteFunc(all, func(q question) bool { return !r.has(q.measure) || slices.Contains(r.unused, q.measure) })
}

// attribute adds the sums of a query to the users and groups that they belong to. If a user's groups changed in the window, or
// several users' pods had one name, it reads the values at each point.
func (r *reader) attribute(ctx context.Context, c *cell, q question, answer []*model.Sample, s *sums) error {
	unclear := map[string][]string{} // names of pods or directories, by namespace
	for _, one := range answer {
		key := keyOf(q, one.Metric)
		owner, ok := c.owner(r, key)
		if !ok {
			continue
		}
		if q.measure == report.ServerHours && r.Servers(key.name) {
			c.served[key.namespace] += float64(one.Value)
			if len(c.owners[pod{key.namespace, key.name}]) == 0 {
				c.lost[key.namespace] += float64(one.Value)
			}
		}
		groups, kind, same := c.throughout(key.namespace, owner)
		if !same || q.measure == report.ServerHours && one.Metric["uid"] == "" {
			unclear[key.namespace] = append(unclear[key.namespace], key.name)
			continue
		}
		r.add(s, q, key, owner, kind, groups, float64(one.Value), string(one.Metric["uid"]))
	}
	for _, namespace := range slices.Sorted(maps.Keys(unclear)) {
		slices.Sort(unclear[namespace])
		for names := range slices.Chunk(slices.Compact(unclear[namespace]), fewPods) {
			if err := r.attributePoints(ctx, c, q, namespace, names, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// fewPods is the number of pods or directories whose values are read at each point by one query.
const fewPods = 50

// owner is whoever a pod or a directory belongs to.
type owner struct {
	text string // as the pod or the directory names the owner
	user string // the user whom the text means, or empty if there is none
	// others are further owners of pods of the same name.
	others []string
}

// object is a pod or a directory.
type object struct {
	namespace, name string
	directory       bool
}

func keyOf(q question, labels model.Metric) object {
	namespace := string(labels[metrics.LabelNamespace])
	if q.measure == report.Home {
		return object{namespace, string(labels[promql.Directory]), true}
	}
	return object{namespace, string(labels["pod"]), false}
}

// owner returns the owner of a pod or a directory. A pod without one doesn't count, unless it is named like a server.
func (c *cell) owner(r *reader, o object) (owner, bool) {
	if o.directory {
		return owner{text: o.name, user: c.homeOwners[o.namespace][o.name]}, true
	}
	names := c.owners[pod{o.namespace, o.name}]
	if len(names) == 0 {
		return owner{text: o.name}, r.Servers(o.name)
	}
	return owner{text: names[0], user: c.users[o.namespace][names[0]], others: names[1:]}, true
}

// throughout returns the groups of an owner if they stayed the same in the window.
func (c *cell) throughout(namespace string, o owner) (groups []string, kind report.Kind, same bool) {
	if len(o.others) > 0 {
		return nil, 0, false
	}
	if o.user == "" {
		return nil, report.Unknown, true
	}
	groups, same = c.timelines[namespace].throughout(o.user)
	return groups, report.Known, same
}

// add adds a value to the sum of an owner.
func (r *reader) add(s *sums, q question, key object, o owner, kind report.Kind, groups []string, value float64, uid string) {
	if q.measure == report.ServerHours && !r.Servers(key.name) || value == 0 {
		return
	}
	user := cmp.Or(o.user, o.text)
	if r.Excluded(user) {
		return
	}
	if kind == report.Unknown && key.directory {
		kind, user = report.Unowned, o.text
	}
	sum := s.of(key.namespace, user, kind, groups)
	sum.use.Amounts[q.measure] += value * q.unit
	if q.measure == report.ServerHours {
		sum.sessions[strings.Join([]string{key.namespace, key.name, uid}, "/")] = true
	}
}

// unowned returns the window if more than one in a hundred hours of a namespace's servers has no owner: then the annotations are
// missing.
func (c *cell) unowned(namespace string) []window {
	if c.lost[namespace] > c.served[namespace]/100 {
		return []window{c.window}
	}
	return nil
}
