package promql

import (
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// PodsNamespace is the label of StrayPods for the namespace of the pods.
const PodsNamespace = "pods_namespace"

// StrayPods returns hubs whose exporter publishes a namespace in which their pods aren't, with the labels namespace and
// pods_namespace. The value is the number of users who have pods in pods_namespace now.
//
// A hub whose servers are all stopped, or that isn't on Kubernetes, has no pods either. So pods count only if they are
// in a namespace that no exporter has published for a day, and if most of their owners are users of a hub without pods.
// A hub is without pods if its namespace has none at all, not even the hub's own, and no usage was recorded there for a
// day.
func (q Queries) StrayPods() string {
	// The queried hubs limit whose pods are looked for, and not where.
	everywhere := Queries{Pods: q.Pods, Clusters: q.Clusters}
	anyPod := Queries{Clusters: q.Clusters}
	hub := "(" + q.Labels() + ")"
	strays := call("group by ("+q.inCluster(PodsNamespace, Owner)+")",
		copyLabel(everywhere.Owners(), metrics.LabelNamespace, PodsNamespace),
		"unless on "+hub+" present_over_time("+metrics.HubUp+"[1d])")
	users := call("group by ("+q.Labels(metrics.LabelUsername)+")",
		q.OfHubs(metrics.Name(q.Prefix, metrics.UserGroupInfo)),
		"unless on "+hub+" "+anyPod.pods(PodPhase, `phase="Running"`), // also pods that don't run have it
		"unless on "+hub+" "+anyPod.pods(ContainerMemory, `pod!=""`),
		"unless on "+hub+" present_over_time("+q.OfHubs(RecordedByGroup(usage.Memory, false))+"[1d])")
	return call("count by ("+q.Labels(PodsNamespace)+")",
		strays,
		"* on ("+q.inCluster(Owner)+") group_left (namespace)",
		call("topk by ("+q.inCluster(Owner)+")", "1,", copyLabel(users, metrics.LabelUsername, Owner))) +
		"\n> on (" + q.inCluster(PodsNamespace) + ") group_left ()\n" +
		call("0.5 * count by ("+q.inCluster(PodsNamespace)+")", strays)
}

// inCluster is like Labels, but without the namespace.
func (q Queries) inCluster(labels ...string) string {
	return strings.Join(slices.Concat(q.Clusters, labels), ", ")
}
