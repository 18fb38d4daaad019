package promql

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Sampling describes when series are evaluated, and how long a sample counts.
type Sampling struct {
	// Interval is the usual time between two samples of a series.
	Interval time.Duration
	// Step is the time between two points at which the series are evaluated. Each point stands for the time until the
	// next one.
	Step time.Duration
	// Window is how long a sample counts. It is at least Interval.
	Window time.Duration
	// Job is the label job of the series. It is empty if all series of a namespace have samples equally often.
	Job string
}

// Past writes queries for past usage, by pod and by directory. They are evaluated at points of time. The value at a
// point is that of the last sample before the next point, if that sample is not older than the window. Prometheus
// itself would look back five minutes: if a series has no staleness markers, as when samples have explicit timestamps,
// a pod that ran for twenty minutes would count for 25.
type Past struct {
	Queries
	// Kubelets describes the series of the kubelets. If several jobs scrape the kubelets, a pod counts by the first job
	// that has it.
	Kubelets []Sampling
	// State and Homes describe the series of kube-state-metrics and of the sizes of directories.
	State, Homes Sampling
	// NoPhases is set if Prometheus has no phases of pods. Then a pod counts as running as long as it exists.
	NoPhases bool
}

// Duration returns a duration in PromQL.
func Duration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}

// Over returns the query that sums an expression over the points in a range that ends at the time of the query.
func Over(expr string, length, step time.Duration) string {
	return fmt.Sprintf("sum_over_time((\n  %s\n)[%s:%s])", indent(expr), Duration(length), Duration(step))
}

// At returns the value of each series that a selector matches at a point, unless it is NaN or infinite.
func (s Sampling) At(selector string) string { return s.last(selector) + " < Inf" }

func (s Sampling) last(selector string) string {
	return "last_over_time(" + selector + "[" + Duration(s.Window) + "] offset -" + Duration(s.Step-time.Millisecond) + ")"
}

// Running returns 1 for each running pod, with the labels namespace, pod and uid.
func (p Past) Running() string {
	by := "(" + p.Labels("pod", "uid") + ")"
	if p.NoPhases {
		annotations, labels := p.PodOwners()
		return call("group by "+by, p.State.At(annotations), "or", p.State.At(labels))
	}
	return call("group by "+by, p.State.last(p.pods(PodPhase, `phase="Running"`))+" == 1")
}

// Memory returns the working set of running pods in bytes, with the labels namespace and pod.
func (p Past) Memory() string {
	return p.ofKubelets(ContainerMemory, func(q Queries, s Sampling) string {
		return firstOf(
			q.sumOfLargest(s.At(q.pods(ContainerMemory, isContainer)), "container"),
			q.sumOfLargest(s.At(q.pods(ContainerMemory, isPod))))
	})
}

// ofKubelets combines the expression for the series of each job. Where an earlier job has a pod, within ten minutes,
// later jobs' series of that pod don't count: they may begin earlier and end later.
func (p Past) ofKubelets(metric string, expr func(Queries, Sampling) string) string {
	if len(p.Kubelets) == 1 {
		return expr(p.Queries, p.Kubelets[0])
	}
	var parts, present []string
	for _, kubelet := range p.Kubelets {
		q := p.Queries
		q.Hubs = append(slices.Clone(q.Hubs), Is("job", kubelet.Job))
		part := expr(q, kubelet)
		if len(present) > 0 {
			part = unless(strings.TrimSpace(call("", part)), p.Labels("pod"), strings.TrimSpace(call("", strings.Join(present, "\nor\n"))))
		}
		parts = append(parts, strings.TrimSpace(call("", part)))
		present = append(present, "present_over_time("+q.pods(metric, `pod!=""`)+"[20m] offset -10m)")
	}
	return firstOf(parts...)
}

// CPU returns the CPU seconds that pods used between a point and the next one, with the labels namespace and pod. They
// are the mean rate around these points, times the time that the samples between them stand for. So nothing counts
// while there are no samples.
func (p Past) CPU(step time.Duration) string {
	return p.cores(step, func(s Sampling, selector string) string {
		return fmt.Sprintf("* count_over_time(%s[%s] offset -%s) * %g", selector, Duration(step), Duration(step-time.Millisecond), s.Interval.Seconds())
	})
}

// cores returns the number of cores that pods use between a point and the next one, with the labels namespace and pod:
// the slope of the counter over at least ten minutes and ten samples around the middle. It appends the result of then
// to each slope. Prometheus' rate would extrapolate to times at which the pod didn't run, and differs in VictoriaMetrics.
// It is used only for counters that were reset. If a sample is NaN, deriv is too, and the difference of the largest and
// the smallest sample replaces it.
func (p Past) cores(step time.Duration, then func(s Sampling, selector string) string) string {
	return p.ofKubelets(ContainerCPU, func(q Queries, s Sampling) string {
		length := max(10*time.Minute, 10*s.Interval)
		around := "[" + Duration(length) + "] offset -" + Duration((length+step)/2)
		return q.cpu(func(selector string) string {
			series := selector + around
			slope := fmt.Sprintf("(deriv(%[1]s) >= 0 or (max_over_time(%[1]s) - min_over_time(%[1]s)) / ((count_over_time(%[1]s) - 1) * %[2]g > 0))",
				series, s.Interval.Seconds())
			return "((" + slope + " unless resets(" + series + ") > 0 or rate(" + series + ")) < Inf) " + then(s, selector)
		}, around)
	})
}

// Requests returns the requests of running pods, with the labels namespace, pod and uid.
func (p Past) Requests(resource usage.Resource) string {
	return call("sum by ("+p.Labels("pod", "uid")+")",
		call("max by ("+p.Labels("pod", "uid", "container", "resource")+")",
			p.State.At(p.pods(ContainerRequests, requested(resource))))) +
		"\n* on (" + p.Labels("pod", "uid") + ")\n" +
		p.Running()
}

// Charged returns the greater of what pods use and what they request, with the labels namespace and pod. Usage counts only
// if it exceeds the pod's requests within some minutes of the point: the kubelet's samples of a pod may start before and
// end after those of kube-state-metrics.
func (p Past) Charged(resource usage.Resource) string {
	isRequest := requested(usage.MemoryRequests)
	used, requests := p.Memory(), p.Requests(usage.MemoryRequests)
	if resource == usage.CPU {
		used = p.cores(p.Kubelets[0].Step, func(s Sampling, selector string) string { return "and " + s.last(selector) })
		requests = p.Requests(usage.CPURequests)
		isRequest = requested(usage.CPURequests)
	}
	used, requests = strings.TrimSpace(call("", used)), call("sum by ("+p.Labels("pod")+")", requests)
	length := 4 * max(p.State.Window, p.Kubelets[0].Step)
	near := call("", p.sumOfLargest(fmt.Sprintf("last_over_time(%s[%s] offset -%s) < Inf",
		p.pods(ContainerRequests, isRequest), Duration(length), Duration((length+p.State.Step)/2)), "container"))
	return firstOf(used+"\n> on ("+p.Labels("pod")+")\n"+near, requests, unless(used, p.Labels("pod"), near))
}

// Sizes returns the size of each directory in bytes, with the labels namespace and directory.
func (p Past) Sizes() string {
	return call("max by ("+p.Labels(Directory)+")", p.Homes.At(p.OfHubs(DirectorySize)))
}

// PastOwners returns 1 for each pod and owner in a range before the time of the query, with the labels namespace, pod
// and owner. It returns two queries: one for owners in annotations, which take precedence, and one for owners in
// labels.
func (p Past) PastOwners(length time.Duration) (annotations, labels string) {
	one := func(selector, label string) string {
		return copyLabel(call("group by ("+p.Labels("pod", label)+")", "present_over_time("+selector+"["+Duration(length)+"])"), label, Owner)
	}
	a, l := p.PodOwners()
	return one(a, UserAnnotation), one(l, UserLabel)
}

// Memberships returns the selector of the series of memberships.
func (q Queries) Memberships(matchers ...string) string {
	return q.OfHubs(metrics.Name(q.Prefix, metrics.UserGroupInfo), matchers...)
}

// PodSeries returns the selector of a metric's series about pods.
func (p Past) PodSeries(metric string) string { return p.pods(metric, `pod!=""`) }

// RequestSeries returns the selector of the series with requests for a resource.
func (p Past) RequestSeries(resource usage.Resource) string {
	return p.pods(ContainerRequests, requested(resource))
}

// RunningSeries returns the selectors of the series from which Running is computed.
func (p Past) RunningSeries() []string {
	if p.NoPhases {
		annotations, labels := p.PodOwners()
		return []string{annotations, labels}
	}
	return []string{p.pods(PodPhase, `phase="Running"`)}
}
