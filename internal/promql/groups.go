package promql

import (
	"cmp"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// ByGroup returns the sum of usage by group. Its argument is an expression for usage with the labels namespace and
// username. The user is on the "one" side of the join and the user's groups are on the "many" side, so that a user in
// several groups counts in each. With share, the user counts in each group by the user's share there, so that the
// groups add up to the same total as the users.
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

// byShare returns each membership with the user's share as its value, and only once if several exporters of a hub
// publish it.
func (q Queries) byShare() string {
	return "max by (" + q.Labels(metrics.LabelUsername, metrics.LabelUsergroup) + ") (" + q.memberships(metrics.UserGroupShare) + ")"
}

// inFull returns each membership with the value 1, and only once if several exporters of a hub publish it. The
// pseudo-group for users in several groups counts only for users whose real groups are not published as well.
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
