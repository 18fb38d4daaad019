package month

import (
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Labels are the labels of a series, without its name.
type Labels map[string]string

// with returns the labels with others added. Empty values are left out, as in Prometheus.
func (l Labels) with(more Labels) Labels {
	all := maps.Clone(l)
	if all == nil {
		all = Labels{}
	}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// String returns the labels as in an exposition.
func (l Labels) String() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(l)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + `="` + escape.Replace(l[name]) + `"`)
	}
	return "{" + b.String() + "}"
}

// Stored is a series in Prometheus.
type Stored struct {
	Name   string
	Labels Labels
	month  *Month
	target *Target
	during Span   // when the target exposes the series
	down   []Span // when scrapes fail
	nan    []Span // when its value is NaN
	at     func(time.Time) float64
}

// Samples returns the samples of a series within a span in the order of time.
func (s *Stored) Samples(within Span) iter.Seq2[time.Time, float64] {
	return func(yield func(time.Time, float64) bool) {
		// A sample may be older than its scrape.
		scrapes := s.during.and(Span{within.From, within.To.Add(s.target.Jitter)})
		after := scrapes.From.Sub(s.month.Span.From) - s.target.Offset
		for number := max(0, (after+s.target.Every-1)/s.target.Every); ; number++ {
			scrape := s.month.Span.From.Add(s.target.Offset + number*s.target.Every)
			if !scrape.Before(scrapes.To) {
				return
			}
			t := scrape.Add(-s.target.jitter(int64(number)))
			if t.Before(s.during.From) {
				t = s.during.From
			}
			if !within.Contains(t) || contain(s.month.Down, scrape) || contain(s.down, scrape) {
				continue
			}
			if !yield(t, s.value(t)) {
				return
			}
		}
	}
}

func (s *Stored) value(t time.Time) float64 {
	if contain(s.nan, t) {
		return math.NaN()
	}
	return s.at(t)
}

// jitter returns the age of a sample. It seems random, but is always the same.
func (t *Target) jitter(number int64) time.Duration {
	if t.Jitter == 0 {
		return 0
	}
	mixed := uint64(number) * 0x9e3779b97f4a7c15
	return time.Duration(mixed>>20%uint64(t.Jitter/time.Millisecond)) * time.Millisecond
}

// Series returns the series that have samples within a span, one after another.
func (m *Month) Series(within Span) iter.Seq[*Stored] {
	return func(yield func(*Stored) bool) {
		c := collector{month: m, within: within, yield: yield}
		for _, c.hub = range m.Hubs {
			c.targets()
			c.memberships()
			for i := range c.hub.Pods {
				if pod := &c.hub.Pods[i]; pod.Exists.and(within).Hours() > 0 {
					c.object(pod)
					c.usage(pod)
				}
			}
			c.directories()
		}
	}
}

// collector makes the series of a hub.
type collector struct {
	month  *Month
	within Span
	hub    *Hub
	yield  func(*Stored) bool
	done   bool
}

func (c *collector) series(s *Stored) {
	s.month, s.during = c.month, s.during.and(s.target.up(c.month)).and(c.month.Span)
	if !c.done && s.during.and(c.within).Hours() > 0 {
		c.done = !c.yield(s)
	}
}

// add adds a series of several targets.
func (c *collector) add(targets []Target, name string, labels Labels, during Span, nan []Span, at func(time.Time) float64) {
	labels = labels.with(Labels{"namespace": c.hub.Namespace})
	for i := range targets {
		target := &targets[i]
		c.series(&Stored{Name: name, Labels: target.Labels.with(labels), target: target, during: during, down: target.Down, nan: nan, at: at})
	}
}

// targets adds the series up of each target.
func (c *collector) targets() {
	for _, targets := range [][]Target{c.hub.Exporters, c.hub.StateMetrics, c.hub.Kubelets, c.hub.Disks} {
		for i := range targets {
			target := &targets[i]
			c.series(&Stored{Name: "up", Labels: target.Labels, target: target, during: c.month.Span, at: func(t time.Time) float64 {
				if contain(target.Down, t) {
					return 0
				}
				return 1
			}})
		}
	}
}

func one(time.Time) float64 { return 1 }

// is returns a function for 1 in a span and 0 otherwise.
func is(span Span) func(time.Time) float64 {
	return func(t time.Time) float64 {
		if span.Contains(t) {
			return 1
		}
		return 0
	}
}

// memberships adds the series of groups-exporter.
func (c *collector) memberships() {
	c.add(c.hub.Exporters, "groups_exporter_hub_up", nil, c.month.Span, nil, one)
	for _, user := range c.hub.Users {
		of := Labels{"username": user.Name, "username_escaped": slug.Escape(user.Name), "username_safe": slug.Safe(user.Name)}
		for _, membership := range user.Memberships {
			for _, group := range c.hub.published(membership.Groups) {
				c.add(c.hub.Exporters, "jupyterhub_user_group_info", of.with(Labels{"usergroup": group}), membership.Span, nil, one)
			}
		}
	}
}

// published returns the groups that the exporter publishes for a user.
func (h *Hub) published(groups []string) []string {
	switch {
	case len(groups) == 0:
		return []string{"none"}
	case len(groups) == 1 || h.MultiGroup == "each":
		return groups
	case h.MultiGroup == "both":
		return append(slices.Clone(groups), "multiple")
	default:
		return []string{"multiple"}
	}
}

// object adds the series of kube-state-metrics for a pod.
func (c *collector) object(p *Pod) {
	of := Labels{"pod": p.Name, "uid": p.UID}
	add := func(name string, labels Labels, during Span, nan []Span, at func(time.Time) float64) {
		c.add(c.hub.StateMetrics, "kube_pod_"+name, of.with(labels), during, nan, at)
	}
	pending, ended := Span{p.Exists.From, p.Runs.From}, Span{p.Runs.To, p.Exists.To}
	if p.Runs == (Span{}) {
		pending, ended = p.Exists, Span{}
	}
	add("annotations", Labels{"annotation_hub_jupyter_org_username": p.Annotation}, p.Exists, nil, one)
	if p.Label != "" {
		add("labels", Labels{"label_hub_jupyter_org_username": p.Label}, p.Exists, nil, one)
	}
	for phase, span := range map[string]Span{"Pending": pending, "Running": p.Runs, "Succeeded": ended, "Failed": {}, "Unknown": {}} {
		add("status_phase", Labels{"phase": phase}, p.Exists, nil, is(span))
	}
	for _, container := range p.Containers {
		for resource, requested := range container.Requests {
			labels := Labels{"container": container.Name, "resource": resource, "unit": unit(resource)}
			// A pod has no node before it is scheduled.
			add("container_resource_requests", labels, pending, p.NaN, func(time.Time) float64 { return requested })
			scheduled := Span{pending.To, p.Exists.To}
			add("container_resource_requests", labels.with(Labels{"node": "node-1"}), scheduled, p.NaN, func(time.Time) float64 { return requested })
		}
		if p.Runs != (Span{}) {
			add("container_status_terminated", Labels{"container": container.Name}, Span{p.Runs.From, p.Exists.To}, nil, is(ended))
		}
	}
}

func unit(resource string) string {
	switch resource {
	case "cpu":
		return "core"
	case "memory", "ephemeral_storage":
		return "byte"
	default:
		return "integer"
	}
}

// The usage of a pause container.
var (
	pauseMemory = Constant(1 << 20)
	pauseCPU    = Constant(0.0001)
)

// usage adds the series of the kubelet for a pod.
func (c *collector) usage(p *Pod) {
	slice := "/kubepods/burstable/pod" + p.UID
	whole := Container{Memory: pauseMemory, CPU: pauseCPU}
	pause := Labels{"id": slice + "/pause", "name": "pause-" + p.UID, "image": "registry.example/pause:3.9"}
	switch p.Series {
	case WholeAndPOD, WholeAndPause:
		whole = p.Containers[0] // includes the pause container
		if p.Series == WholeAndPOD {
			pause["container"], pause["name"] = "POD", "k8s_POD_"+p.Name+"_"+c.hub.Namespace+"_"+p.UID+"_0"
		}
	default:
		for i := range p.Containers {
			c.container(p, slice, &p.Containers[i])
		}
		if p.Series == Bare || p.Series == SameID {
			return
		}
	}
	c.measured(p, p.Runs, pause, func(time.Time) float64 { return pauseMemory.At(0) }, c.counter(p, p.Runs, pauseCPU))
	memory := func(t time.Time) float64 { return whole.Memory.At(t.Sub(p.Runs.From)) }
	cpu := c.counter(p, p.Runs, whole.CPU)
	if p.Series == Containers {
		alone, aloneCPU := memory, cpu
		memory = func(t time.Time) float64 { return alone(t) + p.memory(t) }
		cpu = func(t time.Time) float64 {
			sum := aloneCPU(t)
			for i := range p.Containers {
				sum += c.counter(p, p.Runs, p.Containers[i].CPU)(t)
			}
			return sum
		}
	}
	c.measured(p, p.Runs, Labels{"id": slice}, memory, cpu)
}

// memory returns the memory of all containers.
func (p *Pod) memory(t time.Time) float64 {
	sum := 0.0
	for i := range p.Containers {
		sum += p.Containers[i].Memory.At(t.Sub(p.Runs.From))
	}
	return sum
}

// container adds the series of a container. Each start makes a container with another id, unless there are no ids or they stay the same.
func (c *collector) container(p *Pod, slice string, container *Container) {
	memory := func(t time.Time) float64 { return container.Memory.At(t.Sub(p.Runs.From)) }
	starts := append([]time.Time{p.Runs.From}, container.Restarts...)
	ends := append(slices.Clone(container.Restarts), p.Runs.To)
	if p.Series == Bare || p.Series == SameID {
		labels := Labels{"container": container.Name}
		if p.Series == SameID {
			labels["id"] = slice + "/" + container.Name
		}
		c.measured(p, p.Runs, labels, memory, func(t time.Time) float64 {
			last, _ := slices.BinarySearchFunc(starts, t, func(start, t time.Time) int {
				if start.After(t) {
					return 1
				}
				return -1
			})
			return c.counter(p, Span{starts[last-1], ends[last-1]}, container.CPU)(t)
		})
		return
	}
	for i, start := range starts {
		id := container.Name + "-" + string(rune('a'+i))
		c.measured(p, Span{start, ends[i]}, Labels{"container": container.Name, "image": "registry.example/lab:4", "id": slice + "/" + id, "name": id},
			memory, c.counter(p, Span{start, ends[i]}, container.CPU))
	}
}

// counter returns the CPU seconds since the beginning of a span.
func (c *collector) counter(p *Pod, span Span, cores Curve) func(time.Time) float64 {
	return func(t time.Time) float64 {
		sum := 0.0
		for _, part := range (Span{span.From, t}).without(c.month.Down) {
			sum += cores.Within(part, p.Runs.From)
		}
		return sum * 3600
	}
}

// measured adds the series for memory and CPU.
func (c *collector) measured(p *Pod, during Span, labels Labels, memory, cpu func(time.Time) float64) {
	labels = labels.with(Labels{"pod": p.Name})
	whole := func(t time.Time) float64 { return math.Round(memory(t)) }
	micro := func(t time.Time) float64 { return math.Round(cpu(t)*1e6) / 1e6 }
	c.add(c.hub.Kubelets, "container_memory_working_set_bytes", labels, during, p.NaN, whole)
	c.add(c.hub.Kubelets, "container_cpu_usage_seconds_total", labels, during, p.NaN, micro)
}

// directories adds the series of prometheus-dirsize-exporter.
func (c *collector) directories() {
	for _, d := range c.hub.Directories {
		c.add(c.hub.Disks, "dirsize_total_size_bytes", Labels{"directory": d.Name}, d.Exists, d.NaN, func(t time.Time) float64 {
			return math.Round(d.Size.At(t.Sub(d.Exists.From)))
		})
	}
}
