package promql

import (
	"cmp"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// ByGroup sums by group what each user uses: an expression with the labels namespace
// and username. The user is on the "one" side of the join and the user's groups are on
// the "many" side, so that a user in several groups counts in each. With share, the
// user counts in each by the user's share, and the sum over the groups is the sum over
// the users.
func (q Queries) ByGroup(usage string, share bool) string {
	groups := q.inFull()
	if share {
		groups = q.byShare()
	}
	return call("sum by ("+q.Labels(metrics.LabelUsergroup)+")",
		usage,
		"* on ("+q.Labels(metrics.LabelUsername)+") group_right ()",
		groups)
}

// byShare returns each membership with the user's share, once for all exporters of a
// hub.
func (q Queries) byShare() string {
	return "max by (" + q.Labels(metrics.LabelUsername, metrics.LabelUsergroup) + ") (" + q.memberships(metrics.UserGroupShare) + ")"
}

// inFull returns each membership, once for all exporters of a hub. The pseudo-group for
// users in several groups counts only if the user's real groups are not published
// beside it.
func (q Queries) inFull() string {
	user := "(" + q.Labels(metrics.LabelUsername) + ")"
	lines := []string{
		q.memberships(metrics.UserGroupInfo, q.NotMultiple()),
		"or on " + user,
		q.memberships(metrics.UserGroupInfo, q.Multiple()),
	}
	if len(q.Groups) > 0 {
		// Real groups that aren't queried count as published too.
		everywhere := Queries{Prefix: q.Prefix, Hubs: q.Hubs}
		lines = append(lines, "unless on "+user, everywhere.memberships(metrics.UserGroupInfo, q.NotMultiple()))
	}
	return call("group by ("+q.Labels(metrics.LabelUsername, metrics.LabelUsergroup)+")", lines...)
}

// Multiple returns the matcher for the pseudo-group for users in several groups.
func (q Queries) Multiple() string {
	return Is(metrics.LabelUsergroup, cmp.Or(q.MultipleName, membership.DefaultMultipleName))
}

// NotMultiple returns the matcher for all other groups.
func (q Queries) NotMultiple() string { return strings.Replace(q.Multiple(), "=", "!=", 1) }
