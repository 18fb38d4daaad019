//go:build e2e

package e2e

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/cluster"
	"github.com/groups-exporter/groups-exporter/e2e/kubestate"
)

// usageNamespace is the namespace of the servers.
const usageNamespace = "usage"

// usageOnKubernetes tests usage with servers that a real hub runs on a real Kubernetes. What the program publishes is
// compared with the control groups of the servers, and those with what the servers were told to use.
func usageOnKubernetes(t *testing.T, k *kubernetes) {
	all := service{name: "all", scopes: []string{"list:users", "read:users:groups", "read:servers", "list:groups"}}
	h := startSpawner(t, k, usageNamespace, all)
	p := &prometheus{version: prometheusVersions[len(prometheusVersions)-1], url: freeAddress(t)}
	exporter, address := serve(t, h.of(token("all")), "--namespace="+usageNamespace, "--refresh-interval=2s", "--with=share",
		"--prometheus-url="+p.url, "--usage-interval=2s")
	scrapeKubernetes(t, p, k, address)
	u := &spawnedUsage{t: t, prometheus: p, servers: spawn(t, k, h, usageNamespace)}
	running := time.Now()
	after := func(d time.Duration) { time.Sleep(time.Until(running.Add(d))) }
	u.names()
	u.lookup(k, h.of(token("all")))
	after(20 * time.Second)
	u.samples()
	u.recorded()
	u.dashboards()
	exporter.untilMetrics("the exporter publishes usage", address, u.published)

	after(36 * time.Second)
	u.removed = leaver
	_, err := k.Kubectl(t.Context(), "", "delete", "pod", "--namespace="+usageNamespace, "jupyter-"+leaver)
	noError(t, err)
	u.recorded()
	exporter.untilMetrics("the exporter publishes usage without a deleted pod", address, u.published)

	end := running.Add(55 * time.Second).Truncate(time.Second)
	waitForReport(end)
	u.report(running.Truncate(time.Second), end)
	u.worked()
}

// scrapeKubernetes starts a Prometheus that scrapes an exporter, the kubelet and kube-state-metrics.
func scrapeKubernetes(t *testing.T, p *prometheus, k *kubernetes, exporter string) {
	t.Helper()
	username := kubestate.Allowlist{"pods": {"hub.jupyter.org/username"}}
	state := httptest.NewServer(&kubestate.Exporter{Get: k.Get, Annotations: username, Labels: username})
	t.Cleanup(state.Close)
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	p.start(t, map[string]string{"rules.yml": succeed(t, environment(), "rules", "--interval=1s"), "prometheus.yml": fmt.Sprintf(`
global: {scrape_interval: 2s, scrape_timeout: 2s}
rule_files: [rules.yml]
scrape_configs:
- job_name: kubelet
  scheme: https
  metrics_path: /metrics/cadvisor
  authorization: {credentials: %s}
  tls_config: {insecure_skip_verify: true}
  static_configs: [{targets: ["%s:10250"]}]
- job_name: kube-state-metrics
  honor_labels: true
  static_configs: [{targets: [%q]}]
- job_name: groups-exporter
  honor_labels: true
  static_configs: [{targets: [%q]}]
`, cluster.AdminToken, cluster.NodeIP, host(state.URL), host(exporter))})
}

// spawnedUsage compares the usage of servers with what the program says.
type spawnedUsage struct {
	t          *testing.T
	prometheus *prometheus
	servers    []*spawned
	removed    string // user whose pod was deleted, if any
}

// onPods are the resources that the servers use.
var onPods = []resource{memory, cpu, memoryRequests, cpuRequests}

// worked checks that the servers have used what they were told to, and what it takes to start.
func (u *spawnedUsage) worked() {
	u.t.Helper()
	for _, s := range u.servers {
		all := s.meter.all()
		first, last := all[0], all[0]
		for _, r := range all {
			if r.bytes >= s.work.Bytes { // otherwise the server is ending
				last = r
			}
		}
		seconds := s.work.Cores * last.at.Sub(first.at).Seconds()
		want := map[string]bounds{"bytes": {s.work.Bytes, s.work.Bytes + 12<<20}, "CPU": {0.9 * seconds, seconds + 1}}
		if s.isBestEffort() {
			want["CPU"] = bounds{0, seconds + 1}
		}
		report(u.t, s.pod.Metadata.Name, within(want, map[string]float64{"bytes": last.bytes, "CPU": last.seconds}))
	}
}

// A podSample is a sample of the kubelet.
type podSample struct {
	at    time.Time
	value float64
}

// of returns the samples of a metric of the servers' containers in the last five minutes, by pod.
func (u *spawnedUsage) of(metric string) (map[string][]podSample, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Values [][2]any // time and value
		}
	}
	query := fmt.Sprintf(`%s{namespace=%q,container="notebook"}[5m]`, metric, usageNamespace)
	if err := u.prometheus.request("query", url.Values{"query": {query}}, &data); err != nil {
		return nil, err
	}
	found := map[string][]podSample{}
	for _, series := range data.Result {
		for _, one := range series.Values {
			value, err := strconv.ParseFloat(fmt.Sprint(one[1]), 64)
			if err != nil {
				return nil, err
			}
			pod := series.Metric["pod"]
			found[pod] = append(found[pod], podSample{time.UnixMilli(int64(one[0].(float64) * 1000)), value})
		}
	}
	return found, nil
}

// The working set of a server may change by this much between two readings: each processor adds memory to a control group
// in batches of 64 pages.
var jitter = float64(runtime.NumCPU() * 64 * os.Getpagesize())

// samples checks that the kubelet's samples are what the control groups say. A sample may be a second older or younger than
// its timestamp.
func (u *spawnedUsage) samples() {
	u.t.Helper()
	seconds, err := u.of("container_cpu_usage_seconds_total")
	noError(u.t, err)
	bytes, err := u.of("container_memory_working_set_bytes")
	noError(u.t, err)
	for _, s := range u.servers {
		name := s.pod.Metadata.Name
		begin, end := s.meter.all()[0].at, s.meter.end()
		checked := 0
		for _, one := range seconds[name] {
			if one.at.Before(begin.Add(time.Second)) || one.at.After(end) {
				continue
			}
			checked++
			want := bounds{s.meter.secondsAt(one.at.Add(-time.Second)), s.meter.secondsAt(one.at.Add(time.Second))}
			report(u.t, name+": CPU of a sample", within(map[string]bounds{"": want.wider(0.001)}, map[string]float64{"": one.value}))
		}
		for _, one := range bytes[name] {
			if one.at.Before(begin.Add(time.Second)) || one.at.After(end) {
				continue
			}
			checked++
			want := s.meter.bytesBetween(one.at.Add(-time.Second), one.at.Add(time.Second))
			report(u.t, name+": memory of a sample", within(map[string]bounds{"": want.wider(jitter)}, map[string]float64{"": one.value}))
		}
		if checked < 8 {
			u.t.Errorf("%s: %d samples of the kubelet, want more", name, checked)
		}
	}
}

// byUser returns what the program may say about the usage of each user now, from what it may have learned a lag ago.
func (u *spawnedUsage) byUser(r resource, lag time.Duration) (map[string]bounds, error) {
	seconds, err := u.of("container_cpu_usage_seconds_total")
	if err != nil {
		return nil, err
	}
	found := map[string]bounds{}
	for _, s := range u.servers {
		var used bounds
		switch {
		case r == cpu:
			if used, err = s.increase(seconds[s.pod.Metadata.Name], time.Now().Add(-lag)); err != nil {
				return nil, err
			}
		case s.user == u.removed:
			continue // its CPU of the last five minutes still counts
		case r == memory:
			used = s.meter.bytesBetween(time.Now().Add(-lag-10*time.Second), time.Now()).wider(jitter)
		default:
			requested := s.work.RequestedBytes
			if r == cpuRequests {
				requested = s.work.RequestedCores
			}
			if requested == nil {
				continue
			}
			used = bounds{*requested, *requested}.wider(*requested * 1e-9)
		}
		found[s.user] = found[s.user].plus(used)
	}
	return found, nil
}

// increase returns the CPU that a container used per second in five minutes, as Prometheus may see it: it knows what was
// used between the first and the last sample. It extrapolates by at most half the time between two samples at the
// beginning, and 1.1 times that time at the end. Samples after a time may not have been scraped yet.
func (s *spawned) increase(samples []podSample, surely time.Time) (bounds, error) {
	last := len(samples) - 1
	for last >= 0 && samples[last].at.After(surely) {
		last--
	}
	if last < 4 {
		return bounds{}, fmt.Errorf("%s: only %d samples", s.pod.Metadata.Name, last+1)
	}
	first := samples[0].value // the meter may have started later
	if !s.meter.all()[0].at.After(samples[0].at) {
		first = s.meter.secondsAt(samples[0].at)
	}
	low := s.meter.secondsAt(samples[last].at.Add(-time.Second)) - first
	high := s.meter.secondsAt(samples[len(samples)-1].at.Add(time.Second)) - first
	return bounds{low * 0.98, high * (1 + 1.6/float64(last))}.times(1.0 / 300), nil
}

// sumByGroup returns the usage of groups, from that of users.
func (u *spawnedUsage) sumByGroup(users map[string]bounds, how counting) map[string]bounds {
	found := map[string]bounds{}
	for _, w := range workers {
		used, has := users[w.Name]
		if !has {
			continue
		}
		groups, part := w.published(), 1.0
		if how == byShare {
			part = 1 / float64(len(groups))
		}
		for _, group := range groups {
			found[group] = found[group].plus(used.times(part))
		}
	}
	return found
}

// answers waits until an expression returns the usage of all users or all groups, whichever label it has.
func (u *spawnedUsage) answers(expression, label string, r resource, how counting) {
	u.t.Helper()
	u.prometheus.until(expression, 30*time.Second, func() error {
		samples, err := u.prometheus.query(expression)
		if err != nil {
			return err
		}
		got := map[string]float64{}
		for _, s := range samples {
			if s.labels["namespace"] != usageNamespace {
				return fmt.Errorf("%v isn't in the namespace", s.labels)
			}
			got[s.labels[label]] += s.value
		}
		want, err := u.byUser(r, 6*time.Second)
		if err != nil {
			return err
		}
		if label == "usergroup" {
			want = u.sumByGroup(want, how)
		}
		return within(want, got)
	})
}

// recorded checks the recorded series.
func (u *spawnedUsage) recorded() {
	u.t.Helper()
	for _, r := range onPods {
		u.answers(strings.Replace(r.recorded, "usergroup", "username", 1), "username", r, inEach)
		u.answers(r.recorded, "usergroup", r, inEach)
		u.answers(r.shared, "usergroup", r, byShare)
	}
}

// dashboards checks the panels for the resources.
func (u *spawnedUsage) dashboards() {
	u.t.Helper()
	for _, way := range []struct {
		args string
		how  counting
	}{
		{"--queries=recorded", inEach},
		{"--queries=plain", inEach},
		{"--queries=plain --usage-attribution=share", byShare},
	} {
		shown := 0
		for _, panel := range flat(decode[dashboard](u.t, succeed(u.t, environment(), append([]string{"dashboard"}, strings.Fields(way.args)...)...)).Panels) {
			for _, r := range onPods {
				if usagePanels[panel.Title] == r {
					shown++
					u.answers(fill(panel.Targets[0].Expr, [2]string{usageNamespace, ".*"}), "usergroup", r, way.how)
				}
			}
		}
		if shown != len(onPods) {
			u.t.Errorf("dashboard %s: %d panels of usage, want %d", way.args, shown, len(onPods))
		}
	}
}

// published checks the exporter's own metrics.
func (u *spawnedUsage) published(exposition string) error {
	families, err := parse(exposition)
	if err != nil {
		return err
	}
	for _, r := range onPods {
		users, err := u.byUser(r, 10*time.Second)
		if err != nil {
			return err
		}
		want, got := map[[2]string]bounds{}, map[[2]string]float64{}
		for _, w := range workers {
			for _, group := range w.published() {
				if used, has := users[w.Name]; has {
					want[[2]string{w.Name, group}] = used
				}
			}
		}
		for _, s := range families[r.gauge] {
			got[[2]string{s.labels["username"], s.labels["usergroup"]}] += s.value
		}
		if err := within(want, got); err != nil {
			return fmt.Errorf("%s: %w", r.gauge, err)
		}
	}
	for _, s := range families["groups_exporter_usage_unattributed"] {
		if s.value != 0 {
			return fmt.Errorf("unattributed: %v", s)
		}
	}
	return nil
}

// names checks that kubespawner's names of pods and claims, and its labels, are those that escape prints.
func (u *spawnedUsage) names() {
	u.t.Helper()
	for _, s := range u.servers {
		args := []string{"escape", "--output=json"}
		if s.name != "" {
			args = append(args, "--server-name="+s.name)
		}
		of := decode[[]forms](u.t, succeed(u.t, environment(), append(args, s.user)...))[0]
		want := map[string]string{"pod": of["safe_pod_name"], "claim": "claim-" + of["safe_user_server"], "label": of["label"]}
		got := map[string]string{"pod": s.pod.Metadata.Name, "claim": s.claim, "label": s.pod.Metadata.Labels["hub.jupyter.org/username"]}
		report(u.t, s.pod.user(), same(want, got))
	}
}
