package promql

import (
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// The metrics of the kubelet's cAdvisor, of kube-state-metrics and of
// prometheus-dirsize-exporter that usage is made of.
const (
	ContainerMemory   = "container_memory_working_set_bytes"
	ContainerCPU      = "container_cpu_usage_seconds_total"
	ContainerRequests = "kube_pod_container_resource_requests"
	PodAnnotations    = "kube_pod_annotations"
	PodLabels         = "kube_pod_labels"
	PodPhase          = "kube_pod_status_phase"
	DirectorySize     = "dirsize_total_size_bytes"
)

// Which series of cAdvisor are containers, and which are a pod as a whole. The pause
// container is neither: it has a name and no container, or is called POD.
const (
	isContainer = `container!="",container!="POD"`
	isPod       = `container="",name="",pod!=""`
)

// ByUser returns what each user uses of a resource, with the labels namespace and
// username.
func (q Queries) ByUser(resource metrics.Resource) string {
	if resource == metrics.HomeDir {
		return q.ofDirectories()
	}
	return q.sumPods(resource, q.PodUsers(q.ownersFor(resource)), metrics.LabelUsername)
}

// ByRecordedUser is ByUser with the users of the pods that rules have recorded. It is for
// the resources that pods use.
func (q Queries) ByRecordedUser(resource metrics.Resource) string {
	return q.sumPods(resource, q.recordedUsersFor(resource), metrics.LabelUsername)
}

// ByOwner returns what the pods of each owner use of a resource, with the labels
// namespace and owner. Prometheus needs no memberships for that.
func (q Queries) ByOwner(resource metrics.Resource) string {
	return q.sumPods(resource, q.ownersFor(resource), Owner)
}

// sumPods sums what pods use by a label of the series that say whose the pods are.
func (q Queries) sumPods(resource metrics.Resource, whose, label string) string {
	sum := call("sum by ("+q.Labels(label)+")",
		strings.TrimSpace(call("", q.ofPods(resource))),
		"* on ("+q.Labels("pod")+") group_left ("+label+")",
		whose)
	if resource == metrics.CPU {
		sum += "\n/ 300" // seconds in five minutes
	}
	return sum
}

// ofPods returns what each pod uses of a resource, with the labels namespace and pod:
// of CPU, seconds in five minutes.
func (q Queries) ofPods(resource metrics.Resource) string {
	switch resource {
	case metrics.Memory:
		return q.memory()
	case metrics.CPU:
		return q.cpu()
	default:
		return q.requests(requested(resource))
	}
}

// memory counts the containers of a pod where they are told apart, and else the pod as
// a whole. If several series are of one container, the largest counts: the container
// was restarted, or the kubelet is scraped twice. The kubelet's series have timestamps
// of their own, so Prometheus keeps the last memory of an init container, or of a pod
// that has ended, for five minutes: what has ended doesn't count.
func (q Queries) memory() string {
	terminated := "(" + q.pods("kube_pod_container_status_terminated") + " == 1 or " + q.pods("kube_pod_init_container_status_terminated") + " == 1)"
	return firstOf(
		q.sumOfLargest(unless(q.pods(ContainerMemory, isContainer), q.Labels("pod", "container"), terminated), "container"),
		q.sumOfLargest(unless(q.pods(ContainerMemory, isPod), q.Labels("pod"), q.ended())))
}

// ended returns the phases of pods that have ended.
func (q Queries) ended() string { return q.pods(PodPhase, `phase=~"Failed|Succeeded"`) + " == 1" }

func unless(vector, on, without string) string {
	return vector + "\nunless on (" + on + ")\n" + without
}

// cpu counts the same series as memory, in seconds over five minutes. A pod that is
// restarted has two series for some minutes, one at its end and one at its beginning,
// and both count. Only the labels id or name distinguish them from the same series
// scraped twice, if Prometheus keeps these labels. Without them, a pod and its pause
// container are one series, whose samples come from two counters in turn, and each step
// up would count as usage. Such a series has many resets. That of a pod alone has one,
// if the pod is created again.
//
// An increase is a rate times 300 in Prometheus, but not in VictoriaMetrics: there, a
// rate stays the same until the last sample of a series has left the window.
func (q Queries) cpu() string {
	increase := func(kind, identity string) string {
		return "increase(" + q.pods(ContainerCPU, kind, identity) + "[5m])"
	}
	notMixed := increase(isPod, `id=""`) + " and resets(" + q.pods(ContainerCPU, isPod, `id=""`) + "[5m]) <= 1"
	return firstOf(
		q.sumOfLargest(increase(isContainer, `id!=""`), "container", "id"),
		q.sumOfLargest(increase(isContainer, `id="",name!=""`), "container", "name"),
		q.sumOfLargest(increase(isContainer, `id="",name=""`), "container"),
		q.sumOfLargest(increase(isPod, `id!=""`), "id"),
		q.sumOfLargest(notMixed))
}

// requests counts what the containers of a pod request, until the pod has ended:
// kube-state-metrics exports it until the pod is deleted.
func (q Queries) requests(resource string) string {
	return q.sumOfLargest(unless(q.pods(ContainerRequests, resource), q.Labels("pod", "uid"), q.ended()), "container", "resource")
}

// requested returns the matcher for a requested resource. kube-state-metrics writes
// the resource nvidia.com/mig-1g.5gb as nvidia_com_mig_1g_5gb.
func requested(resource metrics.Resource) string {
	switch resource {
	case metrics.MemoryRequests:
		return `resource="memory"`
	case metrics.CPURequests:
		return `resource="cpu"`
	case metrics.GPURequests:
		return `resource=~"(amd|nvidia)_com_gpu|gpu_intel_com_(i915|xe)"`
	default:
		return `resource=~"nvidia_com_(gpu_shared|mig_.+)"`
	}
}

// sumOfLargest sums a vector by pod, after it has taken the largest of the series that
// agree in the labels.
func (q Queries) sumOfLargest(vector string, labels ...string) string {
	largest := call("max by ("+q.Labels(append([]string{"pod"}, labels...)...)+")", vector)
	if len(labels) == 0 {
		return largest
	}
	return call("sum by ("+q.Labels("pod")+")", largest)
}

// firstOf returns for each pod the value from the first of the vectors that has one.
// All of them have the labels namespace and pod.
func firstOf(vectors ...string) string { return strings.Join(vectors, "\nor\n") }

// Directories returns the size of each directory, with the labels namespace and
// directory. If several exporters measure the same directory, the largest counts.
func (q Queries) Directories() string {
	return "max by (" + q.Labels(Directory) + ") (" + q.OfHubs(DirectorySize) + ")"
}

// ofDirectories sums the directories of each user. A directory is named by the safe
// form of the user's name or by the escaped form, and a user may have both.
func (q Queries) ofDirectories() string {
	return call("sum by ("+q.Labels(metrics.LabelUsername)+")",
		q.Directories(),
		"* on ("+q.Labels(Directory)+") group_left (username)",
		q.directoryUsers())
}
