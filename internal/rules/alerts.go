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
			"Prometheus gets no metrics of the exporter{{ with $labels.namespace }} of {{ . }}{{ end }}",
			"Nothing is known of groups, and usage by group is not recorded. Does groups-exporter run, and does Prometheus scrape it?"),
		alert("GroupsExporterHubDown", 15*time.Minute, "warning",
			fmt.Sprintf("max by (%s) (%s) == 0", hub, q.OfHubs(metrics.HubUp)),
			"The hub of {{ $labels.namespace }} doesn't tell its users and groups",
			"The last refresh failed, and every one for 15 minutes. Memberships stay as they were, until they are too old. The exporter's log says why, and so does "+metrics.RefreshFailures+" by reason."),
		alert("GroupsExporterMembershipOld", 5*time.Minute, "warning",
			fmt.Sprintf("time() - max by (%[1]s) (%[2]s)\n> 3 * max by (%[1]s) (%[3]s) + 300",
				hub, q.OfHubs(metrics.LastRefreshSuccess), q.OfHubs(metrics.RefreshInterval)),
			"The memberships of {{ $labels.namespace }} are {{ $value | humanizeDuration }} old",
			"No refresh has succeeded for more than three intervals: who joined or left a group since then is counted where they were."),
		alert("GroupsExporterRefreshesFailing", 15*time.Minute, "warning",
			// The failures are those of one exporter, because exporters of the same hub fail together. They are rounded,
			// because an increase is extrapolated.
			fmt.Sprintf("round(max by (%s) (sum without (reason) (increase(%s[1h])))) > 10", hub, q.OfHubs(metrics.RefreshFailures)),
			"{{ $value | humanize }} refreshes from the hub of {{ $labels.namespace }} failed in the last hour",
			"Some may have succeeded in between. The exporter's log says why, and so does "+metrics.RefreshFailures+" by reason."),
		alert("GroupsExporterTokenLacksScope", 0, "warning",
			fmt.Sprintf("sum by (%[1]s) (increase(%[2]s[2h])) > 0\nand on (%[1]s)\nmax by (%[1]s) (%[3]s) == 0",
				hub, q.OfHubs(metrics.RefreshFailures, promql.Is(metrics.LabelReason, "scope")), q.OfHubs(metrics.HubUp)),
			"The token for the hub of {{ $labels.namespace }} may not read what is needed",
			"Its role needs the scopes list:users and read:users:groups (c.JupyterHub.load_roles). The exporter's log names the one that is missing."),
		alert("GroupsExporterHubPartial", 15*time.Minute, "warning",
			fmt.Sprintf("max by (%s) (%s) == 1", hub, q.OfHubs(metrics.HubPartial)),
			"Only a part of the hub of {{ $labels.namespace }} is known",
			"The token has list:users or read:users:groups with a filter, so users and memberships may be missing, and numbers by group too low. The exporter's log names the scopes. Give its role both scopes without a filter (c.JupyterHub.load_roles), or silence this alert if a part is what you want."),
		alert("GroupsExporterPageLarge", 15*time.Minute, "info",
			// The threshold is below the limit, because beyond the limit this series isn't stored either.
			fmt.Sprintf("max by (%s) (%s) > 0.8 * %d", hub, q.OfHubs(metrics.PageSize), victoriaMetricsLimit),
			"What the exporter publishes of {{ $labels.namespace }} is {{ $value | humanize1024 }}B",
			"VictoriaMetrics refuses more than 16 MiB, unless -promscrape.maxScrapeSize allows it: then all memberships are gone. Prometheus refuses what is over body_size_limit, if that is set. Raise the limit, or publish fewer series: --usernames omit, --allow-group, --deny-group, fewer values of --with."),
		alert("GroupsExporterUsageOld", 15*time.Minute, "warning",
			// With unless, the alert also fires if no query has ever succeeded, and there is no timestamp.
			fmt.Sprintf("max by (%[1]s) (%[2]s)\nunless on (%[1]s)\ntime() - max by (%[1]s) (%[3]s)\n< 3 * max by (%[1]s) (%[2]s) + 300",
				resource, q.OfHubs(metrics.UsageInterval), q.OfHubs(metrics.LastUsageSuccess)),
			"The {{ $labels.resource }} that the exporter publishes for {{ $labels.namespace }} is old",
			"No query of it has succeeded for more than three intervals. When the last good answer is too old, its metric goes away. The exporter's log says why, and so does "+metrics.UsageFailures+" by reason."),
		alert("GroupsExporterUsageIncomplete", 15*time.Minute, "warning", q.Gaps(),
			"Usage by group in {{ $labels.namespace }} is too low: {{ $labels.series }} is missing",
			"Usage is made of this series, and Prometheus lacks it for some pods, or altogether. 'groups-exporter check --prometheus-url' says what to configure."),
	}
	alerts = append(alerts, alert("GroupsExporterNamespaceWrong", 15*time.Minute, "warning", q.StrayPods(),
		"The exporter publishes the namespace {{ $labels.namespace }}, but the pods of its users are in {{ $labels."+promql.PodsNamespace+" }}",
		"Usage is joined on the label namespace, so no group has any. Run groups-exporter with --namespace {{ $labels."+promql.PodsNamespace+" }}, or silence this alert if these are the pods of another hub with the same users."))
	if len(q.Clusters) == 0 {
		alerts = append(alerts, alert("GroupsExporterClustersMixed", 15*time.Minute, "warning", q.MixedClusters(),
			"Usage by group in {{ $labels.namespace }} adds up {{ $value }} clusters",
			"This Prometheus holds pods of several clusters with the same namespace, and the rules can't tell them apart. Print the rules again with --cluster-label cluster."))
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
