package history

import (
	"cmp"
	"context"
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

// day holds what is known about a day, or a part of one, before usage is joined with users.
type day struct {
	window    window
	timelines map[string]*timeline
	past      promql.Past
	kubelet   *sampling
	state     *sampling
	homes     *sampling
	owners    map[pod][]string
	// users and homeOwners map forms of users' names to users, by namespace.
	users, homeOwners map[string]map[string]string
	// served and lost are the hours of all servers, and of those without an owner.
	served, lost float64
}

// question is a query and what its values mean.
type question struct {
	measure report.Measure
	expr    func(promql.Past) string
	step    time.Duration
	unit    float64       // what a value of 1 at one point adds to the measure
	before  time.Duration // how far a value is from before its point: the middle of the range over which CPU time is counted
}

// readDay adds the usage in a window to sums.
func (r *reader) readDay(ctx context.Context, w window, s *sums) error {
	d, err := r.look(ctx, w)
	if err != nil {
		return err
	}
	questions := r.questions(d)
	answers := make([][]*model.Sample, len(questions))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, q := range questions {
		group.Go(func() (err error) {
			answers[i], err = r.sum(groupCtx, q.expr(d.past), q.step, w.shifted(q.before))
			return err
		})
	}
	var homePoints []*model.Sample
	if d.homes.interval > 0 {
		group.Go(func() (err error) {
			homePoints, err = r.sum(groupCtx, "group by (namespace) ("+d.past.Sizes()+")", r.homeStep(d), w)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, one := range homePoints {
		s.result.HomeHours[string(one.Metric[metrics.LabelNamespace])] += float64(one.Value) * r.homeStep(d).Hours()
	}
	for i, q := range questions {
		if err := r.attribute(ctx, d, q, answers[i], s); err != nil {
			return err
		}
	}
	return r.cover(ctx, d)
}

// look reads the memberships and the owners of pods in a window, and how often the series have samples.
func (r *reader) look(ctx context.Context, w window) (*day, error) {
	d := &day{window: w, timelines: map[string]*timeline{}, users: map[string]map[string]string{}, homeOwners: map[string]map[string]string{}}
	d.past = promql.Past{Queries: r.Queries, NoPhases: r.noPhases}
	for _, namespace := range r.Namespaces {
		t, err := r.timeline(ctx, namespace, w)
		if err != nil {
			return nil, err
		}
		d.timelines[namespace] = t
		d.users[namespace] = r.forms.byForm(t.users, ownerForms)
		d.homeOwners[namespace] = r.forms.byForm(t.users, directoryForms)
	}
	stateSeries := d.past.RunningSeries()
	group, groupCtx := errgroup.WithContext(ctx)
	for _, source := range []struct {
		found    **sampling
		selector string
	}{
		{&d.kubelet, d.past.PodSeries(promql.ContainerMemory)},
		{&d.state, stateSeries},
		{&d.homes, r.Queries.OfHubs(promql.DirectorySize)},
	} {
		group.Go(func() (err error) {
			*source.found, err = r.measure(groupCtx, source.selector, w)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	d.past.Kubelet, d.past.State = cmp.Or(d.kubelet.window, time.Minute), cmp.Or(d.state.window, time.Minute)
	d.past.Homes = max(5*time.Minute, 2*d.homes.interval)
	var err error
	d.owners, err = r.readOwners(ctx, d.past, w)
	return d, err
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

// homeStep returns the distance of the points at which directories are measured. Their sizes change slowly.
func (r *reader) homeStep(d *day) time.Duration { return max(15*time.Minute, d.homes.interval) }

// cpuLength returns the range over which CPU time is counted at once: at least four samples, and a part of an hour.
func cpuLength(interval time.Duration) time.Duration {
	for _, length := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute} {
		if length >= 4*interval {
			return length
		}
	}
	return time.Hour
}

// questions returns the queries for the measures that Prometheus has data for.
func (r *reader) questions(d *day) []question {
	state, kubelet, cpu := d.state.step(), d.kubelet.step(), cpuLength(d.kubelet.interval)
	requests := func(resource usage.Resource) func(promql.Past) string {
		return func(p promql.Past) string { return p.Requests(resource) }
	}
	all := []question{
		{report.ServerHours, promql.Past.Running, state, state.Hours(), 0},
		{report.CPU, func(p promql.Past) string { return p.CPU(cpu) }, cpu, 1.0 / 3600, cpu / 2},
		{report.CPURequested, requests(usage.CPURequests), state, state.Hours(), 0},
		{report.Memory, promql.Past.Memory, kubelet, kubelet.Hours() / gib, 0},
		{report.MemoryRequested, requests(usage.MemoryRequests), state, state.Hours() / gib, 0},
		{report.GPU, requests(usage.GPURequests), state, state.Hours(), 0},
		{report.GPUSlices, requests(usage.GPUSliceRequests), state, state.Hours(), 0},
		{report.Home, promql.Past.Sizes, r.homeStep(d), r.homeStep(d).Hours() / gib, 0},
	}
	if r.Charged {
		all = append(all,
			question{report.CPUCharged, func(p promql.Past) string { return p.Charged(usage.CPU, cpu) }, cpu, 1.0 / 3600, cpu / 2},
			question{report.MemoryCharged, func(p promql.Past) string { return p.Charged(usage.Memory, 0) }, kubelet, kubelet.Hours() / gib, 0})
	}
	return slices.DeleteFunc(all, func(q question) bool { return slices.Contains(r.missing, q.measure) })
}

// attribute adds the sums of a query to the users and groups that they belong to. If a user's groups changed in the window, or
// several users' pods had one name, it reads the values at each point.
func (r *reader) attribute(ctx context.Context, d *day, q question, answer []*model.Sample, s *sums) error {
	unclear := map[string][]string{} // names of pods or directories, by namespace
	for _, one := range answer {
		key := keyOf(q, one.Metric)
		owner, ok := d.owner(r, q, key)
		if !ok {
			continue
		}
		if q.measure == report.ServerHours && r.Servers(key.name) {
			d.served += float64(one.Value)
			if len(d.owners[pod{key.namespace, key.name}]) == 0 {
				d.lost += float64(one.Value)
			}
		}
		groups, kind, same := d.throughout(key.namespace, owner)
		if !same || q.measure == report.ServerHours && one.Metric["uid"] == "" {
			unclear[key.namespace] = append(unclear[key.namespace], key.name)
			continue
		}
		r.add(s, q, key, owner, kind, groups, float64(one.Value), string(one.Metric["uid"]))
	}
	for _, namespace := range slices.Sorted(maps.Keys(unclear)) {
		slices.Sort(unclear[namespace])
		for names := range slices.Chunk(slices.Compact(unclear[namespace]), fewPods) {
			if err := r.attributePoints(ctx, d, q, namespace, names, s); err != nil {
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
func (d *day) owner(r *reader, q question, o object) (owner, bool) {
	if o.directory {
		return owner{text: o.name, user: d.homeOwners[o.namespace][o.name]}, true
	}
	names := d.owners[pod{o.namespace, o.name}]
	if len(names) == 0 {
		return owner{text: o.name}, r.Servers(o.name)
	}
	return owner{text: names[0], user: d.users[o.namespace][names[0]], others: names[1:]}, true
}

// throughout returns the groups of an owner if they stayed the same in the window.
func (d *day) throughout(namespace string, o owner) (groups []string, kind report.Kind, same bool) {
	if len(o.others) > 0 {
		return nil, 0, false
	}
	if o.user == "" {
		return nil, report.Unknown, true
	}
	groups, same = d.timelines[namespace].throughout(o.user)
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

// unowned returns the window if more than one in a hundred hours of servers has no owner: then the annotations are missing.
func (d *day) unowned(w window) []window {
	if d.lost > d.served/100 {
		return []window{w}
	}
	return nil
}
