package history

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// attributePoints attributes the usage of some pods or directories of a namespace point by point, to the groups that
// their owners were in at each point.
func (r *reader) attributePoints(ctx context.Context, c *cohort, q measureQuery, namespace string, names []string, s *sums) error {
	label := "pod"
	if q.measure == report.Home {
		label = promql.Directory
	}
	past := c.past
	past.Queries = inNamespace(past.Queries, namespace)
	past.Hubs = append(past.Hubs, oneOf(label, names))
	series, err := r.points(ctx, q.expr(past), q.step, c.window)
	if err != nil {
		return err
	}
	// The sort is stable: if the query was split, the parts of a series stay in chronological order.
	slices.SortStableFunc(series, func(a, b *model.SampleStream) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	for _, one := range series {
		key := keyOf(q, one.Metric)
		o, ok := c.owner(r, key)
		if !ok {
			continue
		}
		ownerAt := func(int64) owner { return o }
		if len(o.others) > 0 {
			if ownerAt, err = r.ownersOf(ctx, c, key); err != nil {
				return err
			}
		}
		for _, value := range one.Values {
			when := int64(value.Timestamp) + q.step.Milliseconds()/2 // the middle between this point and the next
			r.addPoint(c, q, key, ownerAt(when), when, float64(value.Value), string(one.Metric["uid"]), s)
		}
	}
	return nil
}

// addPoint adds the value at one point.
func (r *reader) addPoint(c *cohort, q measureQuery, key object, o owner, when int64, value float64, uid string, s *sums) {
	kind := report.Unknown
	groups, ok := c.timelines[key.namespace].at(o.user, when)
	if ok {
		kind = report.Known
	}
	if q.measure == report.ServerHours && uid == "" {
		uid = r.sessionAt(key, when)
	}
	r.add(s, q, key, o, kind, groups, value, uid)
}

// ownersOf returns a function that returns the owner of the pods of one name at a time: the owner in the latest sample
// of the annotation or label.
func (r *reader) ownersOf(ctx context.Context, c *cohort, key object) (func(when int64) owner, error) {
	queries := inNamespace(c.past.Queries, key.namespace)
	queries.Hubs = append(queries.Hubs, promql.Is("pod", key.name))
	annotations, labels := queries.PodOwners()
	type sample struct {
		when int64
		text string
	}
	var samples []sample
	for _, selector := range []string{annotations, labels} {
		series, err := r.raw(ctx, selector, c.window)
		if err != nil {
			return nil, err
		}
		for _, one := range series {
			text := one.Metric[promql.UserAnnotation]
			if selector == labels {
				text = one.Metric[promql.UserLabel]
			}
			for _, value := range one.Values {
				samples = append(samples, sample{int64(value.Timestamp), string(text)})
			}
		}
		if len(samples) > 0 {
			break
		}
	}
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.when, b.when) })
	return func(when int64) owner {
		var found owner
		for i, sample := range samples {
			if i == 0 || sample.when <= when {
				found = owner{text: sample.text, user: c.users[key.namespace][sample.text]}
			}
		}
		return found
	}, nil
}

// session is a run of a server whose series don't have the label uid.
type session struct {
	id   string
	last int64 // when the server was last running
}

// sessionAt returns an ID for the session of a pod at a time. A new session begins if the server hasn't run for
// recentlyEnded. The calls for a pod have to be in chronological order.
func (r *reader) sessionAt(key object, when int64) string {
	pod := key.namespace + "/" + key.name
	found := r.sessions[pod]
	if found == nil || time.Duration(when-found.last)*time.Millisecond > recentlyEnded {
		found = &session{id: time.UnixMilli(when).UTC().Format(time.RFC3339)}
		r.sessions[pod] = found
	}
	found.last = when
	return found.id
}
