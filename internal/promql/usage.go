package promql

import (
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// The metrics that usage is computed from. They are those of the kubelet's cAdvisor, of kube-state-metrics and of
// prometheus-dirsize-exporter.
const (
	ContainerMemory   = "container_memory_working_set_bytes"
	ContainerCPU      = "container_cpu_usage_seconds_total"
	ContainerRequests = "kube_pod_container_resource_requests"
	PodAnnotations    = "kube_pod_annotations"
	PodLabels         = "kube_pod_labels"
	PodPhase          = "kube_pod_status_phase"
	DirectorySize     = "dirsize_total_size_bytes"
)

// The matchers for series of cAdvisor that are containers, and for those that are a pod as a whole. The pause container
// is neither: it has the label name and no label container, or the value POD.
const (
	isContainer = `container!="",container!="POD"`
	isPod       = `container="",name="",pod!=""`
)

// ByUser returns the usage of a resource by user, with the labels namespace and username.
func (q Queries) ByUser(resource usage.Resource) string {
	if resource == usage.HomeDir {
		return q.ofDirectories()
	}
	return q.sumPods(resource, q.PodUsers(q.ownersFor(resource)), metrics.LabelUsername)
}

// ByRecordedUser is like ByUser, but takes the users of pods from recording rules. It is for the resources that pods
// use, and not for HomeDir.
func (q Queries) ByRecordedUser(resource usage.Resource) string {
	return q.sumPods(resource, q.recordedUsersFor(resource), metrics.LabelUsername)
}

// ByOwner returns the usage of a resource by owner of pods, with the labels namespace and owner. Prometheus doesn't
// need memberships for it.
func (q Queries) ByOwner(resource usage.Resource) string {
	return q.sumPods(resource, q.ownersFor(resource), Owner)
}

// sumPods sums the usage of pods by a label of whose, the vector that assigns pods to users or owners.
func (q Queries) sumPods(resource usage.Resource, whose, label string) string {
	sum := call("sum by ("+q.Labels(label)+")",
		strings.TrimSpace(call("", q.ofPods(resource))),
		"* on ("+q.Labels("pod")+") group_left ("+label+")",
		whose)
	if resource == usage.CPU {
		sum += "\n/ 300" // seconds in five minutes
	}
	return sum
}

// ofPods returns the usage of a resource by pod, with the labels namespace and pod. CPU is in seconds over five
// minutes.
func (q Queries) ofPods(resource usage.Resource) string {
	switch resource {
	case usage.Memory:
		return q.memory()
	case usage.CPU:
		const length = "[5m]"
		return q.cpu(func(selector string) string { return "increase(" + selector + length + ")" }, length)
	default:
		return q.requests(requested(resource))
	}
}

// memory counts the containers of a pod if they are reported individually, and otherwise the pod as a whole. If a
// container has several series, because it was restarted or the kubelet is scraped twice, the largest counts.
// Containers and pods that have ended are left out: the kubelet's series have timestamps of their own, so Prometheus
// keeps their last value for five minutes.
func (q Queries) memory() string {
	terminated := "(" + q.pods("kube_pod_container_status_terminated") + " == 1 or " + q.pods("kube_pod_init_container_status_terminated") + " == 1)"
	return firstOf(
		q.sumOfLargest(unless(q.pods(ContainerMemory, isContainer), q.Labels("pod", "container"), terminated), "container"),
		q.sumOfLargest(unless(q.pods(ContainerMemory, isPod), q.Labels("pod"), q.ended())))
}

// ended returns the phase of each pod that has ended.
func (q Queries) ended() string { return q.pods(PodPhase, `phase=~"Failed|Succeeded"`) + " == 1" }

func unless(vector, on, without string) string {
	return vector + "\nunless on (" + on + ")\n" + without
}

// cpu counts the same series as memory, each by a function of its selector. A pod that is restarted has two series for
// some minutes, the end of the old one and the beginning of the new one, and both count. Only the labels id or name
// distinguish them from one series that is scraped twice, if Prometheus keeps these labels.
//
// Without them, a pod as a whole and its pause container are one series, whose samples alternate between two counters,
// and each step up would count as usage. Such a series has many resets and is left out. The series of a pod alone has
// at most one reset, if the pod is created again.
//
// The query uses increase and not rate: a rate times 300 is the same in Prometheus, but not in VictoriaMetrics, where a
// rate stays the same until the last sample of a series has left the window.
func (q Queries) cpu(function func(selector string) string, length string) string {
	of := func(kind, identity string) string { return function(q.pods(ContainerCPU, kind, identity)) }
	notMixed := of(isPod, `id=""`) + " and resets(" + q.pods(ContainerCPU, isPod, `id=""`) + length + ") <= 1"
	return firstOf(
		q.sumOfLargest(of(isContainer, `id!=""`), "container", "id"),
		q.sumOfLargest(of(isContainer, `id="",name!=""`), "container", "name"),
		q.sumOfLargest(of(isContainer, `id="",name=""`), "container"),
		q.sumOfLargest(of(isPod, `id!=""`), "id"),
		q.sumOfLargest(notMixed))
}

// requests counts the requests of a pod's containers until the pod has ended. kube-state-metrics exports them until the
// pod is deleted.
func (q Queries) requests(resource string) string {
	return q.sumOfLargest(unless(q.pods(ContainerRequests, resource), q.Labels("pod", "uid"), q.ended()), "container", "resource")
}

// requested returns the matcher for a requested resource. kube-state-metrics writes the resource nvidia.com/mig-1g.5gb
// as nvidia_com_mig_1g_5gb.
func requested(resource usage.Resource) string {
	switch resource {
	case usage.MemoryRequests:
		return `resource="memory"`
	case usage.CPURequests:
		return `resource="cpu"`
	case usage.GPURequests:
		return `resource=~"(amd|nvidia)_com_gpu|gpu_intel_com_(i915|xe)"`
	default:
		return `resource=~"nvidia_com_(gpu_shared|mig_.+)"`
	}
}

// sumOfLargest sums a vector by pod. Of series of a pod with the same values of the labels, only the largest counts.
func (q Queries) sumOfLargest(vector string, labels ...string) string {
	largest := call("max by ("+q.Labels(append([]string{"pod"}, labels...)...)+")", vector)
	if len(labels) == 0 {
		return largest
	}
	return call("sum by ("+q.Labels("pod")+")", largest)
}

// firstOf returns for each pod the value from the first vector that has one. All vectors have the labels namespace and
// pod.
func firstOf(vectors ...string) string { return strings.Join(vectors, "\nor\n") }

// Directories returns the size of each directory, with the labels namespace and directory. If several exporters measure
// the same directory, the largest counts.
func (q Queries) Directories() string {
	return "max by (" + q.Labels(Directory) + ") (" + q.OfHubs(DirectorySize) + ")"
}

// ofDirectories sums the sizes of each user's directories. A directory is named by the safe form of the user's name or
// by the escaped form, and a user may have both.
func (q Queries) ofDirectories() string {
	return call("sum by ("+q.Labels(metrics.LabelUsername)+")",
		q.Directories(),
		"* on ("+q.Labels(Directory)+") group_left (username)",
		q.directoryUsers())
}
