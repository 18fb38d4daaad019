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
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objects are the objects of a release.
type objects []runtime.Object

// render renders the chart and decodes the result.
func render(t *testing.T, args ...string) objects {
	t.Helper()
	text, err := template(releaseName, args...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// decode decodes objects. It rejects unknown kinds, unknown or repeated fields, and metadata that Kubernetes would reject.
func decode(t *testing.T, text string) objects {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, monitoringv1.AddToScheme, addGoogle,
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

// A name that YAML would read as a number remains a string.
func TestNamesLikeNumbers(t *testing.T) {
	for _, test := range []struct{ release, set, name, fullname, account string }{
		{"123", "", "groups-exporter", "123-groups-exporter", "123-groups-exporter"},
		{"1e3", "", "groups-exporter", "1e3-groups-exporter", "1e3-groups-exporter"},
		{"1e3", "nameOverride=1e3", "1e3", "1e3", "1e3"},
		{"null", "nameOverride=0x1,fullnameOverride=2026,serviceAccount.name=1e3", "0x1", "2026", "1e3"},
	} {
		text, err := template(test.release, "--set-string", test.set,
			"--set", "podDisruptionBudget.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
			"--set", "networkPolicy.enabled=true,networkPolicy.ingressFrom[0].podSelector.matchLabels.app=prometheus",
			"--set-json", `topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}]`)
		if err != nil {
			t.Fatal(err)
		}
		release := decode(t, text)
		if len(release) != 9 {
			t.Errorf("%+v: got %d objects, want 9", test, len(release))
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
				t.Errorf("%+v: labels in the selector of the %s, -want +got:\n%s", test, what, d)
			}
		}
		got := []string{deployment.Name, deployment.Spec.Template.Spec.ServiceAccountName, one[*corev1.Pod](t, release).Name}
		if want := []string{test.fullname, test.account, test.fullname + "-check"}; !slices.Equal(got, want) {
			t.Errorf("%+v: got the names %q, want %q", test, got, want)
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

// all returns the objects of one kind.
func all[T runtime.Object](from objects) []T {
	var found []T
	for _, object := range from {
		if is, ok := object.(T); ok {
			found = append(found, is)
		}
	}
	return found
}

// one returns the only object of a kind.
func one[T runtime.Object](t *testing.T, from objects) T {
	t.Helper()
	found := all[T](from)
	if len(found) != 1 {
		t.Fatalf("got %d objects of the type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// selects reports whether a selector matches labels. An empty selector matches nothing here.
func selects(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(labels.Set(of))
}

func diff(want, got string) string {
	return cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n"))
}
