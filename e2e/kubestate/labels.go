package kubestate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A label of a series.
type label struct{ name, value string }

// labelsOf returns annotations or labels of an object as labels of a series, sorted by the names that they have in
// Kubernetes. Names that become the same are numbered: those of a.b and a-b are label_a_b_conflict1 and
// label_a_b_conflict2.
func labelsOf(prefix string, values map[string]string) []label {
	names := slices.Sorted(maps.Keys(values))
	sanitized, same := map[string]string{}, map[string]int{}
	for _, name := range names {
		sanitized[name] = prefix + "_" + snakeCase(sanitize(name))
		same[sanitized[name]]++
	}
	var labels []label
	last := map[string]int{}
	for _, name := range names {
		final := sanitized[name]
		for same[sanitized[name]] > 1 {
			last[sanitized[name]]++
			final = fmt.Sprintf("%s_conflict%d", sanitized[name], last[sanitized[name]])
			if same[final] == 0 { // otherwise, another name is sanitized to this one
				break
			}
		}
		labels = append(labels, label{final, values[name]})
	}
	return labels
}

// sanitize replaces characters that Prometheus didn't allow in names of labels before version 3.
func sanitize(name string) string {
	return regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(name, "_")
}

func snakeCase(name string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(name, "${1}_${2}"))
}
