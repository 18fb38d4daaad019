package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// container returns the container that serves.
func container(t *testing.T, release objects) corev1.Container {
	t.Helper()
	return one[*appsv1.Deployment](t, release).Spec.Template.Spec.Containers[0]
}

// pods returns the pod that serves and the pod that checks.
func pods(t *testing.T, release objects) map[string]corev1.PodTemplateSpec {
	t.Helper()
	checking := one[*corev1.Pod](t, release)
	return map[string]corev1.PodTemplateSpec{
		"serve": one[*appsv1.Deployment](t, release).Spec.Template,
		"check": {ObjectMeta: checking.ObjectMeta, Spec: checking.Spec},
	}
}

// The selectors of services, budgets and the like match the pods that serve and not the pod that checks. Those of network
// policies match both.
func TestSelectors(t *testing.T) {
	for name, file := range sets(t) {
		release := render(t, "--values", file)
		p := pods(t, release)
		only := map[string]*metav1.LabelSelector{
			"deployment": one[*appsv1.Deployment](t, release).Spec.Selector,
			"service":    {MatchLabels: one[*corev1.Service](t, release).Spec.Selector},
		}
		for _, b := range all[*policyv1.PodDisruptionBudget](release) {
			only["budget"] = b.Spec.Selector
		}
		for _, c := range p["serve"].Spec.TopologySpreadConstraints {
			if name != "everything" { // which sets its own selector
				only["spread"] = c.LabelSelector
			}
		}
		for what, selector := range only {
			if !selects(t, selector, p["serve"].Labels) || selects(t, selector, p["check"].Labels) {
				t.Errorf("%s: %s selects %v, want only the first of the pods with %v and %v", name, what, selector, p["serve"].Labels, p["check"].Labels)
			}
		}
		for _, policy := range all[*networkingv1.NetworkPolicy](release) {
			if selector := &policy.Spec.PodSelector; !selects(t, selector, p["serve"].Labels) || !selects(t, selector, p["check"].Labels) {
				t.Errorf("%s: the network policy selects %v, want both pods", name, selector)
			}
		}
	}
}

// Whatever the values are, pods are secure, files are mounted, and ports fit together.
func TestPods(t *testing.T) {
	if help := must(t, program, "serve", "--help"); !strings.Contains(help, `":8100"`) {
		t.Errorf("the program's default port isn't 8100, the port of the chart:\n%s", help)
	}
	for name, file := range sets(t) {
		release := render(t, "--values", file)
		accounts := all[*corev1.ServiceAccount](release)
		for which, pod := range pods(t, release) {
			problems := slices.Concat(unsafe(pod.Spec), unmounted(pod.Spec))
			for _, account := range accounts {
				if pod.Spec.ServiceAccountName != account.Name || account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
					problems = append(problems, "it isn't of the service account "+account.Name+", or the account mounts its token")
				}
			}
			for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/version"} {
				if pod.Labels[label] != "" {
					problems = append(problems, "a new version of the chart restarts it, because of the label "+label)
				}
			}
			if len(problems) > 0 {
				t.Errorf("%s, the pod to %s: %q", name, which, problems)
			}
		}
		c := container(t, release)
		ports := map[string]intstr.IntOrString{
			"liveness": target(c.LivenessProbe), "readiness": target(c.ReadinessProbe), "service": one[*corev1.Service](t, release).Spec.Ports[0].TargetPort,
		}
		for _, policy := range all[*networkingv1.NetworkPolicy](release) {
			ports["policy"] = *policy.Spec.Ingress[0].Ports[0].Port
		}
		for what, port := range ports {
			if p := c.Ports[0]; p.ContainerPort != 8100 || port != intstr.FromString(p.Name) && port != intstr.FromInt32(p.ContainerPort) {
				t.Errorf("%s: %s uses the port %s, want the container's port %+v with the number 8100", name, what, port.String(), p)
			}
		}
	}
}

// unsafe returns the privileges of a pod that it doesn't need.
func unsafe(pod corev1.PodSpec) (problems []string) {
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		problems = append(problems, "it mounts a token for the cluster")
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		problems = append(problems, "its environment contains other services")
	}
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || *s.RunAsUser != 65532 ||
		s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		problems = append(problems, "its security context is too open")
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil ||
			!*s.ReadOnlyRootFilesystem || !*s.RunAsNonRoot || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
			len(s.Capabilities.Add) > 0 {
			problems = append(problems, "the security context of "+c.Name+" is too open")
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
			problems = append(problems, c.Name+" has no request or limit of memory, or a limit of CPU")
		}
	}
	return problems
}

// unmounted returns the volumes and mounts that don't fit together, or that the pod can't read.
func unmounted(pod corev1.PodSpec) (problems []string) {
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		if volumes[v.Name] {
			problems = append(problems, "there are two volumes "+v.Name)
		}
		volumes[v.Name] = true
		// Only the group can read the files, and the pod is in the group.
		if v.Secret != nil && (*v.Secret.DefaultMode != 0o440 || pod.SecurityContext.FSGroup == nil || *pod.SecurityContext.FSGroup != *pod.SecurityContext.RunAsGroup) {
			problems = append(problems, "the files of "+v.Name+" are readable by others, or not by the pod")
		}
	}
	paths := map[string]bool{}
	for _, c := range pod.Containers {
		for _, m := range c.VolumeMounts {
			switch {
			case !volumes[m.Name]:
				problems = append(problems, "there is no volume "+m.Name)
			case paths[m.MountPath]:
				problems = append(problems, "there are two volumes at "+m.MountPath)
			case m.SubPath != "" || m.SubPathExpr != "":
				problems = append(problems, m.Name+" is mounted with subPath, so its files are never updated")
			case !m.ReadOnly:
				problems = append(problems, m.Name+" is writable")
			}
			paths[m.MountPath] = true
			delete(volumes, m.Name)
		}
	}
	for name := range volumes {
		problems = append(problems, name+" is not mounted")
	}
	return problems
}

func target(probe *corev1.Probe) intstr.IntOrString {
	if probe.HTTPGet != nil {
		return probe.HTTPGet.Port
	}
	return probe.TCPSocket.Port
}

// The names are those of Zero to JupyterHub's chart: its secret, the key of a service's token in hub.services, its service and
// port, and the label that its network policy admits.
func TestBesideZeroToJupyterHub(t *testing.T) {
	for _, test := range []struct{ set, secret, key, url string }{
		{"replicaCount=1", "hub", "hub.services.groups-exporter.apiToken", "http://hub:8081/"},
		{"hub.serviceName=who,hub.baseUrl=/jupyter/", "hub", "hub.services.who.apiToken", "http://hub:8081/jupyter/"},
		{"hub.baseUrl=/a/b,hub.url=http://x-hub:8081/", "hub", "hub.services.groups-exporter.apiToken", "http://x-hub:8081/a/b/"},
		{"hub.existingSecret.name=a,hub.existingSecret.key=b", "a", "b", "http://hub:8081/"},
	} {
		for which, pod := range pods(t, render(t, "--set", test.set)) {
			secret := pod.Spec.Volumes[0].Secret
			want := []corev1.KeyToPath{{Key: test.key, Path: "token"}} // and no other key: the secret contains all values of the hub
			if d := cmp.Diff(want, secret.Items); secret.SecretName != test.secret || d != "" {
				t.Errorf("%s, %s: secret %q, want %q; keys, -want +got:\n%s", test.set, which, secret.SecretName, test.secret, d)
			}
			if args := pod.Spec.Containers[0].Args; !slices.Contains(args, "--hub-url="+test.url) {
				t.Errorf("%s, %s: arguments %q, want the hub %s", test.set, which, args, test.url)
			}
			if pod.Labels["hub.jupyter.org/network-access-hub"] != "true" {
				t.Errorf("%s, %s: labels %v, want the one that the hub's network policy admits", test.set, which, pod.Labels)
			}
			if pod.Spec.Containers[0].Env[0].ValueFrom.FieldRef.FieldPath != "metadata.namespace" {
				t.Errorf("%s, %s: the first variable isn't the pod's namespace", test.set, which)
			}
		}
	}
	policy := one[*networkingv1.NetworkPolicy](t, render(t, "--values", sets(t)["network-policy"]))
	hub := map[string]string{"app": "jupyterhub", "component": "hub", "release": "jupyterhub"}
	if rule := policy.Spec.Egress[1]; !selects(t, rule.To[0].PodSelector, hub) || rule.Ports[0].Port.IntValue() != 8081 {
		t.Errorf("the network policy doesn't allow connections to the hub: %+v", rule)
	}
}

// A network policy allows scrapes, DNS and the hub, and Prometheus only if it is configured.
func TestPolicy(t *testing.T) {
	const peers = "networkPolicy.enabled=true,networkPolicy.ingressFrom[0].podSelector.matchLabels.app=prometheus"
	ports := func(set string) (open []string) {
		policy := one[*networkingv1.NetworkPolicy](t, render(t, "--set", set)).Spec
		if !slices.Equal(policy.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) || len(policy.Ingress) != 1 || len(policy.Ingress[0].From) != 1 {
			t.Errorf("got %+v, want a policy for both directions with one peer of scrapes", policy)
		}
		for _, rule := range policy.Egress {
			to := "peers"
			if len(rule.To) == 0 {
				to = "all"
			}
			for _, p := range rule.Ports {
				open = append(open, to+":"+p.Port.String())
			}
		}
		return open
	}
	for set, want := range map[string][]string{
		peers: {"all:53", "all:53", "peers:8081"},
		peers + ",prometheus.url=http://p,networkPolicy.prometheus.to[0].podSelector.matchLabels.app=prometheus": {"all:53", "all:53", "peers:8081", "peers:9090"},
	} {
		if d := cmp.Diff(want, ports(set)); d != "" {
			t.Errorf("%s, -want +got:\n%s", set, d)
		}
	}
}

// The pod that checks gets the extra arguments for the hub, and no flags that the check command doesn't have.
func TestExtraArgs(t *testing.T) {
	given := []string{"--hub-timeout=1m", "--hub_timeout=2m", "--hub_ca-file=/ca.crt", "--max_staleness=3h", "--update_metrics_interval=15"}
	got := map[string][]string{}
	for which, pod := range pods(t, render(t, "--set", "prometheus.url=http://p,extraArgs={"+strings.Join(given, ",")+"}")) {
		for _, arg := range pod.Spec.Containers[0].Args {
			if slices.Contains(given, arg) {
				got[which] = append(got[which], arg)
			}
		}
	}
	if d := cmp.Diff(map[string][]string{"serve": given, "check": given[:3]}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestImage(t *testing.T) {
	for set, want := range map[string]string{
		"image.tag=1.2":                                  "groups-exporter/groups-exporter:1.2",
		"image.repository=r:5/a/b":                       "r:5/a/b:0.1.0",
		"image.digest=sha256:" + strings.Repeat("0", 64): "groups-exporter/groups-exporter:0.1.0@sha256:" + strings.Repeat("0", 64),
	} {
		if got := container(t, render(t, "--set", set)).Image; got != want {
			t.Errorf("%s: got %s, want %s", set, got, want)
		}
	}
}

// Another action replaces the chart's, and a probe can be removed.
func TestOtherProbes(t *testing.T) {
	c := container(t, render(t, "--set", "readinessProbe.exec.command={/groups-exporter,healthcheck},livenessProbe=null"))
	if p := c.ReadinessProbe; p.HTTPGet != nil || p.Exec == nil || p.PeriodSeconds != 5 || c.LivenessProbe != nil {
		t.Errorf("got the probes %+v and %+v, want only the given command every 5 s", p, c.LivenessProbe)
	}
}

// A new pod is ready before the old one ends. Unready pods don't keep a node from being drained.
func TestRollout(t *testing.T) {
	release := render(t, "--values", sets(t)["replicas"])
	rolling := one[*appsv1.Deployment](t, release).Spec.Strategy.RollingUpdate
	budget := one[*policyv1.PodDisruptionBudget](t, release).Spec
	if rolling.MaxUnavailable.IntValue() != 0 || rolling.MaxSurge.IntValue() != 1 || *budget.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("got %+v and %+v", rolling, budget)
	}
}
