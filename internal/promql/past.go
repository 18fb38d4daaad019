package promql

import (
	"fmt"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Past writes queries for usage in the past, by pod and by directory. They are evaluated at points of time with a fixed
// distance, the step, and each point stands for the step before it.
//
// A series counts at a point only if it has a sample within a window before it. Prometheus itself would go back five minutes, and
// a pod of twenty minutes would count 25 if its series have no staleness markers, as those with timestamps of their own.
type Past struct {
	Queries
	// Kubelet, State and Homes are the windows for the series of the kubelets, of kube-state-metrics and for the sizes of
	// directories.
	Kubelet, State, Homes time.Duration
	// NoPhases is set if Prometheus has no phases of pods. Then a pod counts as running while it exists.
	NoPhases bool
}

// Duration returns a duration in PromQL.
func Duration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}

// Over returns the sum of an expression over the points of time within a range before the time of the query.
func Over(expr string, length, step time.Duration) string {
	return fmt.Sprintf("sum_over_time((\n  %s\n)[%s:%s])", indent(expr), Duration(length), Duration(step))
}

// within returns the values of a selector at a point of time that aren't NaN.
func within(selector string, window time.Duration) string {
	return "last_over_time(" + selector + "[" + Duration(window) + "]) >= 0"
}

// Running returns 1 for each running pod, with the labels namespace, pod and uid.
func (p Past) Running() string {
	by := "(" + p.Labels("pod", "uid") + ")"
	if p.NoPhases {
		annotations, labels := p.PodOwners()
		return call("group by "+by, within(annotations, p.State), "or", within(labels, p.State))
	}
	return call("group by "+by, "last_over_time("+p.pods(PodPhase, `phase="Running"`)+"["+Duration(p.State)+"]) == 1")
}

// Memory returns the working set of running pods in bytes, with the labels namespace and pod.
func (p Past) Memory() string {
	return firstOf(
		p.sumOfLargest(within(p.pods(ContainerMemory, isContainer), p.Kubelet), "container"),
		p.sumOfLargest(within(p.pods(ContainerMemory, isPod), p.Kubelet)))
}

// CPU returns the CPU seconds of pods in a range before each point of time, with the labels namespace and pod.
func (p Past) CPU(length time.Duration) string { return p.cpu("["+Duration(length)+"]", " >= 0") }

// Requests returns the requests of running pods, with the labels namespace, pod and uid.
func (p Past) Requests(resource usage.Resource) string {
	return call("sum by ("+p.Labels("pod", "uid")+")",
		call("max by ("+p.Labels("pod", "uid", "container", "resource")+")",
			within(p.pods(ContainerRequests, requested(resource)), p.State))) +
		"\n* on (" + p.Labels("pod", "uid") + ")\n" +
		p.Running()
}

// Charged returns the greater of the usage and the requests of pods, with the labels namespace and pod. For CPU it is in seconds
// over the range before each point of time.
func (p Past) Charged(resource usage.Resource, length time.Duration) string {
	used, requests := p.Memory(), p.Requests(usage.MemoryRequests)
	if resource == usage.CPU {
		used, requests = p.CPU(length), fmt.Sprintf("%d * %s", int(length.Seconds()), p.Requests(usage.CPURequests))
	}
	requests = call("sum by ("+p.Labels("pod")+")", requests)
	used = strings.TrimSpace(call("", used))
	return firstOf(used+"\n> on ("+p.Labels("pod")+")\n"+requests, requests, used)
}

// Sizes returns the size of each directory in bytes, with the labels namespace and directory.
func (p Past) Sizes() string {
	return call("max by ("+p.Labels(Directory)+")", within(p.OfHubs(DirectorySize), p.Homes))
}

// PastOwners returns 1 for each pod and owner in a range before the time of the query, with the labels namespace, pod and
// owner. It returns two queries: for owners in annotations, which decide, and for those in labels.
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

// PodSeries returns the selector of a metric's series that are pods.
func (p Past) PodSeries(metric string) string { return p.pods(metric, `pod!=""`) }

// RequestSeries returns the selector of the series that request a resource.
func (p Past) RequestSeries(resource usage.Resource) string {
	return p.pods(ContainerRequests, requested(resource))
}

// RunningSeries returns the selector of the series from which Running is computed.
func (p Past) RunningSeries() string {
	if p.NoPhases {
		annotations, _ := p.PodOwners()
		return annotations
	}
	return p.pods(PodPhase, `phase="Running"`)
}
