package chart_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objects are what a release consists of.
type objects []runtime.Object

// render is what the chart becomes with values, read as strictly as Kubernetes can.
func render(t *testing.T, args ...string) objects {
	t.Helper()
	text, err := template(args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// decode refuses kinds and fields that don't exist, fields that are there twice, and metadata that Kubernetes refuses.
func decode(t *testing.T, text string) objects {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, monitoringv1.AddToScheme, addGoogle,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var all objects
	documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		checkMetadata(t, object)
		all = append(all, object)
	}
}

// TestNamesLikeNumbers tells that a name that YAML would read as a number stays a name.
func TestNamesLikeNumbers(t *testing.T) {
	on := []string{
		"--set", "podDisruptionBudget.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
		"--set", "networkPolicy.enabled=true,networkPolicy.ingressFrom[0].podSelector.matchLabels.app=prometheus",
		"--set-json", `topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}]`,
	}
	for _, test := range []struct{ release, set, name, fullname, account string }{
		{"123", "", "groups-exporter", "123-groups-exporter", "123-groups-exporter"},
		{"1e3", "", "groups-exporter", "1e3-groups-exporter", "1e3-groups-exporter"},
		{"1e3", "nameOverride=1e3", "1e3", "1e3", "1e3"},
		{"null", "nameOverride=0x1,fullnameOverride=2026,serviceAccount.name=1e3", "0x1", "2026", "1e3"},
	} {
		text, err := output(*helm, slices.Concat([]string{
			"template", test.release, chart, "--namespace", namespace, "--kube-version", kubernetes, "--set-string", test.set,
		}, on)...)
		if err != nil {
			t.Fatal(err)
		}
		release := decode(t, text)
		if len(release) != 9 {
			t.Errorf("%+v: %d objects", test, len(release))
		}
		serving := map[string]string{
			"app.kubernetes.io/name": test.name, "app.kubernetes.io/instance": test.release, "app.kubernetes.io/component": "exporter",
		}
		deployment := one[*appsv1.Deployment](t, release)
		for what, got := range map[string]map[string]string{
			"deployment": deployment.Spec.Selector.MatchLabels,
			"spread":     deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
			"service":    one[*corev1.Service](t, release).Spec.Selector,
			"budget":     one[*policyv1.PodDisruptionBudget](t, release).Spec.Selector.MatchLabels,
			"monitor":    one[*monitoringv1.ServiceMonitor](t, release).Spec.Selector.MatchLabels,
		} {
			if d := cmp.Diff(serving, got); d != "" {
				t.Errorf("%+v, %s, -want +got:\n%s", test, what, d)
			}
		}
		if name, account := deployment.Name, deployment.Spec.Template.Spec.ServiceAccountName; name != test.fullname || account != test.account {
			t.Errorf("%+v: named %s, with the account %s", test, name, account)
		}
		if name := one[*corev1.Pod](t, release).Name; name != test.fullname+"-check" {
			t.Errorf("%+v: the pod that checks is %s", test, name)
		}
	}
}

func checkMetadata(t *testing.T, object runtime.Object) {
	t.Helper()
	m, err := meta.Accessor(object)
	if err != nil {
		t.Fatal(err)
	}
	at := field.NewPath("metadata")
	problems := metavalidation.ValidateLabels(m.GetLabels(), at.Child("labels"))
	problems = append(problems, validation.ValidateAnnotations(m.GetAnnotations(), at.Child("annotations"))...)
	for _, problem := range validation.NameIsDNSSubdomain(m.GetName(), false) {
		problems = append(problems, field.Invalid(at.Child("name"), m.GetName(), problem))
	}
	if len(problems) > 0 {
		t.Errorf("%T: %v", object, problems)
	}
}

// all are the objects of one kind.
func all[T runtime.Object](from objects) []T {
	var found []T
	for _, object := range from {
		if is, ok := object.(T); ok {
			found = append(found, is)
		}
	}
	return found
}

// one is the only object of its kind.
func one[T runtime.Object](t *testing.T, from objects) T {
	t.Helper()
	found := all[T](from)
	if len(found) != 1 {
		t.Fatalf("%d of %T", len(found), *new(T))
	}
	return found[0]
}

// selects tells whether a selector is for something with these labels.
func selects(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(labelSet(of))
}

func diff(want, got string) string {
	return cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n"))
}
