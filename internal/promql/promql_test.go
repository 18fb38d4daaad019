package promql_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// All queries parse, and each selector contains the configured matchers.
func TestQueries(t *testing.T) {
	for _, q := range []promql.Queries{
		{},
		{Hubs: []string{promql.Is("namespace", "a\"b\\c\nd\tü"), promql.Is("service.name", "hub")}},
		{Hubs: []string{`namespace=~"$hub"`}, Groups: []string{`usergroup=~"$group"`}, Prefix: "lab", MultipleName: `sev"eral`},
		{Hubs: []string{`namespace="prod"`, `cluster=~"e.*"`}, Pods: `jupyter-\d+|"dask"`, Clusters: []string{"cluster", "region"}},
	} {
		for _, text := range all(q) {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
			if err != nil {
				t.Errorf("%v in\n%s", err, text)
				continue
			}
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				checkNode(t, q, node)
				return nil
			})
			if q.Prefix != "" && strings.Contains(text, "jupyterhub_") {
				t.Errorf("default prefix in queries with another prefix:\n%s", text)
			}
		}
	}
}

// all returns all queries for all resources.
func all(q promql.Queries) []string {
	exprs := []string{
		q.Directories(), q.DirectoryLimits(), q.Claims(), q.StorageSelectors()[0], q.StorageSelectors()[1], q.Owners(), q.PodUsers(q.Owners()), q.PodUsers(q.OfHubs(promql.RecordedOwners)), q.Gaps(),
	}
	if len(q.Clusters) == 0 {
		exprs = append(exprs, q.MixedClusters())
	}
	for _, resource := range usage.Resources() {
		if resource != usage.HomeDir {
			exprs = append(exprs, q.ByOwner(resource), q.ByRecordedUser(resource))
		}
		for _, usage := range []string{q.ByUser(resource), q.OfHubs(promql.RecordedByUser(resource))} {
			exprs = append(exprs, usage, q.ByGroup(usage, false), q.ByGroup(usage, true))
		}
	}
	return exprs
}

// matched returns the labels by which an operation groups or matches series. ok is false for other nodes, for an
// aggregation without some labels, and for a match by all labels.
func matched(node parser.Node) (labels []string, ok bool) {
	switch n := node.(type) {
	case *parser.AggregateExpr:
		return n.Grouping, !n.Without
	case *parser.BinaryExpr:
		if n.VectorMatching != nil && n.VectorMatching.On {
			return n.VectorMatching.MatchingLabels, true
		}
	}
	return nil, false
}

// checkNode checks that a selector is limited to the queried hubs and pods, and that no operation mixes hubs or
// clusters.
func checkNode(t *testing.T, q promql.Queries, node parser.Node) {
	t.Helper()
	if n, ok := node.(*parser.VectorSelector); ok && n.String() != promql.ContainerRequests { // Gaps needs requests of any pod, because the pods of one hub may request nothing
		matchers := q.Hubs
		isOfPods := strings.HasPrefix(n.Name, "container_") || strings.HasPrefix(n.Name, "kube_") && !strings.HasPrefix(n.Name, "kube_persistentvolumeclaim_")
		if q.Pods != "" && isOfPods {
			matchers = append(slices.Clone(matchers), promql.Is("pod", q.Pods))
		}
		for _, matcher := range matchers {
			name, _, _ := strings.Cut(matcher, "=")
			if !slices.ContainsFunc(n.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == strings.Trim(name, `"`) }) {
				t.Errorf("%s has no matcher %s", n, matcher)
			}
		}
	}
	if b, ok := node.(*parser.BinaryExpr); ok && b.VectorMatching != nil && len(b.VectorMatching.MatchingLabels) == 0 {
		return // Gaps checks with on () whether there are any requests at all
	}
	checkLabels(t, node, append([]string{"namespace"}, q.Clusters...)...)
}

// checkLabels checks that an operation groups or matches series by the wanted labels.
func checkLabels(t *testing.T, node parser.Node, want ...string) {
	t.Helper()
	got, ok := matched(node)
	for _, label := range want {
		if ok && !slices.Contains(got, label) {
			t.Errorf("%s uses the labels %q, want %s too", node, got, label)
		}
	}
}

// StrayPods covers all namespaces, but only the users and pods of the queried hubs, and never mixes clusters.
func TestStrayPods(t *testing.T) {
	q := promql.Queries{Hubs: []string{`namespace="prod"`}, Pods: "jupyter-.*", Prefix: "lab", Clusters: []string{"cluster", "region"}}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.StrayPods())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			got[selector.String()] = true
		}
		checkLabels(t, node, q.Clusters...)
		return nil
	})
	want := map[string]bool{
		`kube_pod_annotations{annotation_hub_jupyter_org_username!="",pod=~"jupyter-.*"}`: true,
		`kube_pod_labels{label_hub_jupyter_org_username!="",pod=~"jupyter-.*"}`:           true,
		`groups_exporter_hub_up`:                                                       true,
		`lab_user_group_info{namespace="prod"}`:                                        true,
		`kube_pod_status_phase{phase="Running"}`:                                       true,
		`container_memory_working_set_bytes{pod!=""}`:                                  true,
		`namespace_usergroup:container_memory_working_set_bytes:sum{namespace="prod"}`: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("selectors: -want +got:\n%s", diff)
	}
}

// Dashboards and recorded data depend on these names.
func TestRecordedNames(t *testing.T) {
	for resource, want := range map[usage.Resource][3]string{
		usage.Memory:           {"namespace_username:container_memory_working_set_bytes:sum", "namespace_usergroup:container_memory_working_set_bytes:sum", "namespace_usergroup:container_memory_working_set_bytes:share_sum"},
		usage.CPU:              {"namespace_username:container_cpu_usage_seconds:rate5m", "namespace_usergroup:container_cpu_usage_seconds:rate5m", "namespace_usergroup:container_cpu_usage_seconds:share_rate5m"},
		usage.MemoryRequests:   {"namespace_username_memory:kube_pod_container_resource_requests:sum", "namespace_usergroup_memory:kube_pod_container_resource_requests:sum", "namespace_usergroup_memory:kube_pod_container_resource_requests:share_sum"},
		usage.CPURequests:      {"namespace_username_cpu:kube_pod_container_resource_requests:sum", "namespace_usergroup_cpu:kube_pod_container_resource_requests:sum", "namespace_usergroup_cpu:kube_pod_container_resource_requests:share_sum"},
		usage.GPURequests:      {"namespace_username_gpu:kube_pod_container_resource_requests:sum", "namespace_usergroup_gpu:kube_pod_container_resource_requests:sum", "namespace_usergroup_gpu:kube_pod_container_resource_requests:share_sum"},
		usage.GPUSliceRequests: {"namespace_username_gpu_slice:kube_pod_container_resource_requests:sum", "namespace_usergroup_gpu_slice:kube_pod_container_resource_requests:sum", "namespace_usergroup_gpu_slice:kube_pod_container_resource_requests:share_sum"},
		usage.HomeDir:          {"namespace_username:dirsize_total_size_bytes:sum", "namespace_usergroup:dirsize_total_size_bytes:sum", "namespace_usergroup:dirsize_total_size_bytes:share_sum"},
	} {
		got := [3]string{promql.RecordedByUser(resource), promql.RecordedByGroup(resource, false), promql.RecordedByGroup(resource, true)}
		if got != want {
			t.Errorf("%s: got %q, want %q", resource, got, want)
		}
	}
}
