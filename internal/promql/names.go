package promql

import "github.com/groups-exporter/groups-exporter/internal/usage"

// The names of the series that record Owners and PodUsers.
const (
	RecordedOwners   = "namespace_pod_owner:kube_pod_annotations:group"
	RecordedPodUsers = "namespace_pod_username:kube_pod_annotations:group"
)

// RecordedByUser returns the name of the series that record ByUser.
func RecordedByUser(resource usage.Resource) string {
	return recorded("namespace_username", resource, "")
}

// RecordedByGroup returns the name of the series that record ByGroup.
func RecordedByGroup(resource usage.Resource, share bool) string {
	if share {
		return recorded("namespace_usergroup", resource, "share_")
	}
	return recorded("namespace_usergroup", resource, "")
}

// recorded returns a name of the form level:metric:operation. All requests are series of one metric, and the sum drops
// its label resource, so the level names the resource.
func recorded(level string, resource usage.Resource, prefix string) string {
	switch resource {
	case usage.Memory:
		return level + ":" + ContainerMemory + ":" + prefix + "sum"
	case usage.CPU:
		return level + ":container_cpu_usage_seconds:" + prefix + "rate5m"
	case usage.HomeDir:
		return level + ":" + DirectorySize + ":" + prefix + "sum"
	case usage.MemoryRequests:
		level += "_memory"
	case usage.CPURequests:
		level += "_cpu"
	case usage.GPURequests:
		level += "_gpu"
	default:
		level += "_gpu_slice"
	}
	return level + ":" + ContainerRequests + ":" + prefix + "sum"
}
