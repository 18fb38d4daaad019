package metrics_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// usageText returns the family of a resource for the given usage of the users of university.
func usageText(t *testing.T, o metrics.Options, resource usage.Resource, used map[string]float64) string {
	t.Helper()
	joined := usage.Join(usage.NewAnswer(resource, used), university(membership.Rules{}))
	return textOf(t, metrics.UsageFamily(o, joined, usage.Share))
}

func TestUsageFamily(t *testing.T) {
	used := func() map[string]float64 { return map[string]float64{"ada@x.org": 3, "bob": 0} }
	for _, c := range []struct {
		what    string
		options metrics.Options
		want    string
	}{
		{"by user", metrics.Options{}, `
# HELP jupyterhub_user_group_cpu_seconds CPU usage of the containers, in cores, over the last five minutes.
# TYPE jupyterhub_user_group_cpu_seconds gauge
jupyterhub_user_group_cpu_seconds{namespace="hub",usergroup="bio",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1.5
jupyterhub_user_group_cpu_seconds{namespace="hub",usergroup="chem",username="ada@x.org",username_escaped="ada-40x-2eorg",username_safe="ada-x-org---210e59f6"} 1.5
jupyterhub_user_group_cpu_seconds{namespace="hub",usergroup="bio",username="bob",username_escaped="bob",username_safe="bob"} 0
`},
		{"without names", metrics.Options{OmitUsernames: true, Prefix: "lab"}, `
# HELP lab_user_group_cpu_seconds CPU usage of the containers, in cores, over the last five minutes.
# TYPE lab_user_group_cpu_seconds gauge
lab_user_group_cpu_seconds{namespace="hub",usergroup="bio"} 1.5
lab_user_group_cpu_seconds{namespace="hub",usergroup="chem"} 1.5
`},
	} {
		got := usageText(t, c.options, usage.CPU, used())
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.what, diff)
		}
		lint(t, got)
	}
	if got := usageText(t, metrics.Options{}, usage.CPU, nil); got != "" {
		t.Errorf("no usage: got %q, want nothing", got)
	}
}

// The names are those of the Python exporter, which dashboards use.
func TestUsageFamilyNames(t *testing.T) {
	var names []string
	for _, resource := range usage.Resources() {
		text := usageText(t, metrics.Options{}, resource, map[string]float64{"bob": 1, "ada-x-org---210e59f6": 1})
		lint(t, text)
		_, text, _ = strings.Cut(text, "# TYPE ")
		name, _, _ := strings.Cut(text, " ")
		names = append(names, name)
	}
	want := []string{
		"jupyterhub_user_group_home_dir_bytes", "jupyterhub_user_group_memory_bytes", "jupyterhub_user_group_cpu_seconds",
		"jupyterhub_user_group_memory_requests_bytes", "jupyterhub_user_group_cpu_requests_seconds", "jupyterhub_user_group_gpu_requests", "jupyterhub_user_group_gpu_slice_requests",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
