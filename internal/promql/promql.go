// Package promql writes the queries for usage by user and by group, and the names under which rules record their
// results. The rules, the dashboard and the exporter share the same text. The package only writes queries; it never
// runs one.
package promql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// Queries writes PromQL. The zero value queries all hubs, all groups and all pods of one cluster.
type Queries struct {
	// Prefix is the prefix of the membership metrics, as metrics.Name takes it.
	Prefix string
	// Hubs are label matchers, such as those returned by Is, that are added to every selector.
	Hubs []string
	// Groups are label matchers that are added to selectors of memberships.
	Groups []string
	// Pods is an RE2 expression. If it is set, only pods whose whole name matches count.
	Pods string
	// Clusters are the labels that identify a cluster in a store that holds several. They are added to every "by" and
	// "on", so every result has them.
	Clusters []string
	// MultipleName is the name of the pseudo-group for users in several groups, membership.DefaultMultipleName if
	// empty.
	MultipleName string
}

// Is returns the matcher for one value of a label.
func Is(label, value string) string {
	if !model.LegacyValidation.IsValidLabelName(label) { // Prometheus 3 has labels such as service.name
		label = strconv.Quote(label)
	}
	return label + "=" + strconv.Quote(value)
}

// Select returns the selector of a metric's series that match every matcher. Empty matchers are left out.
func Select(metric string, matchers ...string) string {
	given := slices.DeleteFunc(slices.Clone(matchers), func(m string) bool { return m == "" })
	if len(given) == 0 {
		return metric
	}
	return metric + "{" + strings.Join(given, ",") + "}"
}

// OfHubs returns the selector of a metric's series in the queried hubs.
func (q Queries) OfHubs(metric string, matchers ...string) string {
	return Select(metric, slices.Concat(q.Hubs, matchers)...)
}

// pods returns the selector of a metric's series of the queried pods.
func (q Queries) pods(metric string, matchers ...string) string {
	if q.Pods != "" {
		matchers = append([]string{"pod=~" + strconv.Quote(q.Pods)}, matchers...)
	}
	return q.OfHubs(metric, matchers...)
}

// memberships returns the selector of the series of a membership metric.
func (q Queries) memberships(family string, matchers ...string) string {
	return q.OfHubs(metrics.Name(q.Prefix, family), slices.Concat(q.Groups, matchers)...)
}

// Labels returns the labels that identify something in a hub, for "by" and "on": the namespace, the labels of the
// cluster, and those given.
func (q Queries) Labels(labels ...string) string {
	return strings.Join(slices.Concat([]string{metrics.LabelNamespace}, q.Clusters, labels), ", ")
}

// best returns a single series of value 1 for each combination of the labels by. It is made from the series with the
// largest value in the vectors, and also has that series' value of the given label, which the vectors may disagree
// about. With two series, a join would fail or count twice.
func (q Queries) best(by []string, label string, vectors ...string) string {
	return call("group by ("+q.Labels(append(by, label)...)+")",
		call("topk by ("+q.Labels(by...)+")", "1,", strings.Join(vectors, "\nor\n")))
}

// copyLabel returns a vector with the value of one label copied to another.
func copyLabel(vector, from, to string) string {
	return fmt.Sprintf(`label_join(%s, "%s", "", "%s")`, vector, to, from)
}

// call returns a call of a function or an aggregation, with its argument indented on separate lines.
func call(function string, lines ...string) string {
	return function + " (\n  " + indent(strings.Join(lines, "\n")) + "\n)"
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }
