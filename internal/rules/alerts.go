package rules

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// victoriaMetricsLimit is the default limit of VictoriaMetrics for the size of a scrape, in bytes of uncompressed text.
// Prometheus has no limit by default.
const victoriaMetricsLimit = 16 << 20

// Alerts returns the alerts about missing, stale or wrong memberships and usage.
func Alerts(q promql.Queries) Group {
	hub := q.Labels()
	resource := q.Labels(metrics.LabelResource)
	alerts := []Rule{
		alert("GroupsExporterDown", 10*time.Minute, "critical",
			// The first part covers exporters that were up in the last day. The second part fires as long as there is
			// no exporter at all.
			fmt.Sprintf("group by (%[1]s) (present_over_time(%[2]s[1d])) unless on (%[1]s) %[2]s\nor on ()\nabsent(%[2]s)", hub, q.OfHubs(metrics.HubUp)),
			"Prometheus gets no metrics from the exporter{{ with $labels.namespace }} of {{ . }}{{ end }}",
			"Memberships are missing, and usage by group is not recorded. Check that groups-exporter is running, and that Prometheus scrapes it."),
		alert("GroupsExporterHubDown", 15*time.Minute, "warning",
			fmt.Sprintf("max by (%s) (%s) == 0", hub, q.OfHubs(metrics.HubUp)),
			"The exporter can't read users and groups from the hub of {{ $labels.namespace }}",
			"Every refresh has failed for 15 minutes. The last memberships stay published until they are --max-staleness old. The exporter's log shows why, and so does "+metrics.RefreshFailures+" by reason."),
		alert("GroupsExporterMembershipOld", 5*time.Minute, "warning",
			fmt.Sprintf("time() - max by (%[1]s) (%[2]s)\n> 3 * max by (%[1]s) (%[3]s) + 300",
				hub, q.OfHubs(metrics.LastRefreshSuccess), q.OfHubs(metrics.RefreshInterval)),
			"The memberships of {{ $labels.namespace }} are {{ $value | humanizeDuration }} old",
			"No refresh has succeeded for more than three intervals. Users who have joined or left a group since then still count in their old groups."),
		alert("GroupsExporterRefreshesFailing", 15*time.Minute, "warning",
			// The failures are those of one exporter, because exporters of the same hub fail together. They are rounded,
			// because an increase is extrapolated.
			fmt.Sprintf("round(max by (%s) (sum without (reason) (increase(%s[1h])))) > 10", hub, q.OfHubs(metrics.RefreshFailures)),
			"{{ $value | humanize }} refreshes from the hub of {{ $labels.namespace }} failed in the last hour",
			"Other refreshes may have succeeded. The exporter's log shows why, and so does "+metrics.RefreshFailures+" by reason."),
		alert("GroupsExporterTokenLacksScope", 0, "warning",
			fmt.Sprintf("sum by (%[1]s) (increase(%[2]s[2h])) > 0\nand on (%[1]s)\nmax by (%[1]s) (%[3]s) == 0",
				hub, q.OfHubs(metrics.RefreshFailures, promql.Is(metrics.LabelReason, "scope")), q.OfHubs(metrics.HubUp)),
			"The token for the hub of {{ $labels.namespace }} is missing a scope",
			"The role of the token needs the scopes list:users and read:users:groups (c.JupyterHub.load_roles). The exporter's log names the missing scope."),
		alert("GroupsExporterHubPartial", 15*time.Minute, "warning",
			fmt.Sprintf("max by (%s) (%s) == 1", hub, q.OfHubs(metrics.HubPartial)),
			"The token covers only a part of the hub of {{ $labels.namespace }}",
			"The token has list:users or read:users:groups with a filter. Users and memberships may be missing, and numbers by group may be too low. The exporter's log names the scopes. Give the role of the token both scopes without a filter (c.JupyterHub.load_roles). If this part of the hub is all you want, silence this alert."),
		alert("GroupsExporterGroupMapRejected", 10*time.Minute, "warning",
			fmt.Sprintf("min by (%s) (%s) == 0", hub, q.OfHubs(metrics.GroupMapLoaded)),
			"The exporter of {{ $labels.namespace }} uses an old group map",
			"The file of --group-map had mistakes, or couldn't be read, when it was last loaded. The exporter's log names the lines. Correct the file, check it with 'groups-exporter groups --explain', and reload it."),
		alert("GroupsExporterPageLarge", 15*time.Minute, "info",
			// The threshold is below the limit, because beyond the limit this series isn't stored either.
			fmt.Sprintf("max by (%s) (%s) > 0.8 * %d", hub, q.OfHubs(metrics.PageSize), victoriaMetricsLimit),
			"The exporter publishes {{ $value | humanize1024 }}B of metrics about {{ $labels.namespace }}",
			"VictoriaMetrics rejects a scrape over 16 MiB, unless -promscrape.maxScrapeSize allows it, and Prometheus rejects one over body_size_limit, if that is set. All memberships are then missing. Raise the limit, or publish fewer series: --usernames omit, --allow-group, --deny-group, fewer values of --with."),
		alert("GroupsExporterUsageOld", 15*time.Minute, "warning",
			// With unless, the alert also fires if no query has ever succeeded, and there is no timestamp.
			fmt.Sprintf("max by (%[1]s) (%[2]s)\nunless on (%[1]s)\ntime() - max by (%[1]s) (%[3]s)\n< 3 * max by (%[1]s) (%[2]s) + 300",
				resource, q.OfHubs(metrics.UsageInterval), q.OfHubs(metrics.LastUsageSuccess)),
			"The usage of {{ $labels.resource }} that the exporter publishes for {{ $labels.namespace }} is old",
			"No query for this resource has succeeded for more than three intervals. When the last good answer is --max-staleness old, the metric goes away. The exporter's log shows why, and so does "+metrics.UsageFailures+" by reason."),
		alert("GroupsExporterUsageIncomplete", 15*time.Minute, "warning", q.Gaps(),
			"Usage by group in {{ $labels.namespace }} is too low: {{ $labels.series }} is missing",
			"Usage is computed from this series, and Prometheus doesn't have it for some pods, or at all. Run 'groups-exporter check --prometheus-url' to see what to configure."),
	}
	alerts = append(alerts, alert("GroupsExporterNamespaceWrong", 15*time.Minute, "warning", q.StrayPods(),
		"The exporter publishes the namespace {{ $labels.namespace }}, but the pods of its users are in {{ $labels."+promql.PodsNamespace+" }}",
		"Usage and memberships are joined on the label namespace, so no group has any usage. Run groups-exporter with --namespace {{ $labels."+promql.PodsNamespace+" }}. If these are the pods of another hub with the same users, silence this alert."))
	if len(q.Clusters) == 0 {
		alerts = append(alerts, alert("GroupsExporterClustersMixed", 15*time.Minute, "warning", q.MixedClusters(),
			"Usage by group in {{ $labels.namespace }} is the sum over {{ $value }} clusters",
			"Prometheus has pods of several clusters in this namespace, and the rules don't distinguish them. Print the rules again with --cluster-label cluster."))
	}
	return Group{Name: "groups-exporter-alerts", Rules: alerts}
}

func alert(name string, after time.Duration, severity, expr, summary, description string) Rule {
	return Rule{
		Alert: name, Expr: expr, For: model.Duration(after),
		Labels:      map[string]string{"severity": severity},
		Annotations: map[string]string{"summary": summary, "description": description},
	}
}
