//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// usage is what Prometheus holds where Ada runs two servers and Bob one.
const usage = `
- {series: 'container_memory_working_set_bytes{name="a",namespace="p",pod="jupyter-ada"}', values: '100 100'}
- {series: 'container_memory_working_set_bytes{name="b",namespace="p",pod="jupyter-ada--gpu"}', values: '20 20'}
- {series: 'container_memory_working_set_bytes{name="c",namespace="p",pod="jupyter-bob"}', values: '7 7'}
- {series: 'kube_pod_annotations{namespace="p",pod="jupyter-ada",annotation_hub_jupyter_org_username="ada",uid="1"}', values: '1 1'}
- {series: 'kube_pod_annotations{namespace="p",pod="jupyter-ada--gpu",annotation_hub_jupyter_org_username="ada",uid="2"}', values: '1 1'}
- {series: 'kube_pod_annotations{namespace="p",pod="jupyter-bob",annotation_hub_jupyter_org_username="bob",uid="3"}', values: '1 1'}`

// The README's query tells memory by group from what dump prints, in Prometheus' own engine.
func TestReadmeQuery(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	query := regexp.MustCompile("(?s)```promql\n(.*?)```").FindSubmatch(readme)
	if query == nil {
		t.Fatal("the README has no query")
	}
	people := []user{{Name: "ada", Groups: []string{"bio", "chem"}}, {Name: "bob", Groups: []string{"bio"}}}
	h := startHub(t, versions[0], people, reader)
	dumped := succeed(t, h.of(token("reader")), "dump", "--with=share", "--namespace=p")
	var series strings.Builder
	series.WriteString(usage)
	for line := range strings.Lines(dumped) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "jupyterhub_user_group_") {
			fmt.Fprintf(&series, "\n- {series: '%s}', values: '%s %s'}", name, value, value)
		}
	}
	for metric, want := range map[string][2]int{
		"jupyterhub_user_group_info":  {127, 120}, // Ada counts in both
		"jupyterhub_user_group_share": {67, 60},   // and here half in each
	} {
		expression := strings.ReplaceAll(string(query[1]), "jupyterhub_user_group_info", metric)
		test := fmt.Sprintf(`evaluation_interval: 1m
tests:
- interval: 1m
  input_series:%s
  promql_expr_test:
  - eval_time: 1m
    expr: |
      %s
    exp_samples:
    - {labels: '{namespace="p",usergroup="bio"}', value: %d}
    - {labels: '{namespace="p",usergroup="chem"}', value: %d}
`, strings.ReplaceAll(series.String(), "\n", "\n  "), strings.ReplaceAll(expression, "\n", "\n      "), want[0], want[1])
		file := filepath.Join(t.TempDir(), "test.yml")
		if err := os.WriteFile(file, []byte(test), 0o600); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.Command("promtool", "test", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", metric, err, output)
		}
	}
}
