package chart_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kinds "k8s.io/apimachinery/pkg/runtime/schema"
)

// podMonitoring is Google's kind of that name, or ClusterPodMonitoring, with those fields that the chart and the pages set.
// Google's own types need Google's Prometheus in place of the one that everybody has.
type podMonitoring struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port             string `json:"port"`
			Path             string `json:"path"`
			Scheme           string `json:"scheme"`
			Interval         string `json:"interval"`
			Timeout          string `json:"timeout"`
			MetricRelabeling []struct {
				Action       string   `json:"action"`
				SourceLabels []string `json:"sourceLabels"`
				Regex        string   `json:"regex"`
			} `json:"metricRelabeling"`
			Authorization *struct {
				Type        string       `json:"type"`
				Credentials googleSecret `json:"credentials"`
			} `json:"authorization"`
			BasicAuth *struct {
				Username string       `json:"username"`
				Password googleSecret `json:"password"`
			} `json:"basicAuth"`
			TLS *struct {
				ServerName string       `json:"serverName"`
				CA         googleSecret `json:"ca"`
			} `json:"tls"`
		} `json:"endpoints"`
		TargetLabels *struct {
			Metadata []string `json:"metadata"`
		} `json:"targetLabels"`
		Limits *struct {
			Samples          uint64 `json:"samples"`
			LabelValueLength uint64 `json:"labelValueLength"`
		} `json:"limits"`
	} `json:"spec"`
}

type googleSecret struct {
	Secret struct {
		Name string `json:"name"`
		Key  string `json:"key"`
	} `json:"secret"`
}

// DeepCopyObject makes it an object of Kubernetes. Nobody here copies one.
func (*podMonitoring) DeepCopyObject() runtime.Object { panic("not copied") }

func addGoogle(scheme *runtime.Scheme) error {
	version := kinds.GroupVersion{Group: "monitoring.googleapis.com", Version: "v1"}
	scheme.AddKnownTypeWithName(version.WithKind("PodMonitoring"), &podMonitoring{})
	scheme.AddKnownTypeWithName(version.WithKind("ClusterPodMonitoring"), &podMonitoring{})
	return nil
}

// TestPodMonitoring tells that Google's collectors find the pods, where the chart's values go, and that the hub's label
// namespace, which the collectors rename, is dropped and stays what it is.
func TestPodMonitoring(t *testing.T) {
	release := render(t, "--values", sets(t)["managed"])
	m := one[*podMonitoring](t, release)
	pod := one[*appsv1.Deployment](t, release).Spec.Template
	e := m.Spec.Endpoints[0]
	if !selects(t, &m.Spec.Selector, pod.Labels) || e.Port != pod.Spec.Containers[0].Ports[0].Name || m.Labels["team"] != "jupyter" {
		t.Errorf("it finds nothing: %+v", m)
	}
	if e.Scheme != "https" || e.Path != "/metrics" || e.Interval != "2m" || e.Timeout != "30s" {
		t.Errorf("it scrapes otherwise: %+v", e)
	}
	if token := e.Authorization.Credentials.Secret; token.Name != "prometheus" || token.Key != "token" || e.BasicAuth != nil {
		t.Errorf("it has other credentials: %+v", e)
	}
	if ca := e.TLS.CA.Secret; ca.Name != "groups-exporter-web" || ca.Key != "ca.crt" || e.TLS.ServerName != "groups-exporter.jhub.svc" {
		t.Errorf("it trusts others: %+v", e.TLS)
	}
	if m.Spec.Limits.Samples != 1100000 || m.Spec.Limits.LabelValueLength != 1023 {
		t.Errorf("its limits are %+v", m.Spec.Limits)
	}
	if rules := e.MetricRelabeling; len(rules) != 2 || rules[0].Action != "labeldrop" || rules[0].Regex != "exported_namespace" || rules[1].Regex != "go_.*" {
		t.Errorf("it relabels otherwise: %+v", rules)
	}
	if flags := container(t, release).Args; slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "--namespace") }) {
		t.Errorf("the hub's namespace is another than the pod's: %q", flags)
	}

	release = render(t, "--set", "podMonitoring.enabled=true,hub.namespace="+namespace,
		"--set", "podMonitoring.basicAuth.username=ada,podMonitoring.basicAuth.password.secret.name=a,podMonitoring.basicAuth.password.secret.key=b")
	m = one[*podMonitoring](t, release)
	e = m.Spec.Endpoints[0]
	if m.Spec.Limits != nil || e.Authorization != nil || e.TLS != nil || e.Timeout != "" || e.Interval != "1m" || e.Scheme != "http" {
		t.Errorf("without values there is something: %+v", m.Spec)
	}
	if e.BasicAuth.Username != "ada" || e.BasicAuth.Password.Secret.Name != "a" || e.BasicAuth.Password.Secret.Key != "b" {
		t.Errorf("it has another password: %+v", e.BasicAuth)
	}
}

// checkClusterPodMonitoring tells that Google's collectors find the pods, and that they set no label that the exporter's
// series have: those that are given in targetLabels.metadata, and the namespace unless the list is empty.
func checkClusterPodMonitoring(t *testing.T, text string) {
	t.Helper()
	m := one[*podMonitoring](t, decode(t, text))
	for _, set := range []string{"replicaCount=1", "fullnameOverride=who,hub.namespace=prod"} {
		pod := one[*appsv1.Deployment](t, render(t, "--set", set)).Spec.Template
		if !selects(t, &m.Spec.Selector, pod.Labels) || m.Spec.Endpoints[0].Port != pod.Spec.Containers[0].Ports[0].Name {
			t.Errorf("%s: it finds nothing: %+v", set, m.Spec)
		}
	}
	if m.Kind != "ClusterPodMonitoring" || m.Spec.TargetLabels == nil || m.Spec.TargetLabels.Metadata == nil || len(m.Spec.TargetLabels.Metadata) > 0 {
		t.Errorf("it takes the hub's namespace away: %+v", m)
	}
}
