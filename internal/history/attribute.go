package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// attribute adds the result of a query to the users and groups to which the usage belongs. If a user's groups changed
// in the window, or pods of several users had the same name, it reads the values point by point.
func (r *reader) attribute(ctx context.Context, c *cohort, q measureQuery, result []*model.Sample, s *sums) error {
	unclear := map[string][]string{} // names of pods or directories, by namespace
	for _, one := range result {
		key := keyOf(q, one.Metric)
		o, ok := c.owner(r, key)
		if !ok {
			continue
		}
		if q.measure == report.ServerHours && r.IsServer(key.name) {
			c.served[key.namespace] += float64(one.Value)
			if len(c.owners[pod{key.namespace, key.name}]) == 0 {
				c.lost[key.namespace] += float64(one.Value)
			}
		}
		groups, kind, same := c.throughout(key.namespace, o)
		if !same || q.measure == report.ServerHours && one.Metric["uid"] == "" {
			unclear[key.namespace] = append(unclear[key.namespace], key.name)
			continue
		}
		r.add(s, q, key, o, kind, groups, float64(one.Value), string(one.Metric["uid"]))
	}
	for _, namespace := range slices.Sorted(maps.Keys(unclear)) {
		slices.Sort(unclear[namespace])
		for names := range slices.Chunk(slices.Compact(unclear[namespace]), maxNames) {
			if err := r.attributePoints(ctx, c, q, namespace, names, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxNames limits the pods or directories that one query reads point by point.
const maxNames = 50

// owner is the owner of a pod or a directory.
type owner struct {
	text string // the annotation or label of the pod, or the name of the directory
	user string // the hub's user, or empty if there is none
	// others are further owners of pods with the same name.
	others []string
}

// object is a pod or a directory.
type object struct {
	namespace, name string
	directory       bool
}

func keyOf(q measureQuery, labels model.Metric) object {
	namespace := string(labels[metrics.LabelNamespace])
	if q.measure == report.Home {
		return object{namespace, string(labels[promql.Directory]), true}
	}
	return object{namespace, string(labels["pod"]), false}
}

// owner returns the owner of a pod or a directory. It returns false for a pod that doesn't count: one without an owner
// that isn't named like a server.
func (c *cohort) owner(r *reader, o object) (owner, bool) {
	if o.directory {
		return owner{text: o.name, user: c.homeOwners[o.namespace][o.name]}, true
	}
	names := c.owners[pod{o.namespace, o.name}]
	if len(names) == 0 {
		return owner{text: o.name}, r.IsServer(o.name)
	}
	return owner{text: names[0], user: c.users[o.namespace][names[0]], others: names[1:]}, true
}

// throughout returns the groups of an owner, and whether they stayed the same in the whole window.
func (c *cohort) throughout(namespace string, o owner) (groups []string, kind report.Kind, same bool) {
	if len(o.others) > 0 {
		return nil, 0, false
	}
	if o.user == "" {
		return nil, report.Unknown, true
	}
	groups, same = c.timelines[namespace].throughout(o.user)
	return groups, report.Known, same
}

// add adds a value to the sum of an owner.
func (r *reader) add(s *sums, q measureQuery, key object, o owner, kind report.Kind, groups []string, value float64, uid string) {
	if q.measure == report.ServerHours && !r.IsServer(key.name) || value == 0 {
		return
	}
	user := cmp.Or(o.user, o.text)
	if r.IsExcluded(user) {
		return
	}
	if kind == report.Unknown && key.directory {
		kind, user = report.Unowned, o.text
	}
	sum := s.of(key.namespace, user, kind, groups)
	sum.use.Amounts[q.measure] += value * q.unit
	if q.measure == report.ServerHours {
		sum.sessions[strings.Join([]string{key.namespace, key.name, uid}, "/")] = true
	}
}

// unowned returns the window if more than 1 % of the server time in a namespace has no owner, because that means that
// annotations are missing.
func (c *cohort) unowned(namespace string) []window {
	if c.lost[namespace] > c.served[namespace]/100 {
		return []window{c.window}
	}
	return nil
}
