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

// container is the one that serves.
func container(t *testing.T, release objects) corev1.Container {
	t.Helper()
	containers := one[*appsv1.Deployment](t, release).Spec.Template.Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("%d containers", len(containers))
	}
	return containers[0]
}

// pods are the one that serves and the one that checks.
func pods(t *testing.T, release objects) map[string]corev1.PodTemplateSpec {
	t.Helper()
	checking := one[*corev1.Pod](t, release)
	return map[string]corev1.PodTemplateSpec{
		"serve": one[*appsv1.Deployment](t, release).Spec.Template,
		"check": {ObjectMeta: checking.ObjectMeta, Spec: checking.Spec},
	}
}

// TestSelectors tells that what is for the pods that serve finds them and not the one that checks, and that network
// policies find both.
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
			if name != "everything" { // which has a selector of its own
				only["spread"] = c.LabelSelector
			}
		}
		for what, selector := range only {
			if !selects(t, selector, p["serve"].Labels) || selects(t, selector, p["check"].Labels) {
				t.Errorf("%s: the %s's selector %v with the pods' labels %v and %v", name, what, selector, p["serve"].Labels, p["check"].Labels)
			}
		}
		for _, policy := range all[*networkingv1.NetworkPolicy](release) {
			if !selects(t, &policy.Spec.PodSelector, p["serve"].Labels) || !selects(t, &policy.Spec.PodSelector, p["check"].Labels) {
				t.Errorf("%s: the policy is not for all pods: %v", name, policy.Spec.PodSelector)
			}
		}
	}
}

// TestSpreadOfOnesOwn tells that a selector that is given is taken as it is.
func TestSpreadOfOnesOwn(t *testing.T) {
	release := render(t, "--values", sets(t)["everything"])
	got := pods(t, release)["serve"].Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels
	if d := cmp.Diff(map[string]string{"team": "jupyter"}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestPods tells what has to be true of each pod, whatever the values.
func TestPods(t *testing.T) {
	for name, file := range sets(t) {
		release := render(t, "--values", file)
		for _, account := range all[*corev1.ServiceAccount](release) {
			if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
				t.Errorf("%s: the account gives its token to pods", name)
			}
		}
		for which, pod := range pods(t, release) {
			for _, problem := range slices.Concat(unsafe(pod.Spec), unmounted(pod.Spec)) {
				t.Errorf("%s, %s: %s", name, which, problem)
			}
			if account := all[*corev1.ServiceAccount](release); len(account) == 1 && pod.Spec.ServiceAccountName != account[0].Name {
				t.Errorf("%s, %s: its account is %q", name, which, pod.Spec.ServiceAccountName)
			}
		}
		c := container(t, release)
		service := one[*corev1.Service](t, release)
		for what, port := range map[string]intstr.IntOrString{
			"liveness": target(c.LivenessProbe), "readiness": target(c.ReadinessProbe), "service": service.Spec.Ports[0].TargetPort,
		} {
			if !has(c, port) {
				t.Errorf("%s: the container has no port %q, which %s asks", name, port.String(), what)
			}
		}
		for _, policy := range all[*networkingv1.NetworkPolicy](release) {
			if !has(c, *policy.Spec.Ingress[0].Ports[0].Port) {
				t.Errorf("%s: the policy opens another port", name)
			}
		}
		if help := must(t, program, "serve", "--help"); !strings.Contains(help, `":8100"`) || c.Ports[0].ContainerPort != 8100 {
			t.Errorf("%s: the program listens at another port than %d", name, c.Ports[0].ContainerPort)
		}
	}
}

// unsafe says where a pod may more than it needs.
func unsafe(pod corev1.PodSpec) (problems []string) {
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		problems = append(problems, "it has a token for the cluster")
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		problems = append(problems, "other services are in its environment")
	}
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || *s.RunAsUser != 65532 ||
		s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		problems = append(problems, "its security context is open")
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil ||
			!*s.ReadOnlyRootFilesystem || !*s.RunAsNonRoot || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
			len(s.Capabilities.Add) > 0 {
			problems = append(problems, c.Name+"'s security context is open")
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
			problems = append(problems, c.Name+" has no bounds of memory, or one of CPU")
		}
	}
	return problems
}

// unmounted says where volumes and mounts don't fit, or can't be read.
func unmounted(pod corev1.PodSpec) (problems []string) {
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		if volumes[v.Name] {
			problems = append(problems, "two volumes "+v.Name)
		}
		volumes[v.Name] = true
		// The group may read it, nobody else, and the pod is in the group.
		if v.Secret != nil && (*v.Secret.DefaultMode != 0o440 || pod.SecurityContext.FSGroup == nil || *pod.SecurityContext.FSGroup != *pod.SecurityContext.RunAsGroup) {
			problems = append(problems, "the files of "+v.Name+" can be read by others, or not at all")
		}
	}
	paths := map[string]bool{}
	for _, c := range pod.Containers {
		for _, m := range c.VolumeMounts {
			switch {
			case !volumes[m.Name]:
				problems = append(problems, "no volume "+m.Name)
			case paths[m.MountPath]:
				problems = append(problems, "two volumes at "+m.MountPath)
			case m.SubPath != "" || m.SubPathExpr != "":
				problems = append(problems, m.Name+" is mounted by subPath: it never changes")
			case !m.ReadOnly:
				problems = append(problems, m.Name+" can be written")
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

func has(c corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return port == intstr.FromString(p.Name) || port == intstr.FromInt32(p.ContainerPort)
	})
}

// TestBesideZeroToJupyterHub holds the names to those of z2jh's chart: its secret, the key of a service's token in
// hub.services, its service and port, and the label that its network policy lets in.
func TestBesideZeroToJupyterHub(t *testing.T) {
	for _, test := range []struct{ set, secret, key, url string }{
		{"replicaCount=1", "hub", "hub.services.groups-exporter.apiToken", "http://hub:8081/"},
		{"hub.serviceName=who,hub.baseUrl=/jupyter/", "hub", "hub.services.who.apiToken", "http://hub:8081/jupyter/"},
		{"hub.baseUrl=/a/b,hub.url=http://x-hub:8081/", "hub", "hub.services.groups-exporter.apiToken", "http://x-hub:8081/a/b/"},
		{"hub.existingSecret.name=a,hub.existingSecret.key=b", "a", "b", "http://hub:8081/"},
	} {
		for which, pod := range pods(t, render(t, "--set", test.set)) {
			secret := pod.Spec.Volumes[0].Secret
			want := []corev1.KeyToPath{{Key: test.key, Path: "token"}} // and no other: z2jh's has all of its values
			if d := cmp.Diff(want, secret.Items); secret.SecretName != test.secret || d != "" {
				t.Errorf("%s, %s: secret %q, -want +got:\n%s", test.set, which, secret.SecretName, d)
			}
			if args := pod.Spec.Containers[0].Args; !slices.Contains(args, "--hub-url="+test.url) {
				t.Errorf("%s, %s: another hub: %q", test.set, which, args)
			}
			if pod.Labels["hub.jupyter.org/network-access-hub"] != "true" {
				t.Errorf("%s, %s: the hub's network policy keeps it out", test.set, which)
			}
			if pod.Spec.Containers[0].Env[0].ValueFrom.FieldRef.FieldPath != "metadata.namespace" {
				t.Errorf("%s, %s: it doesn't know its namespace", test.set, which)
			}
		}
	}
	policy := one[*networkingv1.NetworkPolicy](t, render(t, "--values", sets(t)["network-policy"]))
	hub := map[string]string{"app": "jupyterhub", "component": "hub", "release": "jupyterhub"}
	if rule := policy.Spec.Egress[1]; !selects(t, rule.To[0].PodSelector, hub) || rule.Ports[0].Port.IntValue() != 8081 {
		t.Errorf("the policy keeps it from the hub: %+v", rule)
	}
}

// TestPolicy tells what a policy opens, and that there is one way only with a Prometheus to ask.
func TestPolicy(t *testing.T) {
	const peers = "networkPolicy.enabled=true,networkPolicy.ingressFrom[0].podSelector.matchLabels.app=prometheus"
	ports := func(set string) (open []string) {
		policy := one[*networkingv1.NetworkPolicy](t, render(t, "--set", set)).Spec
		if !slices.Equal(policy.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) || len(policy.Ingress) != 1 || len(policy.Ingress[0].From) != 1 {
			t.Errorf("it doesn't close both ways, or opens more: %+v", policy)
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

// TestExtraArgs tells that the pod that checks asks the hub as the other does, and is given no flag that it doesn't know.
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
			t.Errorf("%s: %s", set, got)
		}
	}
}

// TestProbeOfOnesOwn tells that another action takes the place of the chart's, and that a probe can be left out.
func TestProbeOfOnesOwn(t *testing.T) {
	c := container(t, render(t, "--set", "readinessProbe.exec.command={/groups-exporter,healthcheck},livenessProbe=null"))
	if p := c.ReadinessProbe; p.HTTPGet != nil || p.Exec == nil || p.PeriodSeconds != 5 {
		t.Errorf("%+v", p)
	}
	if c.LivenessProbe != nil {
		t.Errorf("%+v", c.LivenessProbe)
	}
}

// TestRollout tells that a new pod is ready before the old one goes, and that a budget lets nodes go while no pod is ready.
func TestRollout(t *testing.T) {
	release := render(t, "--values", sets(t)["replicas"])
	deployment := one[*appsv1.Deployment](t, release).Spec
	if rolling := deployment.Strategy.RollingUpdate; *deployment.Replicas != 2 || rolling.MaxUnavailable.IntValue() != 0 || rolling.MaxSurge.IntValue() != 1 {
		t.Errorf("%+v", deployment)
	}
	budget := one[*policyv1.PodDisruptionBudget](t, release).Spec
	if budget.MaxUnavailable.IntValue() != 1 || *budget.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
		t.Errorf("%+v", budget)
	}
}

// TestDependsOnNoChartVersion tells that a new version of the chart alone restarts nothing.
func TestDependsOnNoChartVersion(t *testing.T) {
	for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/version"} {
		if _, there := pods(t, render(t))["serve"].Labels[label]; there {
			t.Errorf("the pods have the label %s", label)
		}
	}
}
