package chart_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestLint(t *testing.T) {
	must(t, *helm, "lint", "--strict", "--kube-version", kubernetes, chart)
	for name, file := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must(t, *helm, "lint", "--strict", "--kube-version", kubernetes, "--values", file, chart)
		})
	}
}

// testdata contains the objects and the notes for each set of values. The default set is the same as no values.
func TestRendered(t *testing.T) {
	blank := regexp.MustCompile(`\n(\s*\n)+`) // differs between versions of Helm
	// TestRules compares the contents of these files.
	files := strings.NewReplacer(indented(t, "rules.yaml", 2), "  # rules.yaml\n", indented(t, "dashboard.json", 4), "    # dashboard.json\n")
	for name, file := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := template(releaseName, "--values", file)
			if err != nil {
				t.Fatal(err)
			}
			decode(t, text)
			compare(t, "testdata/"+name+".yaml", files.Replace(blank.ReplaceAllString(text, "\n")))
			compare(t, "testdata/"+name+".txt", notes(t, "--values", file))
			if name == "default" {
				if plain, err := template(releaseName); err != nil || plain != text {
					t.Errorf("without values (error: %v), -default values +no values:\n%s", err, diff(text, plain))
				}
			}
		})
	}
}

// indented returns one of the chart's files as it is indented in an object.
func indented(t *testing.T, name string, spaces int) string {
	t.Helper()
	return regexp.MustCompile("(?m)^").ReplaceAllString(strings.TrimSpace(read(t, chart+"/files/"+name)), strings.Repeat(" ", spaces)) + "\n"
}

// notes returns what Helm prints after an installation.
func notes(t *testing.T, args ...string) string {
	t.Helper()
	out := must(t, *helm, append([]string{"install", releaseName, chart, "--namespace", namespace, "--dry-run=client"}, args...)...)
	_, text, found := strings.Cut(out, "\nNOTES:\n")
	if !found {
		t.Fatalf("no notes in:\n%s", out)
	}
	return strings.TrimSpace(text) + "\n"
}

// The chart's rules and dashboard are those of the program, and the README describes the values.
func TestGenerated(t *testing.T) {
	compare(t, chart+"/files/rules.yaml", must(t, program, "rules"))
	compare(t, chart+"/files/dashboard.json", must(t, program, "dashboard"))

	const begin, end = "in deploy/helm/test -->\n", "<!-- end -->"
	head, rest, begins := strings.Cut(read(t, chart+"/README.md"), begin)
	_, tail, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatal("the README has no place for the values")
	}
	compare(t, chart+"/README.md", head+begin+valuesTable(t)+end+tail)
}

// Templates change nothing in rules and dashboards, neither in the chart's nor in given ones.
func TestRules(t *testing.T) {
	for name, flags := range map[string][]string{
		"the chart's own": nil,
		"given":           {"--metrics-prefix", "hub", "--multiple-name", "{{ several }}"}, // looks like a template
	} {
		t.Run(name, func(t *testing.T) {
			text := must(t, program, append([]string{"rules"}, flags...)...)
			dashboard := must(t, program, append([]string{"dashboard"}, flags...)...)
			args := []string{"--set", "prometheusRule.enabled=true,dashboard.enabled=true"}
			if flags != nil {
				args = append(args, "--set", "metricsPrefix=hub", "--set-json", `multipleName="{{ several }}"`,
					"--set-file", "prometheusRule.rules="+write(t, text)+",dashboard.json="+write(t, dashboard))
			}
			release := render(t, args...)
			var want monitoringv1.PrometheusRuleSpec
			if err := yaml.UnmarshalStrict([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, "{{ $labels.namespace }}") || len(want.Groups) != 2 {
				t.Errorf("got other rules than this test expects:\n%s", text)
			}
			if d := cmp.Diff(want, one[*monitoringv1.PrometheusRule](t, release).Spec); d != "" {
				t.Errorf("rules, -program +release:\n%s", d)
			}
			if d := diff(strings.TrimSpace(dashboard), strings.TrimSpace(one[*corev1.ConfigMap](t, release).Data["groups-exporter.json"])); d != "" {
				t.Errorf("dashboard, -program +release:\n%s", d)
			}
		})
	}
}

// Each set is scraped in exactly one way. Monitors find the exporter and keep the label namespace, which is the hub's.
func TestScraped(t *testing.T) {
	for name, file := range sets(t) {
		release := render(t, "--values", file)
		service, pod := one[*corev1.Service](t, release), one[*appsv1.Deployment](t, release).Spec.Template
		port := pod.Spec.Containers[0].Ports[0].Name
		ways := 0
		check := func(kind string, finds, keeps bool) {
			ways++
			if !finds || !keeps {
				t.Errorf("%s: the %s finds the exporter: %v, keeps the label namespace: %v, want both", name, kind, finds, keeps)
			}
		}
		if a := service.Annotations; a["prometheus.io/scrape"] == "true" {
			check("annotations", a["prometheus.io/port"] == "8100" && a["prometheus.io/path"] == "/metrics", true)
		}
		for _, m := range all[*monitoringv1.ServiceMonitor](release) {
			e := m.Spec.Endpoints[0]
			check("ServiceMonitor", selects(t, &m.Spec.Selector, service.Labels) && e.Port == service.Spec.Ports[0].Name, e.HonorLabels)
		}
		for _, m := range all[*monitoringv1.PodMonitor](release) {
			e := m.Spec.PodMetricsEndpoints[0]
			check("PodMonitor", selects(t, &m.Spec.Selector, pod.Labels) && *e.Port == port, e.HonorLabels)
		}
		for _, m := range all[*podMonitoring](release) {
			// Google's collectors set the label namespace, rename the exporter's, and can't keep it: the two are the same.
			e, drop := m.Spec.Endpoints[0], m.Spec.Endpoints[0].MetricRelabeling[0]
			isRenamed := slices.ContainsFunc(container(t, release).Args, func(arg string) bool { return strings.HasPrefix(arg, "--namespace") })
			check("PodMonitoring", selects(t, &m.Spec.Selector, pod.Labels) && e.Port == port,
				drop.Action == "labeldrop" && drop.Regex == "exported_namespace" && !isRenamed)
		}
		if ways != 1 {
			t.Errorf("%s: scraped in %d ways, want 1", name, ways)
		}
	}
}

// Services are annotated unless Prometheus needs a token, or somebody turns the annotations off.
func TestScrapeAnnotations(t *testing.T) {
	for set, want := range map[string]bool{"auth=none": true, "auth=hub": false, "service.scrapeAnnotations=false": false} {
		if _, got := one[*corev1.Service](t, render(t, "--set", set)).Annotations["prometheus.io/scrape"]; got != want {
			t.Errorf("%s: annotated %v, want %v", set, got, want)
		}
	}
}

// The packed chart doesn't contain the files for tests.
func TestPackage(t *testing.T) {
	folder := t.TempDir()
	must(t, *helm, "package", chart, "--destination", folder)
	archive := must(t, "tar", "-tzf", filepath.Join(folder, "groups-exporter-0.1.0.tgz"))
	got := slices.DeleteFunc(strings.Fields(strings.ReplaceAll(archive, "groups-exporter/", "")), func(name string) bool {
		return strings.HasPrefix(name, "templates/")
	})
	slices.Sort(got)
	want := []string{".helmignore", "Chart.yaml", "README.md", "files/dashboard.json", "files/rules.yaml", "values.schema.json", "values.yaml"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
