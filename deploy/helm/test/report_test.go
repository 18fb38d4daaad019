package chart_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
)

// steps returns the containers of a pod in the order in which they run.
func steps(pod corev1.PodSpec) []corev1.Container {
	return slices.Concat(pod.InitContainers, pod.Containers)
}

// The pod that writes reports is as secure as the others, has no token of the hub, and can write only to its volume.
func TestReportPod(t *testing.T) {
	release := render(t, "--values", sets(t)["report"])
	job := one[*batchv1.CronJob](t, release).Spec
	if job.Schedule != "15 5 2 * *" || *job.TimeZone != "Europe/Berlin" || job.ConcurrencyPolicy != batchv1.ForbidConcurrent {
		t.Errorf("got the schedule %q in %q and the policy %s", job.Schedule, *job.TimeZone, job.ConcurrencyPolicy)
	}
	template := job.JobTemplate.Spec.Template
	pod := template.Spec
	if pod.RestartPolicy != corev1.RestartPolicyNever || len(steps(pod)) != 3 {
		t.Errorf("got the restart policy %s and %d containers, want Never and 3", pod.RestartPolicy, len(steps(pod)))
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = v.Secret == nil || v.Secret.SecretName == "prometheus-credentials"
	}
	if d := cmp.Diff(map[string]bool{"reports": true, "prices": true, "prometheus": true, "group-map": true}, volumes); d != "" {
		t.Errorf("volumes, and whether they are no secret but that of Prometheus, -want +got:\n%s", d)
	}
	for _, c := range steps(pod) {
		single := pod
		single.Containers = []corev1.Container{c}
		problems := slices.DeleteFunc(append(unsafe(single), unmounted(single)...), func(problem string) bool { return problem == "reports is writable" })
		if len(problems) > 0 {
			t.Errorf("%s: %q", c.Name, problems)
		}
	}
}

// A network policy covers the pod that writes reports, and nothing scrapes it.
func TestReportNetwork(t *testing.T) {
	release := render(t, "--values", sets(t)["network-policy"],
		"--set", "report.enabled=true,report.volume.emptyDir.medium=Memory")
	labels := one[*batchv1.CronJob](t, release).Spec.JobTemplate.Spec.Template.Labels
	if policy := one[*networkingv1.NetworkPolicy](t, release).Spec; !selects(t, &policy.PodSelector, labels) {
		t.Errorf("the network policy selects %v, want the pod with %v too", policy.PodSelector, labels)
	}
	for name, value := range one[*corev1.Service](t, release).Spec.Selector {
		if labels[name] != value {
			return
		}
	}
	t.Errorf("the service selects the pod with %v", labels)
}

// The containers write the reports of the last month.
func TestReportRuns(t *testing.T) {
	sample := fakeprometheus.New(namespace, map[string][]string{"ada": {"bio"}, "bob": {"bio", "chem"}, "dan": {"none"}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.Header.Get("Authorization"), "Bearer open sesame"; got != want {
			t.Errorf("got the header Authorization %q, want %q", got, want)
		}
		sample.ServeHTTP(w, r)
	}))
	defer server.Close()
	release := render(t, "--values", sets(t)["report"], "--set", "prometheus.url="+server.URL)
	in := namespaceSecrets(t).with(release)
	pod := one[*batchv1.CronJob](t, release).Spec.JobTemplate.Spec.Template.Spec
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(zone)
	month := time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, zone)
	for i, want := range []struct{ file, text string }{
		{"usage-%s.html", "<!DOCTYPE html>"},
		{"users-%s.csv", month.Format(time.RFC3339) + ","},
		{"usage-%s.txt", "Usage of hub jhub, " + month.Format("January 2006") + " (Europe/Berlin)"},
	} {
		single := pod
		single.Containers = steps(pod)[i : i+1]
		cmd := command(t, single, in)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%q: got the error %v and the output %q", cmd.Args, err, out)
		}
		_, path, _ := strings.Cut(cmd.Args[len(cmd.Args)-1], "=")
		file := filepath.Join(filepath.Dir(path), fmt.Sprintf(want.file, month.Format("2006-01")))
		got, err := os.ReadFile(file)
		if err != nil || !strings.Contains(strings.ToLower(string(got)), strings.ToLower(want.text)) || !strings.Contains(string(got), "EUR") {
			t.Errorf("%s: got the error %v and\n%.500s\nwant %q and a currency", want.file, err, got, want.text)
		}
	}
}

func TestRejectedReports(t *testing.T) {
	const valid = "prometheus.url=http://p,report.enabled=true,report.volume.emptyDir.medium=Memory"
	for set, want := range map[string]string{
		valid: "",
		"report.enabled=true,report.volume.emptyDir.medium=Memory": "report: it queries Prometheus: set prometheus.url",
		"prometheus.url=http://p,report.enabled=true":              "report.volume: name where files are written",
		valid + ",usernames=omit":                                  "report: memberships without users' names",
		valid + ",report.outputs[0].file=a/b":                      "at '/report/outputs/0/file'",
		valid + ",report.outputs[0].args={html}":                   "at '/report/outputs/0/args/0'",
		valid + ",report.args={html}":                              "at '/report/args/0'",
		valid + ",report.outputs=null":                             "report",
		valid + ",report.prices.currency=EUR":                      "at '/report/prices': got object, want string",
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			_, err := template(releaseName, "--set", set)
			if want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got the error %v, want %q in it", err, want)
			}
		})
	}
}
