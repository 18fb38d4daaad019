//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// promtool evaluates the rules on made-up series. Each file in testdata/rules starts with the command whose rules it tests.
func TestRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rules/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no tests of rules", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			test := read(t, file)
			head, _, _ := strings.Cut(test, "\n")
			args, ok := strings.CutPrefix(head, "# groups-exporter ")
			if !ok {
				t.Fatalf("file starts with %q, want a command", head)
			}
			rules := succeed(t, environment(), strings.Fields(args)...)
			dir := write(t, map[string]string{"rules.yml": rules, "test.yml": test})
			promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(dir, "rules.yml"))
			promtool(t, "", "test", "rules", filepath.Join(dir, "test.yml"))
		})
	}
}

// Prometheus accepts the rules with all flags, and the flags have their effects.
func TestRulesFlags(t *testing.T) {
	t.Parallel()
	names := func(file ruleFile, of func(rule) string) []string {
		var found []string
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				if name := of(r); name != "" {
					found = append(found, name)
				}
			}
		}
		return found
	}
	recorded := func(r rule) string { return r.Record }
	alert := func(r rule) string { return r.Alert }
	all := rulesWith(t)
	if len(names(all, recorded)) == 0 || len(names(all, alert)) == 0 {
		t.Fatal("no rules without flags")
	}
	for _, test := range []struct {
		args     string
		of       func(rule) string
		has, not string // parts of all expressions, and of none
	}{
		{"--only=recording", recorded, "", "groups_exporter_"},
		{"--only=alerts", alert, "groups_exporter_", ""},
		{"--only=alerts --metrics-prefix=lab", alert, "", "jupyterhub_user"},
		{"--only=recording --namespace=prod", recorded, `namespace="prod"`, ""},
		{"--only=alerts --namespace=prod", alert, `namespace="prod"`, ""},
		{"--only=recording --metrics-prefix=lab", recorded, "", "jupyterhub_user"},
		{"--only=recording --multiple-name=several", recorded, "", "multiple"},
	} {
		file := rulesWith(t, strings.Fields(test.args)...)
		if got, want := names(file, test.of), names(all, test.of); !slices.Equal(got, want) {
			t.Errorf("rules %s: %q, want %q", test.args, got, want)
		}
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				if test.of(r) == "" || !strings.Contains(r.Expr, test.has) || test.not != "" && strings.Contains(r.Expr, test.not) {
					t.Errorf("rules %s: %s%s: %s", test.args, r.Record, r.Alert, r.Expr)
				}
			}
		}
	}
	for _, group := range rulesWith(t, "--interval=30s").Groups {
		if group.Interval != "30s" {
			t.Errorf("rules --interval=30s: %s is evaluated every %q", group.Name, group.Interval)
		}
	}
}

// Prometheus can parse every query on the pages about usage.
func TestRulesPagesParse(t *testing.T) {
	t.Parallel()
	for _, page := range []string{usagePage, joinsPage} {
		queries := queriesOf(t, page)
		if len(queries) < 5 {
			t.Errorf("only %d queries on %s", len(queries), page)
		}
		group := ruleGroup{Name: page}
		for i, query := range queries {
			group.Rules = append(group.Rules, rule{Record: fmt.Sprintf("page:query:%d", i+1), Expr: query})
		}
		file, err := yaml.Marshal(ruleFile{[]ruleGroup{group}})
		noError(t, err)
		promtool(t, "", "check", "rules", filepath.Join(write(t, map[string]string{"page.yml": string(file)}), "page.yml"))
	}
}

// The page that explains the rules shows the current ones.
func TestRulesPageShowsRules(t *testing.T) {
	t.Parallel()
	queries := queriesOf(t, joinsPage)
	explained := []string{
		promql.RecordedOwners, promql.RecordedPodUsers,
		"namespace_username:container_memory_working_set_bytes:sum",
		"namespace_usergroup:container_memory_working_set_bytes:sum",
		"namespace_username:dirsize_total_size_bytes:sum",
	}
	for _, group := range rulesWith(t).Groups {
		for _, r := range group.Rules {
			if slices.Contains(explained, r.Record) && !slices.Contains(queries, r.Expr) {
				t.Errorf("%s doesn't show %s:\n%s", joinsPage, r.Record, r.Expr)
			}
		}
	}
}

// The series of the example on the pages. Ada runs two servers and Bob one. Their usage equals their requests and the
// size of their directories. A second exporter publishes the same.
const pageSeries = `
- {series: 'container_memory_working_set_bytes{name="a",namespace="prod",pod="jupyter-ada"}', values: '100x5'}
- {series: 'container_memory_working_set_bytes{name="b",namespace="prod",pod="jupyter-ada--gpu"}', values: '20x5'}
- {series: 'container_memory_working_set_bytes{name="c",namespace="prod",pod="jupyter-bob"}', values: '7x5'}
- {series: 'kube_pod_annotations{namespace="prod",pod="jupyter-ada",annotation_hub_jupyter_org_username="ada",uid="1"}', values: '1x5'}
- {series: 'kube_pod_annotations{namespace="prod",pod="jupyter-ada--gpu",annotation_hub_jupyter_org_username="ada",uid="2"}', values: '1x5'}
- {series: 'kube_pod_annotations{namespace="prod",pod="jupyter-bob",annotation_hub_jupyter_org_username="bob",uid="3"}', values: '1x5'}
- {series: 'jupyterhub_user_group_info{instance="x",namespace="prod",usergroup="bio",username="bob",username_escaped="bob",username_safe="bob"}', values: '1x5'}
- {series: 'jupyterhub_user_group_info{instance="y",namespace="prod",usergroup="bio",username="bob",username_escaped="bob",username_safe="bob"}', values: '1x5'}
- {series: 'kube_pod_container_resource_requests{namespace="prod",pod="jupyter-ada",container="notebook",resource="memory"}', values: '100x5'}
- {series: 'kube_pod_container_resource_requests{namespace="prod",pod="jupyter-ada--gpu",container="notebook",resource="memory"}', values: '20x5'}
- {series: 'kube_pod_container_resource_requests{namespace="prod",pod="jupyter-bob",container="notebook",resource="memory"}', values: '7x5'}
- {series: 'dirsize_total_size_bytes{namespace="prod",directory="ada"}', values: '120x5'}
- {series: 'dirsize_total_size_bytes{namespace="prod",directory="bob"}', values: '7x5'}`

// For users in several groups, one query works only if each user has a single series, and the other one always. The page
// quotes the error of Prometheus for the first.
func TestRulesPageJoins(t *testing.T) {
	onEach(t, prometheusVersions, pageJoins)
}

func pageJoins(t *testing.T, version string) {
	page := read(t, joinsPage)
	variables := strings.NewReplacer("$hub_name", ".*", "$user_group", ".*")
	query := func(part string) string {
		t.Helper()
		var found []string
		for _, q := range queriesOf(t, joinsPage) {
			if strings.Contains(q, "$hub_name") && strings.Contains(q, part) {
				found = append(found, variables.Replace(q))
			}
		}
		if len(found) != 1 {
			t.Fatalf("%d queries with $hub_name and %s on %s", len(found), part, joinsPage)
		}
		return found[0]
	}
	left, right := query("group_left(usergroup)"), query("group_right ()")
	each := []string{"bio", "chem"}
	inEach := map[string]int{"bio": 127, "chem": 120}
	inMultiple := map[string]int{"bio": 7, "multiple": 120}

	for _, test := range []struct {
		name, query string
		groups      []string
		want        map[string]int
	}{
		{"group_left with multiple", left, []string{"multiple"}, inMultiple},
		{"group_right with multiple", right, []string{"multiple"}, inMultiple},
		{"group_right with each", right, each, inEach},
	} {
		if output, err := evaluate(t, version, test.query, test.groups, test.want); err != nil {
			t.Errorf("%s: %v\n%s", test.name, err, output)
		}
	}

	output, err := evaluate(t, version, left, each, inEach)
	if err == nil {
		t.Error("group_left with --multi-group=each succeeded, want an error")
	}
	for _, part := range []string{`found duplicate series for the match group \{.*?\} on .*?: \[`, `\];many-to-many matching not allowed.*`} {
		message := regexp.MustCompile(part).FindString(output)
		if message == "" || !strings.Contains(page, message) {
			t.Errorf("%s doesn't quote %q, of\n%s", joinsPage, message, output)
		}
	}
}

// evaluate evaluates a query with promtool, with Ada in the groups.
func evaluate(t *testing.T, version, query string, groups []string, want map[string]int) (string, error) {
	t.Helper()
	var series, samples strings.Builder
	series.WriteString(pageSeries)
	for _, group := range groups {
		for _, exporter := range []string{"x", "y"} {
			fmt.Fprintf(&series, "\n- {series: 'jupyterhub_user_group_info{instance=%q,namespace=\"prod\",usergroup=%q,username=\"ada\",username_escaped=\"ada\",username_safe=\"ada\"}', values: '1x5'}",
				exporter, group)
		}
	}
	for group, value := range want {
		fmt.Fprintf(&samples, "\n- {labels: '{namespace=\"prod\",usergroup=%q}', value: %d}", group, value)
	}
	test := fmt.Sprintf(`evaluation_interval: 1m
tests:
- interval: 1m
  input_series:%s
  promql_expr_test:
  - eval_time: 5m
    expr: |
      %s
    exp_samples:%s
`, indent(series.String(), 2), strings.TrimSpace(indent(query, 6)), indent(samples.String(), 4))
	dir := write(t, map[string]string{"test.yml": test})
	output, err := exec.Command(prometheusPrefix+version+"/promtool", "test", "rules", filepath.Join(dir, "test.yml")).CombinedOutput()
	return string(output), err
}

func indent(text string, by int) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", by))
}

const (
	usagePage = "../docs/how-to/usage.md"
	joinsPage = "../docs/explanation/joins.md"
)

// queriesOf returns the queries that a page shows.
func queriesOf(t *testing.T, page string) []string {
	t.Helper()
	var queries []string
	for _, b := range blocks(t, page, "promql") {
		queries = append(queries, strings.TrimSuffix(b.Text, "\n"))
	}
	return queries
}

// A rule file.
type (
	ruleFile struct {
		Groups []ruleGroup `yaml:"groups"`
	}
	ruleGroup struct {
		Name     string `yaml:"name"`
		Interval string `yaml:"interval,omitempty"`
		Rules    []rule `yaml:"rules"`
	}
	rule struct {
		Record string `yaml:"record,omitempty"`
		Alert  string `yaml:"alert,omitempty"`
		Expr   string `yaml:"expr"`
	}
)

// rulesWith returns the output of the command rules, after checking it with promtool.
func rulesWith(t *testing.T, args ...string) ruleFile {
	t.Helper()
	text := succeed(t, environment(), append([]string{"rules"}, args...)...)
	promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(write(t, map[string]string{"rules.yml": text}), "rules.yml"))
	var file ruleFile
	noError(t, yaml.Unmarshal([]byte(text), &file))
	return file
}

// write writes files into a temporary folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text, 0o600)
	}
	return dir
}

// promtool runs promtool of each version of Prometheus with an input. It must succeed.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	for _, version := range prometheusVersions {
		check := exec.Command(prometheusPrefix+version+"/promtool", args...)
		check.Stdin = strings.NewReader(stdin)
		if output, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", check, err, output)
		}
	}
}
