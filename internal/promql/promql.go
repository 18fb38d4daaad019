// Package promql writes the queries of usage by user and by group, and the names
// under which rules record their results. The same text stands in the rules, in
// the dashboard and in what the exporter asks. It asks nothing itself.
package promql

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// UserAnnotation is the label in which kube-state-metrics gives the pod annotation
// hub.jupyter.org/username: the user's name as the hub has it, in every version of
// kubespawner.
const UserAnnotation = "annotation_hub_jupyter_org_username"

// Directory is the label in which prometheus-dirsize-exporter names a directory.
const Directory = "directory"

// Pods of users, and those series of their containers that aren't sums: the same
// container is also reported without a name, as a part of its pod.
const containers = `name!="",pod=~"jupyter-.*"`

// Queries write PromQL for some hubs and groups.
type Queries struct {
	// Prefix is that of the membership metrics, as metrics.Name takes it.
	Prefix string
	// Hubs and Groups are matchers of the labels namespace and usergroup, all where
	// they are empty. Is makes one.
	Hubs, Groups string
	// MultipleName is the pseudo-group's, membership.DefaultMultipleName where empty.
	MultipleName string
}

// Is is the matcher of one value of a label.
func Is(label, value string) string { return label + "=" + strconv.Quote(value) }

// Select is the selector of the series of a metric that match, all where the
// matchers are empty.
func Select(metric string, matchers ...string) string {
	given := []string{}
	for _, matcher := range matchers {
		if matcher != "" {
			given = append(given, matcher)
		}
	}
	if len(given) == 0 {
		return metric
	}
	return metric + "{" + strings.Join(given, ",") + "}"
}

// ByUser is what each user uses of a resource, with the labels namespace and
// username.
func (q Queries) ByUser(resource metrics.Resource) string {
	switch resource {
	case metrics.Memory:
		return q.ofPods(Select("container_memory_working_set_bytes", q.Hubs, containers))
	case metrics.CPU:
		return q.ofPods("rate(" + Select("container_cpu_usage_seconds_total", q.Hubs, containers) + "[5m])")
	case metrics.MemoryRequests:
		return q.ofPods(Select("kube_pod_container_resource_requests", q.Hubs, `pod=~"jupyter-.*",resource="memory"`))
	case metrics.CPURequests:
		return q.ofPods(Select("kube_pod_container_resource_requests", q.Hubs, `pod=~"jupyter-.*",resource="cpu"`))
	default:
		return q.ofDirectories()
	}
}

// ofPods sums what pods use by the user in their annotation, whatever other labels
// the pods have.
func (q Queries) ofPods(usage string) string {
	return fmt.Sprintf(`sum by (namespace, username) (
  label_replace(
    %s
    * on (namespace, pod) group_left (%s)
    group by (namespace, pod, %[2]s) (%s),
    "username", "$1", "%[2]s", "(?s)(.+)"
  )
)`, usage, UserAnnotation, Select("kube_pod_annotations", q.Hubs, UserAnnotation+`!=""`))
}

// Directories is the size of each directory, with the labels namespace and
// directory. The greatest counts where several sources tell of the same one.
func (q Queries) Directories() string {
	return "max by (namespace, directory) (" + Select("dirsize_total_size_bytes", q.Hubs) + ")"
}

// ofDirectories sums the directories of each user. They are named by the safe form
// of the name or by its escaped form, and a user may have both. Where the escaped
// form of one user is the safe form of another, the directory is the latter's.
func (q Queries) ofDirectories() string {
	owners := func(form string) string {
		return fmt.Sprintf(`group by (namespace, directory, username) (
      label_replace(%s, "directory", "$1", "%s", "(.+)")
    )`, Select(metrics.Name(q.Prefix, metrics.UserGroupInfo), q.Hubs), form)
	}
	return fmt.Sprintf(`sum by (namespace, username) (
  %s
  * on (namespace, directory) group_right ()
  (
    %s
    or on (namespace, directory)
    %s
  )
)`, q.Directories(), owners(metrics.LabelSafe), owners(metrics.LabelEscaped))
}

// ByGroup sums by group what each user uses: an expression with the labels
// namespace and username. The user is on the "one" side of the join, and the user's
// groups are on the "many" side, so that a user in several groups counts in each.
// With share it counts in each by the user's share, and the sum over the groups is
// the sum over the users.
func (q Queries) ByGroup(usage string, share bool) string {
	groups := q.inFull()
	if share {
		groups = q.byShare()
	}
	return fmt.Sprintf(`sum by (namespace, usergroup) (
%s
  * on (namespace, username) group_right ()
%s
)`, indent(usage), indent(groups))
}

// byShare is each membership with the user's share. Several exporters of a hub may
// tell it.
func (q Queries) byShare() string {
	return "max by (namespace, username, usergroup) (" + Select(metrics.Name(q.Prefix, metrics.UserGroupShare), q.Hubs, q.Groups) + ")"
}

// inFull is each membership. The pseudo-group for users in several counts where it
// is all that is published of a user, and not beside the user's real groups.
func (q Queries) inFull() string {
	info := metrics.Name(q.Prefix, metrics.UserGroupInfo)
	return fmt.Sprintf(`group by (namespace, username, usergroup) (
  %s
  or
  %s
  unless on (namespace, username)
  %s
)`, Select(info, q.Hubs, q.Groups, q.NotMultiple()), Select(info, q.Hubs, q.Groups, q.Multiple()), Select(info, q.Hubs, q.NotMultiple()))
}

// Multiple is the matcher of the pseudo-group for users in several groups.
func (q Queries) Multiple() string {
	return Is(metrics.LabelUsergroup, cmp.Or(q.MultipleName, membership.DefaultMultipleName))
}

// NotMultiple is the matcher of all others.
func (q Queries) NotMultiple() string { return strings.Replace(q.Multiple(), "=", "!=", 1) }

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// RecordedByUser is the name of the series that record ByUser.
func RecordedByUser(resource metrics.Resource) string {
	return recorded("namespace_username", resource, "")
}

// RecordedByGroup is the name of the series that record ByGroup.
func RecordedByGroup(resource metrics.Resource, share bool) string {
	if share {
		return recorded("namespace_usergroup", resource, "share_")
	}
	return recorded("namespace_usergroup", resource, "")
}

// recorded puts a name together as level:metric:operation. Of the requests the level
// tells which resource it is, as no label does.
func recorded(level string, resource metrics.Resource, prefix string) string {
	var metric string
	operation := "sum"
	switch resource {
	case metrics.Memory:
		metric = "container_memory_working_set_bytes"
	case metrics.CPU:
		metric, operation = "container_cpu_usage_seconds", "rate5m"
	case metrics.MemoryRequests:
		level, metric = level+"_memory", "kube_pod_container_resource_requests"
	case metrics.CPURequests:
		level, metric = level+"_cpu", "kube_pod_container_resource_requests"
	default:
		metric = "dirsize_total_size_bytes"
	}
	return level + ":" + metric + ":" + prefix + operation
}
