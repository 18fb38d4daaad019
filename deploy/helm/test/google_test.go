package chart_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kinds "k8s.io/apimachinery/pkg/runtime/schema"
)

// podMonitoring is a PodMonitoring or a ClusterPodMonitoring of Google's, with the fields that the chart and the pages set.
// Google's own types depend on a fork of Prometheus.
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

// DeepCopyObject is required of objects, but decoding doesn't use it.
func (*podMonitoring) DeepCopyObject() runtime.Object { panic("not copied") }

func addGoogle(scheme *runtime.Scheme) error {
	version := kinds.GroupVersion{Group: "monitoring.googleapis.com", Version: "v1"}
	scheme.AddKnownTypeWithName(version.WithKind("PodMonitoring"), &podMonitoring{})
	scheme.AddKnownTypeWithName(version.WithKind("ClusterPodMonitoring"), &podMonitoring{})
	return nil
}

func TestPodMonitoringWithPassword(t *testing.T) {
	m := one[*podMonitoring](t, render(t, "--set", "podMonitoring.enabled=true,hub.namespace="+namespace,
		"--set", "podMonitoring.basicAuth.username=ada,podMonitoring.basicAuth.password.secret.name=a,podMonitoring.basicAuth.password.secret.key=b"))
	e := m.Spec.Endpoints[0]
	if m.Spec.Limits != nil || e.Authorization != nil || e.TLS != nil || e.Timeout != "" || e.Interval != "1m" || e.Scheme != "http" {
		t.Errorf("got %+v, want no limits, tokens and TLS, and the default interval", m.Spec)
	}
	if password := e.BasicAuth.Password.Secret; e.BasicAuth.Username != "ada" || password.Name != "a" || password.Key != "b" {
		t.Errorf("got %+v, want ada with the key b of the secret a", e.BasicAuth)
	}
}

// checkClusterPodMonitoring checks that Google's collectors find the pods, and that they set no label that the exporter's
// series have: by default they set the namespace, and otherwise the labels in targetLabels.metadata.
func checkClusterPodMonitoring(t *testing.T, text string) {
	t.Helper()
	m := one[*podMonitoring](t, decode(t, text))
	for _, set := range []string{"replicaCount=1", "fullnameOverride=who,hub.namespace=prod"} {
		pod := one[*appsv1.Deployment](t, render(t, "--set", set)).Spec.Template
		if !selects(t, &m.Spec.Selector, pod.Labels) || m.Spec.Endpoints[0].Port != pod.Spec.Containers[0].Ports[0].Name {
			t.Errorf("%s: it doesn't find the pods: %+v", set, m.Spec)
		}
	}
	if m.Kind != "ClusterPodMonitoring" || m.Spec.TargetLabels == nil || m.Spec.TargetLabels.Metadata == nil || len(m.Spec.TargetLabels.Metadata) > 0 {
		t.Errorf("it replaces the label namespace: %+v", m)
	}
}
