package promql

import (
	"fmt"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Source is a kind of series that usage is computed from.
type Source struct {
	// Metric is the metric's name.
	Metric string
	// Selectors select the series in all namespaces. It is enough if one of them finds any.
	Selectors []string
	// Of lists the resources that need the series.
	Of []usage.Resource
	// Anywhere is set if it is enough that any namespace has such series: it may be that no pod of the hub requests
	// anything.
	Anywhere bool
	// Optional is set if a whole cluster may lack such series.
	Optional bool
}

// Sources returns the kinds of series that usage is computed from.
func (q Queries) Sources() []Source {
	ofPods := []usage.Resource{
		usage.Memory, usage.CPU, usage.MemoryRequests, usage.CPURequests, usage.GPURequests, usage.GPUSliceRequests,
	}
	annotations, labels := q.PodOwners()
	sources := []Source{
		{Metric: PodAnnotations, Selectors: []string{annotations, labels}, Of: ofPods},
		{Metric: ContainerMemory, Selectors: []string{q.pods(ContainerMemory, `pod!=""`)}, Of: ofPods[:1]},
		{Metric: ContainerCPU, Selectors: []string{q.pods(ContainerCPU, `pod!=""`)}, Of: ofPods[1:2]},
		{Metric: PodPhase, Selectors: []string{q.pods(PodPhase)}, Of: ofPods[2:]},
	}
	for _, resource := range ofPods[2:] {
		sources = append(sources, Source{
			Metric: ContainerRequests, Selectors: []string{q.pods(ContainerRequests, requested(resource))}, Of: []usage.Resource{resource},
			Anywhere: true, Optional: resource == usage.GPURequests || resource == usage.GPUSliceRequests,
		})
	}
	return append(sources, Source{
		Metric: DirectorySize, Selectors: []string{q.OfHubs(DirectorySize)}, Of: []usage.Resource{usage.HomeDir}, Optional: true,
	})
}

// Gaps returns which series are missing from the usage of hubs now, with the labels namespace and series. The value is
// the number of pods that lack the series, or 1 if a whole kind of series is gone. If nothing is missing, the result is
// empty. The series of a pod don't begin and end at the same moment, so a pod lacks one only if the pod existed five
// minutes ago and hasn't had the series for ten minutes.
func (q Queries) Gaps() string {
	const then, recent = " offset 5m", "[10m]"
	pod, hub := "("+q.Labels("pod")+")", "("+q.Labels()+")"
	annotations, labels := q.PodOwners()
	owned := "(" + annotations + " or " + labels + ")"
	gap := func(series, operation string, lines ...string) string {
		return fmt.Sprintf(`label_replace(%s, "%s", "%s", "", "")`, call(operation+" by "+hub, lines...), metrics.LabelSeries, series)
	}
	without := func(pods, present string) string {
		return call("group by "+pod, pods, "unless on "+pod, present)
	}
	seen := func(selector string) string { return "present_over_time(" + selector + recent + ")" }
	running := q.pods(PodPhase, `phase="Running"`) + then + " == 1"
	withoutUsage := func(series string) string {
		return gap(series, "count", without(owned+"\nand on "+pod+"\n"+running, seen(q.pods(series, `pod!=""`))))
	}
	homes := q.OfHubs(RecordedByGroup(usage.HomeDir, false))
	gaps := []string{
		gap(PodAnnotations, "count", without(
			q.pods(ContainerMemory, `pod=~"jupyter-.*"`)+then, "("+seen(annotations)+" or "+seen(labels)+")")),
		withoutUsage(ContainerMemory),
		withoutUsage(ContainerCPU),
		gap(ContainerRequests, "group", owned, "unless on ()", ContainerRequests),
		gap(DirectorySize, "group", "last_over_time("+homes+"[1d])", "unless on "+hub, homes),
	}
	return strings.TrimSpace(call("", strings.Join(gaps, "\nor\n"))) + "\nand on " + hub + " " + q.OfHubs(metrics.HubUp) +
		"\nor\nmax by (" + q.Labels(metrics.LabelSeries) + ") (" + q.OfHubs(metrics.UsageSeriesMissing) + ") == 1"
}

// MixedClusters returns the number of clusters whose pods with owners share the namespace of a hub, for each namespace
// with more than one. Queries without Clusters can't tell them apart, so the usage of all of them counts for each hub.
func (q Queries) MixedClusters() string {
	annotations, labels := q.PodOwners(`cluster!=""`)
	return call("count by ("+q.Labels()+")", call("group by ("+q.Labels("cluster")+")", annotations, "or", labels)) +
		" > 1\nand on (" + q.Labels() + ") " + q.OfHubs(metrics.HubUp)
}
