package prometheus_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Series of another cluster don't count. For series that the hub's namespace lacks, Sources
// lists the other namespaces that have them.
func TestSources(t *testing.T) {
	labels := map[string]string{
		"namespace kube_pod_annotations":                 `["prod", "staging"]`,
		"namespace kube_pod_container_resource_requests": `["kube-system"]`,
		"namespace container_memory_working_set_bytes":   `["staging"]`,
		"exported_namespace kube_pod_annotations":        `["lab", ""]`,
		"cluster kube_pod_annotations":                   `["east", "west"]`,
	}
	address := start(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("deny_partial_response") != "1" || r.Form.Get("start") == "" {
			t.Errorf("%s: %v", r.URL, err)
		}
		label := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1/label/"), "/values")
		selectors := r.Form["match[]"]
		for _, selector := range selectors {
			if !strings.Contains(selector, `cluster="east"`) || strings.Contains(selector, `namespace=`) != (label == "cluster") {
				t.Errorf("unexpected lookup of %s in %s", label, selector)
			}
		}
		metric, _, _ := strings.Cut(selectors[0], "{")
		values := labels[label+" "+metric]
		if values == "" {
			values = "[]"
		}
		fmt.Fprintf(w, `{"status": "success", "data": %s}`, values)
	})
	reader := reader(t, address, time.Minute)
	reader.Queries, reader.Namespace = promql.Queries{Hubs: []string{`cluster="east"`}}, "prod"
	sources, err := reader.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lab"}, sources.Renamed); diff != "" {
		t.Errorf("renamed namespaces, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"east", "west"}, sources.Clusters); diff != "" {
		t.Errorf("clusters, -want +got:\n%s", diff)
	}
	var missing []string
	for _, found := range sources.Missing() {
		missing = append(missing, found.Metric)
		if want := map[string][]string{promql.ContainerMemory: {"staging"}}[found.Metric]; !slices.Equal(found.Elsewhere, want) {
			t.Errorf("%s: found in %q, want %q", found.Metric, found.Elsewhere, want)
		}
	}
	if diff := cmp.Diff([]string{promql.ContainerMemory, promql.ContainerCPU, promql.PodPhase}, missing); diff != "" {
		t.Errorf("missing, -want +got:\n%s", diff)
	}
	// Each resource needs at least one of the sources.
	needed := map[usage.Resource]bool{}
	for _, found := range sources.Found {
		for _, resource := range found.Of {
			needed[resource] = true
		}
	}
	for _, resource := range usage.Resources() {
		if !needed[resource] {
			t.Errorf("no source for %s", resource)
		}
	}
}

func TestSourcesFail(t *testing.T) {
	address := start(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status": "success", "warnings": ["store-1: unavailable"], "data": []}`)
	})
	if sources, err := reader(t, address, time.Minute).Sources(t.Context()); sources != nil || reasonOf(err) != remote.Partial {
		t.Errorf("sources %v, error %v, want one for %s", sources, err, remote.Partial)
	}
}
