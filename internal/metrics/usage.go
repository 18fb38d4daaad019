package metrics

import (
	"iter"
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// Usage is what a hub's users used of a resource, by user and group.
type Usage struct {
	Namespace string
	// Rows come by user, as those of a Snapshot do.
	Rows iter.Seq[UsageRow]
}

// UsageRow is what counts as one user's usage in one group, in the unit of the
// resource's family.
type UsageRow struct {
	User, Group string
	Value       float64
}

// UsageFamily yields the family of a resource, in parts as Families does. Without
// users' names it is summed by group.
func UsageFamily(o Options, resource Resource, hubs ...Usage) iter.Seq[*dto.MetricFamily] {
	name, help := resource.family()
	labels := []string{LabelNamespace, LabelUsergroup, LabelUsername, LabelEscaped, LabelSafe}
	fill := usageByUser
	if o.OmitUsernames {
		labels, fill = labels[:2], usageByGroup
	}
	return func(yield func(*dto.MetricFamily) bool) {
		p := newPart(o, name, help, labels, yield)
		for _, hub := range hubs {
			if !fill(hub, p) {
				return
			}
		}
		p.flush()
	}
}

func usageByUser(hub Usage, p *part) bool {
	var forms nameForms
	for row := range hub.Rows {
		user := forms.of(row.User)
		if !p.add(row.Value, hub.Namespace, row.Group, row.User, user.escaped, user.safe) {
			return false
		}
	}
	return true
}

func usageByGroup(hub Usage, p *part) bool {
	sums := map[string]float64{}
	for row := range hub.Rows {
		sums[row.Group] += row.Value
	}
	for _, group := range slices.Sorted(maps.Keys(sums)) {
		if !math.IsInf(sums[group], 0) && !p.add(sums[group], hub.Namespace, group) {
			return false
		}
	}
	return true
}
