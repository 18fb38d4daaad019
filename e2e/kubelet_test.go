//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// The usage of a user's pods, in bytes and CPU seconds since their start.
type used struct{ memory, cpu float64 }

// Each container of a real kubelet counts once, whatever endpoints and jobs Prometheus scrapes, and whatever labels it
// keeps.
func TestKubelet(t *testing.T) {
	t.Parallel()
	// Ada has two pods. Bob's pod has two containers. Lea's pod is running its init container. The usage of a pod as a
	// whole includes its pause container.
	containers := map[string]used{
		"ada@uni.example": {106156032 + 64061440, 41.687289769 + 25.811703182},
		"bob":             {85483520 + 32690176, 25.947719951 + 12.858135263},
		"dan@uni.example": {53977088, 17.066500953},
		"lea":             {17215488, 3.170601004},
	}
	otherContainers := map[string]used{
		"ada@uni.example": {106504192 + 64061440, 36.989044704 + 22.196577075},
		"bob":             {85495808 + 32960512, 22.116182976 + 11.023541312},
		"dan@uni.example": {53825536, 14.762807592},
		"lea":             {17199104, 3.933301659},
	}
	otherPods := map[string]used{
		"ada@uni.example": {107483136 + 65003520, 36.962032893 + 22.039452593},
		"bob":             {119238656, 32.089593917},
		"dan@uni.example": {54542336, 14.499255626},
		"lea":             {17866752, 3.61486636},
	}
	for _, kubelet := range []struct {
		dir, files string
		want       map[string]used
	}{
		{"containerd", "cadvisor", containers},
		{"containerd", "resource", containers},
		{"containerd", "cadvisor resource", containers},
		{"other-socket", "cadvisor", otherPods},
		{"other-socket", "resource", otherContainers},
		{"other-socket", "cadvisor resource", otherContainers},
	} {
		for _, dropped := range [][]string{nil, {"name"}, {"id"}, {"id", "image", "name"}} {
			for _, jobs := range [][]string{{"a"}, {"a", "b"}} {
				name := fmt.Sprintf("%s/%s without %q, jobs %q", kubelet.dir, kubelet.files, dropped, jobs)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					expositions := map[string]string{"": read(t, "testdata/kubelet/pods.prom")}
					for file := range strings.FieldsSeq(kubelet.files) {
						for _, job := range jobs {
							expositions[file+job] = read(t, filepath.Join("testdata/kubelet", kubelet.dir, file+".prom"))
						}
					}
					countsOnce(t, expositions, dropped, kubelet.want)
				})
			}
		}
	}
}

// countsOnce checks the recorded usage by user for the expositions of several scrape jobs.
func countsOnce(t *testing.T, expositions map[string]string, dropped []string, want map[string]used) {
	t.Helper()
	type expected struct {
		Labels string
		Value  float64
	}
	var memory, cpu []expected
	for _, user := range slices.Sorted(maps.Keys(want)) {
		labels := model.LabelSet{"namespace": "prod", "username": model.LabelValue(user)}.String()
		memory = append(memory, expected{labels, want[user].memory})
		cpu = append(cpu, expected{labels, math.Round(want[user].cpu*1e4) / 1e4})
	}
	type check struct {
		Time    string     `yaml:"eval_time"`
		Expr    string     `yaml:"expr"`
		Samples []expected `yaml:"exp_samples"`
	}
	test, err := yaml.Marshal(map[string]any{
		"rule_files": []string{"rules.yml"},
		"tests": []any{map[string]any{
			"interval":     "1m",
			"input_series": inputs(t, expositions, dropped),
			"promql_expr_test": []check{
				{"10m", "1 * namespace_username:container_memory_working_set_bytes:sum", memory},
				{"10m", "round(60 * namespace_username:container_cpu_usage_seconds:rate5m, 0.0001)", cpu},
			},
		}},
	})
	noError(t, err)
	dir := write(t, map[string]string{"rules.yml": succeed(t, environment(), "rules", "--only=recording"), "test.yml": string(test)})
	promtool(t, "", "test", "rules", filepath.Join(dir, "test.yml"))
}

// A series for promtool.
type input struct{ Series, Values string }

// inputs returns the series that Prometheus stores of the expositions of several jobs, without the dropped labels. Gauges
// stay as they are, and counters go up by their value every minute.
func inputs(t *testing.T, expositions map[string]string, dropped []string) []input {
	t.Helper()
	var all []input
	seen := map[string]bool{}
	for job, exposition := range expositions {
		families := mustParse(t, exposition)
		for name, samples := range families {
			for _, s := range samples {
				labels := model.LabelSet{"job": model.LabelValue(job)}
				for label, value := range s.labels {
					if value != "" && !slices.Contains(dropped, label) {
						labels[model.LabelName(label)] = model.LabelValue(value)
					}
				}
				in := input{name + labels.String(), fmt.Sprintf("%vx10", s.value)}
				if strings.HasSuffix(name, "_total") {
					in.Values = "0+" + in.Values
				}
				// Without name and id, a pod and its pause container are one series, and promtool rejects duplicate
				// series. The other containers have their own series then, so neither of the two counts.
				if !seen[in.Series] {
					seen[in.Series] = true
					all = append(all, in)
				}
			}
		}
	}
	return all
}
