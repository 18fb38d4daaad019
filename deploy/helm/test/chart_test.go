package chart_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func labelSet(of map[string]string) labels.Set { return of }

func TestLint(t *testing.T) {
	must(t, *helm, "lint", "--strict", "--kube-version", kubernetes, chart)
	for name, file := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must(t, *helm, "lint", "--strict", "--kube-version", kubernetes, "--values", file, chart)
		})
	}
}

// TestRendered compares each set of values with what was last looked at, and that without values with the first of them.
func TestRendered(t *testing.T) {
	blank := regexp.MustCompile(`\n(\s*\n)+`) // versions of Helm differ in these
	// TestRules is for what stands in the chart's files.
	files := strings.NewReplacer(indented(t, "rules.yaml", 2), "  # rules.yaml\n", indented(t, "dashboard.json", 4), "    # dashboard.json\n")
	for name, file := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := template("--values", file)
			if err != nil {
				t.Fatal(err)
			}
			decode(t, text)
			same(t, "testdata/"+name+".yaml", files.Replace(blank.ReplaceAllString(text, "\n")))
			same(t, "testdata/"+name+".txt", notes(t, "--values", file))
			if name == "default" {
				if plain, err := template(); err != nil || plain != text {
					t.Errorf("without values it is something else, or %v", err)
				}
			}
		})
	}
}

// indented is one of the chart's files, as it stands in an object.
func indented(t *testing.T, name string, spaces int) string {
	t.Helper()
	data, err := os.ReadFile(chart + "/files/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?m)^").ReplaceAllString(strings.TrimSpace(string(data)), strings.Repeat(" ", spaces)) + "\n"
}

// notes is what Helm says after an installation.
func notes(t *testing.T, args ...string) string {
	t.Helper()
	out := must(t, *helm, append([]string{"install", releaseName, chart, "--namespace", namespace, "--dry-run=client"}, args...)...)
	_, text, found := strings.Cut(out, "\nNOTES:\n")
	if !found {
		t.Fatalf("no notes in:\n%s", out)
	}
	return strings.TrimSpace(text) + "\n"
}

// TestGenerated compares what the chart has of the program with the program, and its README with its values.
func TestGenerated(t *testing.T) {
	same(t, chart+"/files/rules.yaml", must(t, program, "rules"))
	same(t, chart+"/files/dashboard.json", must(t, program, "dashboard"))

	readme, err := os.ReadFile(chart + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(readme), "in deploy/helm/test -->\n")
	_, tail, ends := strings.Cut(rest, "<!-- end -->")
	if !found || !ends {
		t.Fatal("the README has no place for the values")
	}
	same(t, chart+"/README.md", head+"in deploy/helm/test -->\n"+valuesTable(t)+"<!-- end -->"+tail)
}

// TestRules compares the rules and the dashboard in a release with the program's, to the last brace, and those that
// somebody gives.
func TestRules(t *testing.T) {
	on := []string{"--set", "prometheusRule.enabled=true,dashboard.enabled=true"}
	folder := t.TempDir()
	for name, flags := range map[string][]string{
		"the chart's own": nil,
		"given":           {"--metrics-prefix", "hub", "--multiple-name", "{{ several }}"},
	} {
		t.Run(name, func(t *testing.T) {
			text := must(t, program, append([]string{"rules"}, flags...)...)
			dashboard := must(t, program, append([]string{"dashboard"}, flags...)...)
			args := on
			if flags != nil { // of other names, one of which looks like a template
				for file, content := range map[string]string{"rules.yaml": text, "dashboard.json": dashboard} {
					if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				args = append(args, "--set", "metricsPrefix=hub", "--set-json", `multipleName="{{ several }}"`,
					"--set-file", "prometheusRule.rules="+folder+"/rules.yaml,dashboard.json="+folder+"/dashboard.json")
			}
			release := render(t, args...)
			var want monitoringv1.PrometheusRuleSpec
			if err := yaml.UnmarshalStrict([]byte(text), &want); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, "{{ $labels.namespace }}") || len(want.Groups) != 2 {
				t.Errorf("these are other rules than this test was made for:\n%s", text)
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

// TestKinds tells which objects each set makes, so that none is there or missing unseen.
func TestKinds(t *testing.T) {
	kinds := func(o objects) map[string]bool {
		return map[string]bool{
			"account": len(all[*corev1.ServiceAccount](o)) == 1, "monitor": len(all[*monitoringv1.ServiceMonitor](o)) == 1,
			"pods": len(all[*monitoringv1.PodMonitor](o)) == 1, "rules": len(all[*monitoringv1.PrometheusRule](o)) == 1,
			"dashboard": len(all[*corev1.ConfigMap](o)) == 1, "policy": len(all[*networkingv1.NetworkPolicy](o)) == 1,
			"budget": len(all[*policyv1.PodDisruptionBudget](o)) == 1, "google": len(all[*podMonitoring](o)) == 1,
		}
	}
	want := map[string]string{
		"default": "account", "existing-secret": "", "operator": "account monitor rules dashboard", "pod-monitor": "account pods",
		"network-policy": "account policy", "replicas": "account budget", "tls": "account", "private": "account monitor", "managed": "account google",
		"everything": "account monitor rules dashboard policy budget",
	}
	for name, file := range sets(t) {
		release := render(t, "--values", file)
		got := kinds(release)
		number := 3 // deployment, service, and the pod that checks
		for kind, there := range got {
			if there {
				number++
			}
			if there != slices.Contains(strings.Fields(want[name]), kind) {
				t.Errorf("%s: %s is there: %v", name, kind, there)
			}
		}
		if len(release) != number {
			t.Errorf("%s: %d objects, %d of them known", name, len(release), number)
		}
	}
}

// TestScraped tells that each set is scraped in one way, and how.
func TestScraped(t *testing.T) {
	for name, file := range sets(t) {
		release := render(t, "--values", file)
		var ways []string
		service := one[*corev1.Service](t, release)
		if service.Annotations["prometheus.io/scrape"] == "true" {
			scheme := service.Annotations["prometheus.io/scheme"]
			ways = append(ways, scheme+"://:"+service.Annotations["prometheus.io/port"]+service.Annotations["prometheus.io/path"])
		}
		for _, m := range all[*monitoringv1.ServiceMonitor](release) {
			e := m.Spec.Endpoints[0]
			if !e.HonorLabels || !selects(t, &m.Spec.Selector, service.Labels) || e.Port != service.Spec.Ports[0].Name {
				t.Errorf("%s: a ServiceMonitor that takes the hub's labels away, or finds nothing: %+v", name, m.Spec)
			}
			ways = append(ways, "service "+e.Scheme.String()+" "+e.Path)
		}
		for _, m := range all[*monitoringv1.PodMonitor](release) {
			e := m.Spec.PodMetricsEndpoints[0]
			pod := one[*appsv1.Deployment](t, release).Spec.Template
			if !e.HonorLabels || !selects(t, &m.Spec.Selector, pod.Labels) || *e.Port != pod.Spec.Containers[0].Ports[0].Name {
				t.Errorf("%s: a PodMonitor that takes the hub's labels away, or finds nothing: %+v", name, m.Spec)
			}
			ways = append(ways, "pod "+e.Scheme.String()+" "+e.Path)
		}
		for _, m := range all[*podMonitoring](release) {
			ways = append(ways, "Google "+m.Spec.Endpoints[0].Scheme+" "+m.Spec.Endpoints[0].Path)
		}
		want := map[string]string{
			"managed": "Google https /metrics", "operator": "service http /metrics", "private": "service http /metrics", "everything": "service https /metrics",
			"pod-monitor": "pod http /metrics", "tls": "https://:8100/metrics",
		}[name]
		if want == "" {
			want = "http://:8100/metrics"
		}
		if got := strings.Join(ways, ", "); got != want {
			t.Errorf("%s is scraped by %q, not %q", name, got, want)
		}
	}
}

// TestScrapeAnnotations tells when there are none.
func TestScrapeAnnotations(t *testing.T) {
	for set, want := range map[string]bool{"auth=none": true, "auth=hub": false, "service.scrapeAnnotations=false": false} {
		if _, got := one[*corev1.Service](t, render(t, "--set", set)).Annotations["prometheus.io/scrape"]; got != want {
			t.Errorf("%s: %v", set, got)
		}
	}
}

// TestPackage tells what the packed chart has: what is for the tests stays at home.
func TestPackage(t *testing.T) {
	folder := t.TempDir()
	must(t, *helm, "package", chart, "--destination", folder)
	file, err := os.Open(filepath.Join(folder, "groups-exporter-0.1.0.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(header.Name, "groups-exporter/")
		if !strings.HasPrefix(name, "templates/") {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	want := []string{".helmignore", "Chart.yaml", "README.md", "files/dashboard.json", "files/rules.yaml", "values.schema.json", "values.yaml"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
