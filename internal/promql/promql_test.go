package promql_test

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// Every selector in every query is of the given hubs, and parses.
func TestQueries(t *testing.T) {
	for _, q := range []promql.Queries{
		{},
		{Hubs: promql.Is("namespace", "a\"b\\c\nd\tü")},
		{Hubs: `namespace=~"$hub"`, Groups: `usergroup=~"$group"`, Prefix: "lab", MultipleName: `sev"eral`},
	} {
		exprs := []string{q.Directories()}
		for _, resource := range metrics.Resources() {
			for _, usage := range []string{q.ByUser(resource), promql.Select(promql.RecordedByUser(resource), q.Hubs)} {
				exprs = append(exprs, usage, q.ByGroup(usage, false), q.ByGroup(usage, true))
			}
		}
		for _, text := range exprs {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
			if err != nil {
				t.Errorf("%v in\n%s", err, text)
				continue
			}
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if s, ok := node.(*parser.VectorSelector); ok && q.Hubs != "" && !strings.Contains(s.String(), "namespace=") {
					t.Errorf("of all hubs: %s in\n%s", s, text)
				}
				return nil
			})
			if q.Prefix != "" && strings.Contains(text, "jupyterhub_") {
				t.Errorf("with another prefix:\n%s", text)
			}
		}
	}
}

// The names are a contract: dashboards and recorded series have them.
func TestRecordedNames(t *testing.T) {
	for resource, want := range map[metrics.Resource][3]string{
		metrics.Memory:         {"namespace_username:container_memory_working_set_bytes:sum", "namespace_usergroup:container_memory_working_set_bytes:sum", "namespace_usergroup:container_memory_working_set_bytes:share_sum"},
		metrics.CPU:            {"namespace_username:container_cpu_usage_seconds:rate5m", "namespace_usergroup:container_cpu_usage_seconds:rate5m", "namespace_usergroup:container_cpu_usage_seconds:share_rate5m"},
		metrics.MemoryRequests: {"namespace_username_memory:kube_pod_container_resource_requests:sum", "namespace_usergroup_memory:kube_pod_container_resource_requests:sum", "namespace_usergroup_memory:kube_pod_container_resource_requests:share_sum"},
		metrics.CPURequests:    {"namespace_username_cpu:kube_pod_container_resource_requests:sum", "namespace_usergroup_cpu:kube_pod_container_resource_requests:sum", "namespace_usergroup_cpu:kube_pod_container_resource_requests:share_sum"},
		metrics.HomeDir:        {"namespace_username:dirsize_total_size_bytes:sum", "namespace_usergroup:dirsize_total_size_bytes:sum", "namespace_usergroup:dirsize_total_size_bytes:share_sum"},
	} {
		got := [3]string{promql.RecordedByUser(resource), promql.RecordedByGroup(resource, false), promql.RecordedByGroup(resource, true)}
		if got != want {
			t.Errorf("%s: %q, want %q", resource, got, want)
		}
	}
}
