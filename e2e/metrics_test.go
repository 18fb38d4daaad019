//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A sample of a gauge or a counter.
type sample struct {
	labels map[string]string
	value  float64
}

// parse parses an exposition and returns the samples of each family.
func parse(exposition string) (map[string][]sample, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(exposition))
	if err != nil {
		return nil, err
	}
	samples := map[string][]sample{}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			s := sample{labels: map[string]string{}, value: metric.GetGauge().GetValue() + metric.GetCounter().GetValue()}
			for _, label := range metric.GetLabel() {
				s.labels[label.GetName()] = label.GetValue()
			}
			samples[name] = append(samples[name], s)
		}
	}
	return samples, nil
}

func mustParse(t *testing.T, exposition string) map[string][]sample {
	t.Helper()
	families, err := parse(exposition)
	noError(t, err)
	return families
}

// memberships returns the groups of each user in an exposition.
func memberships(exposition string) (map[string][]string, error) {
	families, err := parse(exposition)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	labels := []string{"namespace", "usergroup", "username", "username_escaped", "username_safe"}
	for _, s := range families["jupyterhub_user_group_info"] {
		if has := slices.Sorted(maps.Keys(s.labels)); !slices.Equal(has, labels) || s.value != 1 {
			return nil, fmt.Errorf("not the labels or the value of a membership: %v", s)
		}
		user := s.labels["username"]
		found[user] = append(found[user], s.labels["usergroup"])
	}
	for _, groups := range found {
		slices.Sort(groups)
	}
	return found, nil
}

// by returns the values of a family by the one label in which its samples differ.
func by(label string, samples []sample) map[string]float64 {
	found := map[string]float64{}
	for _, s := range samples {
		found[s.labels[label]] = s.value
	}
	return found
}

// same returns nil if two values are equal, and otherwise an error with the difference.
func same[T any](want, got T) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-want +got)\n%s", diff)
	}
	return nil
}

// contains returns a check that a text contains a part.
func contains(part string) func(string) error {
	return func(text string) error {
		if !strings.Contains(text, part) {
			return fmt.Errorf("no %s in\n%.3000s", part, text)
		}
		return nil
	}
}

// containsAll checks that a text contains all parts.
func containsAll(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		report(t, what, contains(part)(text))
	}
}

// sameMemberships compares the memberships in an exposition with the expected ones.
func sameMemberships(want map[string][]string, exposition string) error {
	got, err := memberships(exposition)
	if err != nil {
		return err
	}
	return same(want, got)
}
