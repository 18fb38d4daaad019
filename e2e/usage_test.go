//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// With real hubs and each version of Prometheus, all ways to query usage by group return the sums from the table of
// namespaces.
func TestUsage(t *testing.T) {
	onEach(t, prometheusVersions, usage)
}

func usage(t *testing.T, version string) {
	// Users in several groups have a series for each group in the first Prometheus, and one for "multiple" in the second.
	first, second := &prometheus{version: version, url: freeAddress(t)}, &prometheus{version: version, url: freeAddress(t)}
	var exporters []exporter
	var inFirst, inSecond []string
	all := service{name: "all", scopes: []string{"list:users", "read:users:groups", "read:users:activity", "read:servers", "list:groups"}}
	for _, n := range namespaces {
		env := startHub(t, versions[0], n.users(), all).of(token("all"))
		args := []string{"--namespace=" + n.name, "--refresh-interval=1s", "--with=share", "--with=activity"}
		_, single := serve(t, env, append(args, "--multi-group=multiple")...)
		process, address := serve(t, env, append(args, "--multi-group="+n.multiGroup,
			"--prometheus-url="+first.url, "--usage-interval=1s", "--usage-home-dir-interval=1s")...)
		inFirst, inSecond = append(inFirst, address), append(inSecond, single)
		exporters = append(exporters, exporter{process, n, env, address})
	}
	first.startWithRules(t, inFirst)
	second.startWithRules(t, inSecond)

	for _, r := range resources {
		for _, way := range []struct {
			prometheus *prometheus
			series     string
			how        counting
		}{
			{first, r.recorded, inEach}, {first, r.shared, byShare},
			{second, r.recorded, inMultiple}, {second, r.shared, inMultiple},
		} {
			way.prometheus.answers(way.series, r, r.byGroup(way.how))
			if way.how != inEach {
				way.prometheus.addsUp(way.series, r)
			}
		}
	}
	upstreamQuery(first, second)
	panels(first)
	dashboards(t, first)
	for _, e := range exporters {
		e.gauges()
		e.flags(first)
	}
	prometheusAway(t, exporters[0])
}

// The query from jupyterhub-groups-exporter works only if each user has a single series.
const theirQuery = `sum(
  container_memory_working_set_bytes{name!="", pod=~"jupyter-.*", namespace=~"$hub_name"}
    * on (namespace, pod) group_left(annotation_hub_jupyter_org_username, usergroup)
    group(
        kube_pod_annotations{namespace=~"$hub_name", annotation_hub_jupyter_org_username=~".*", pod=~"jupyter-.*"}
    ) by (pod, namespace, annotation_hub_jupyter_org_username)
    * on (namespace, annotation_hub_jupyter_org_username) group_left(usergroup)
    group(
      label_replace(jupyterhub_user_group_info{namespace=~"$hub_name", username=~".*", usergroup=~"$user_group"},
        "annotation_hub_jupyter_org_username", "$1", "username", "(.+)")
    ) by (annotation_hub_jupyter_org_username, usergroup, namespace)
) by (usergroup, namespace)`

func upstreamQuery(each, multiple *prometheus) {
	query := strings.NewReplacer("$hub_name", ".*", "$user_group", ".*").Replace(theirQuery)
	multiple.answers(query, memory, memory.byGroupOf(inMultiple, pod.elsewhere))
	each.until("the query is refused", 30*time.Second, func() error {
		const refusal = "many-to-many matching not allowed"
		_, err := each.query(query)
		if err == nil {
			return errors.New("it has a result, want " + refusal)
		}
		if !strings.Contains(err.Error(), refusal) {
			return fmt.Errorf("not %s: %w", refusal, err)
		}
		return nil
	})
}

// The dashboards of jupyterhub/grafana-dashboards sum by user first, and then by group.
func panels(p *prometheus) {
	const members = `jupyterhub_user_group_info{usergroup!="multiple"}`
	ofPods := func(usage string) string {
		return `sum(
  sum(
    ` + usage + `
    * on (namespace, pod) group_left(annotation_hub_jupyter_org_username)
    group(kube_pod_annotations{annotation_hub_jupyter_org_username=~".*"}) by (namespace, pod, annotation_hub_jupyter_org_username)
  ) by (namespace, annotation_hub_jupyter_org_username)
  * on (namespace, annotation_hub_jupyter_org_username) group_right()
  group(
    label_replace(` + members + `, "annotation_hub_jupyter_org_username", "$1", "username", "(.+)")
  ) by (namespace, annotation_hub_jupyter_org_username, usergroup)
) by (namespace, usergroup)`
	}
	p.answers(ofPods(`container_memory_working_set_bytes{name!="", pod=~"jupyter-.*"}`), memory, memory.byGroupOf(inEach, pod.elsewhere))
	p.answers(ofPods(`irate(container_cpu_usage_seconds_total{name!="", pod=~"jupyter-.*"}[5m])`), cpu, cpu.byGroupOf(inEach, pod.elsewhere))
	for word, r := range map[string]resource{"memory": memoryRequests, "cpu": cpuRequests} {
		p.answers(ofPods(`kube_pod_container_resource_requests{resource="`+word+`", pod=~"jupyter-.*"}`), r, r.byGroupOf(inEach, pod.elsewhere))
	}

	// These queries assign a directory to all users with a form of its name: that of has-2dhyphen also to has-hyphen.
	want := homes.byGroup(inEach)
	want[[2]string{"uni", "chem"}] += 32 * homes.unit
	p.answers(`sum(
  max(dirsize_total_size_bytes) by (namespace, directory)
  * on (namespace, directory) group_right()
  group(
    label_replace(`+members+`, "directory", "$1", "username_safe", "(.+)")
    or
    label_replace(`+members+`, "directory", "$1", "username_escaped", "(.+)")
  ) by (namespace, directory, usergroup)
) by (namespace, usergroup)`, homes, want)
}

// An exporter for one namespace that publishes usage too.
type exporter struct {
	*process
	namespace namespace
	env       []string
	address   string
}

// gauges checks the metrics of serve.
func (e exporter) gauges() {
	e.untilMetrics("the exporter publishes usage", e.address, func(exposition string) error {
		if err := e.published(exposition, inEach, true); err != nil {
			return err
		}
		families, err := parse(exposition)
		if err != nil {
			return err
		}
		want, got := map[string]float64{}, map[string]float64{}
		for _, r := range resources {
			want[r.word] = r.unattributed(e.namespace)
		}
		for _, s := range families["groups_exporter_usage_unattributed"] {
			got[s.labels["resource"]] += s.value
		}
		return same(want, got)
	})
}

// flags checks the output of dump and the metrics of serve with the flags that affect them.
func (e exporter) flags(p *prometheus) {
	for _, way := range []struct {
		args string
		how  counting
	}{
		{"--multi-group=each", inEach},
		{"--multi-group=both --usage-attribution=share", byShare},
		{"--multi-group=both --usernames=omit", inEach},
		{"--multi-group=each --usernames=omit --usage-attribution=share", byShare},
		{"--multi-group=multiple --usage-attribution=share", inMultiple},
	} {
		args := append([]string{"--namespace=" + e.namespace.name, "--prometheus-url=" + p.url}, strings.Fields(way.args)...)
		named := !strings.Contains(way.args, "omit")
		e.until("dump "+way.args+" is right", 30*time.Second, func() error {
			r := run(e.t, e.env, "", append([]string{"dump"}, args...)...)
			if r.code != 0 {
				return errors.New(r.stderr)
			}
			return e.published(r.stdout, way.how, named)
		})
		with, address := serve(e.t, e.env, append(args, "--usage-interval=1s", "--usage-home-dir-interval=1s")...)
		with.untilMetrics("serve "+way.args+" is right", address, func(exposition string) error {
			return e.published(exposition, way.how, named)
		})
		with.stop(syscall.SIGTERM)
	}
}

// published compares the gauges with the expected usage: by user, or by group if user names are omitted.
func (e exporter) published(exposition string, how counting, named bool) error {
	families, err := parse(exposition)
	if err != nil {
		return err
	}
	memberships := map[string]bool{}
	for _, s := range families["jupyterhub_user_group_info"] {
		memberships[fmt.Sprint(s.labels)] = true
	}
	if named != (len(memberships) > 0) {
		return fmt.Errorf("%d memberships with user names, want none", len(memberships))
	}
	for _, r := range resources {
		want, got := map[[3]string]float64{}, map[[3]string]float64{}
		for key, used := range r.byUser(how, all) {
			if !named {
				key[2] = ""
			}
			if key[0] == e.namespace.name {
				want[key] += used
			}
		}
		for _, s := range families[r.gauge] {
			if named && !memberships[fmt.Sprint(s.labels)] || !named && len(s.labels) != 2 {
				return fmt.Errorf("%s has labels of no membership, or more than a namespace and a group: %v", r.gauge, s.labels)
			}
			got[[3]string{s.labels["namespace"], s.labels["usergroup"], s.labels["username"]}] += s.value
		}
		if err := near(r, want, got); err != nil {
			return fmt.Errorf("%s: %w", r.gauge, err)
		}
	}
	return nil
}

// Without Prometheus, dump prints an error, and serve publishes no usage.
func prometheusAway(t *testing.T, e exporter) {
	nowhere := "--prometheus-url=" + freeAddress(t)
	r := run(t, e.env, "", "dump", nowhere)
	if r.code != 1 || r.stdout != "" {
		t.Errorf("dump: exit code %d, want 1, and %d bytes on standard output, want none", r.code, len(r.stdout))
	}
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "groups-exporter: ") || !strings.HasPrefix(lines[1], "groups-exporter: hint: ") {
		t.Errorf("dump: standard error is not an error and a hint:\n%s", r.stderr)
	}

	without, address := serve(t, e.env, nowhere, "--usage-interval=1s", "--refresh-interval=1s")
	without.untilMetrics("serve has memberships and counts failures", address, func(exposition string) error {
		families, err := parse(exposition)
		if err != nil {
			return err
		}
		for _, r := range resources {
			if len(families[r.gauge]) > 0 {
				return fmt.Errorf("%s without a Prometheus", r.gauge)
			}
		}
		failures := 0.0
		for _, s := range families["groups_exporter_usage_failures_total"] {
			if s.labels["resource"] == "memory" && s.labels["reason"] == "connect" {
				failures = s.value
			}
		}
		if failures < 2 {
			return fmt.Errorf("%v failures to connect, want one more and one more", failures)
		}
		return sameMemberships(published(e.namespace.users()), exposition)
	})
}

// A Prometheus.
type prometheus struct {
	*process
	version string
	url     string
}

// startWithRules starts it with the rules. It scrapes exporters and the metrics of Kubernetes.
func (p *prometheus) startWithRules(t *testing.T, exporters []string) {
	t.Helper()
	targets := func(addresses ...string) string {
		return strings.ReplaceAll(strings.Join(addresses, ", "), "http://", "")
	}
	config := fmt.Sprintf(`
rule_files: [rules.yml]
scrape_configs:
- {job_name: kubernetes, honor_labels: true, scrape_interval: 500ms, scrape_timeout: 500ms, static_configs: [{targets: [%s]}]}
- {job_name: groups-exporter, honor_labels: true, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: [%s]}]}
`, targets(startKubernetes(t)), targets(exporters...))
	p.start(t, map[string]string{"prometheus.yml": config, "rules.yml": succeed(t, environment(), "rules", "--interval=1s")})
}

// start starts it in a folder with prometheus.yml and other files.
func (p *prometheus) start(t *testing.T, files map[string]string) {
	t.Helper()
	p.process = launch(t, write(t, files), os.Environ(), prometheusPrefix+p.version+"/prometheus",
		"--web.listen-address="+strings.TrimPrefix(p.url, "http://"), "--config.file=prometheus.yml", "--storage.tsdb.path=data")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
}

// request sends a request to the API and parses the data of the response.
func (p *prometheus) request(path string, parameters url.Values, data any) error {
	body, err := get(p.url + "/api/v1/" + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Status          string
		Warnings, Infos []string
		Data            json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if answer.Status != "success" || len(answer.Warnings)+len(answer.Infos) > 0 {
		return fmt.Errorf("%s: %q %q", answer.Status, answer.Warnings, answer.Infos)
	}
	return json.Unmarshal(answer.Data, data)
}

// query evaluates an expression at the current time.
func (p *prometheus) query(expression string) ([]sample, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any // time and value
		}
	}
	if err := p.request("query", url.Values{"query": {expression}}, &data); err != nil {
		return nil, err
	}
	var samples []sample
	for _, series := range data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(series.Value[1]), 64)
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{series.Metric, value})
	}
	return samples, nil
}

// byGroup evaluates an expression with one value per namespace and group.
func (p *prometheus) byGroup(expression string) (map[[2]string]float64, error) {
	samples, err := p.query(expression)
	if err != nil {
		return nil, err
	}
	found := map[[2]string]float64{}
	for _, s := range samples {
		delete(s.labels, "__name__")
		key := [2]string{s.labels["namespace"], s.labels["usergroup"]}
		if _, twice := found[key]; twice || len(s.labels) != len(key) {
			return nil, fmt.Errorf("unexpected labels or a duplicate: %v", s.labels)
		}
		found[key] = s.value
	}
	return found, nil
}

// answers waits until an expression returns the right sums by group.
func (p *prometheus) answers(expression string, r resource, want map[[2]string]float64) {
	p.t.Helper()
	p.until(expression, time.Minute, func() error {
		got, err := p.byGroup(expression)
		if err != nil {
			return err
		}
		return near(r, want, got)
	})
}

// addsUp checks that the sum over all groups equals the usage of all users.
func (p *prometheus) addsUp(expression string, r resource) {
	p.t.Helper()
	p.until(expression+" adds up", 30*time.Second, func() error {
		groups, err := p.byGroup(expression)
		if err != nil {
			return err
		}
		got := map[string]float64{}
		for key, value := range groups {
			got[key[0]] += value
		}
		return near(r, r.total(), got)
	})
}

// near returns nil if values are equal within the tolerance of the resource, and otherwise an error with the difference.
func near[K comparable](r resource, want, got map[K]float64) error {
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(r.tolerance, 0)); diff != "" {
		return fmt.Errorf("(-want +got)\n%s", diff)
	}
	return nil
}
