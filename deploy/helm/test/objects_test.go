package chart_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, monitoringv1.AddToScheme,
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
