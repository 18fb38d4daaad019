package metrics

import (
	"iter"
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"

	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// UsageFamily yields the family of a resource in parts, like Families. If user names are omitted, usage is summed by
// group.
func UsageFamily(o Options, used *usage.Usage, attribution usage.Attribution) iter.Seq[*dto.MetricFamily] {
	name, help := usageFamily(used.Resource)
	labels := []string{LabelNamespace, LabelUsergroup, LabelUsername, LabelEscaped, LabelSafe}
	fill := usageByUser
	if o.OmitUsernames {
		labels, fill = labels[:2], usageByGroup
	}
	return func(yield func(*dto.MetricFamily) bool) {
		p := newPart(o, name, help, labels, yield)
		if fill(used.Namespace(), used.Rows(attribution), p) {
			p.flush()
		}
	}
}

func usageByUser(namespace string, rows iter.Seq[usage.Row], p *part) bool {
	var forms nameForms
	for row := range rows {
		user := forms.of(row.User)
		if !p.add(row.Value, namespace, row.Group, row.User, user.escaped, user.safe) {
			return false
		}
	}
	return true
}

func usageByGroup(namespace string, rows iter.Seq[usage.Row], p *part) bool {
	sums := map[string]float64{}
	for row := range rows {
		sums[row.Group] += row.Value
	}
	for _, group := range slices.Sorted(maps.Keys(sums)) {
		if !math.IsInf(sums[group], 0) && !p.add(sums[group], namespace, group) {
			return false
		}
	}
	return true
}

// usageFamily returns the name of the family of a resource, without the prefix, and its help text. The names are those
// of the Python exporter, which uses "seconds" for CPU seconds per second.
func usageFamily(resource usage.Resource) (name, help string) {
	switch resource {
	case usage.Memory:
		return "user_group_memory_bytes", "Working set memory of the containers."
	case usage.CPU:
		return "user_group_cpu_seconds", "CPU usage of the containers, in cores, over the last five minutes."
	case usage.MemoryRequests:
		return "user_group_memory_requests_bytes", "Memory requests of the pods."
	case usage.CPURequests:
		return "user_group_cpu_requests_seconds", "CPU requests of the pods, in cores."
	case usage.GPURequests:
		return "user_group_gpu_requests", "Requests of the pods for whole GPUs."
	case usage.GPUSliceRequests:
		return "user_group_gpu_slice_requests", "Requests of the pods for parts of GPUs: MIG devices of any size, and shared GPUs."
	default:
		return "user_group_home_dir_bytes", "Size of the home directories."
	}
}
