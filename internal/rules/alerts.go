package rules

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// Alerts tell that memberships are not published, or are not what they should be.
func Alerts(q promql.Queries) Group {
	hubUp := promql.Select(metrics.HubUp, q.Hubs)
	failures := func(reasons string) string { return promql.Select(metrics.RefreshFailures, q.Hubs, reasons) }
	return Group{Name: "groups-exporter-alerts", Rules: []Rule{
		alert("GroupsExporterDown", 10*time.Minute, "critical",
			// One that was there in the last day and is no more; and where none is
			// left at all, for as long as that lasts.
			fmt.Sprintf("group by (namespace) (present_over_time(%[1]s[1d])) unless on (namespace) %[1]s\nor on ()\nabsent(%[1]s)", hubUp),
			"Prometheus gets no metrics of the exporter{{ with $labels.namespace }} of {{ . }}{{ end }}",
			"Nothing is known of groups, and usage by group is not recorded. Does groups-exporter run, and does Prometheus scrape it?"),
		alert("GroupsExporterHubDown", 15*time.Minute, "warning",
			fmt.Sprintf("max by (namespace) (%s) == 0", hubUp),
			"The hub of {{ $labels.namespace }} doesn't tell its users and groups",
			"The last refresh failed, and every one for 15 minutes. Memberships stay as they were, until they are too old. The exporter's log says why, and so does "+metrics.RefreshFailures+" by reason."),
		alert("GroupsExporterMembershipOld", 5*time.Minute, "warning",
			fmt.Sprintf("time() - max by (namespace) (%s)\n> 3 * max by (namespace) (%s) + 300",
				promql.Select(metrics.LastRefreshSuccess, q.Hubs), promql.Select(metrics.RefreshInterval, q.Hubs)),
			"The memberships of {{ $labels.namespace }} are {{ $value | humanizeDuration }} old",
			"No refresh has succeeded for more than three intervals: who joined or left a group since then is counted where they were."),
		alert("GroupsExporterRefreshesFailing", 15*time.Minute, "warning",
			// Of one exporter: two that ask the same hub fail together.
			fmt.Sprintf("max by (namespace) (sum without (reason) (increase(%s[1h]))) > 10", failures("")),
			"{{ $value | humanize }} refreshes from the hub of {{ $labels.namespace }} failed in the last hour",
			"Some may have succeeded in between. The exporter's log says why, and so does "+metrics.RefreshFailures+" by reason."),
		alert("GroupsExporterTokenLacksScope", 0, "warning",
			fmt.Sprintf("sum by (namespace) (increase(%s[2h])) > 0\nand on (namespace)\nmax by (namespace) (%s) == 0",
				failures(promql.Is(metrics.LabelReason, "scope")), hubUp),
			"The token for the hub of {{ $labels.namespace }} may not read what is needed",
			"Its role needs the scopes list:users and read:users:groups (c.JupyterHub.load_roles). The exporter's log names the one that is missing."),
		alert("GroupsExporterUsageOld", 15*time.Minute, "warning",
			// Also where none has ever succeeded: there is no time of it then.
			fmt.Sprintf("max by (namespace, resource) (%[1]s)\nunless on (namespace, resource)\ntime() - max by (namespace, resource) (%[2]s)\n< 3 * max by (namespace, resource) (%[1]s) + 300",
				promql.Select(metrics.UsageInterval, q.Hubs), promql.Select(metrics.LastUsageSuccess, q.Hubs)),
			"The {{ $labels.resource }} that the exporter publishes for {{ $labels.namespace }} is old",
			"No query of it has succeeded for more than three intervals. When the last good answer is too old, its metric goes away. The exporter's log says why, and so does "+metrics.UsageFailures+" by reason."),
	}}
}

func alert(name string, after time.Duration, severity, expr, summary, description string) Rule {
	return Rule{
		Alert: name, Expr: expr, For: model.Duration(after),
		Labels:      map[string]string{"severity": severity},
		Annotations: map[string]string{"summary": summary, "description": description},
	}
}
