// Package dashboard writes the Grafana dashboard. It shows group memberships, usage by group, and the state of the
// exporter. Its queries come from the package promql.
package dashboard

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// schemaVersion is the version of Grafana 11.0. Later releases migrate it.
const schemaVersion = 39

// References to the dashboard's variables in queries.
const (
	datasource = "${datasource}"
	hub        = metrics.LabelNamespace + `=~"$hub"`
	group      = metrics.LabelUsergroup + `=~"$group"`
)

// Options configure the queries of the dashboard.
type Options struct {
	// Prefix, MultipleName, Pods and Clusters are the fields of promql.Queries.
	Prefix, MultipleName, Pods string
	Clusters                   []string
	// Plain queries usage directly, without recording rules.
	Plain bool
	// Share counts a user in several groups by share instead of in full.
	Share bool
}

// Write writes the dashboard's JSON.
func Write(w io.Writer, o Options) error {
	built, err := o.dashboard().Build()
	if err != nil {
		return err
	}
	built.SchemaVersion = schemaVersion
	for i, panel := range built.Panels {
		id := uint32(i + 1)
		if panel.RowPanel != nil {
			panel.RowPanel.Id = id
		} else {
			panel.Panel.Id = &id
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(built)
}

//nolint:staticcheck // the builder that is not deprecated needs Grafana 12
func (o Options) dashboard() *grafana.DashboardBuilder {
	q := o.queries()
	b := grafana.NewDashboardBuilder("JupyterHub groups").
		Uid("groups-exporter").
		Description("Who is in which group of a JupyterHub, and what the groups use. Made by groups-exporter dashboard.").
		Tags([]string{"jupyterhub"}).
		Timezone(common.TimeZoneBrowser).
		Refresh("5m").
		Time("now-24h", "now").
		Tooltip(grafana.DashboardCursorSyncCrosshair).
		WithVariable(grafana.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"))
	for i, label := range o.Clusters {
		b.WithVariable(variable(label, label, label, promql.Select(o.name(metrics.GroupMembers), o.clusters()[:i]...)))
	}
	b.WithVariable(variable("hub", "Hub", metrics.LabelNamespace, promql.Select(o.name(metrics.GroupMembers), o.clusters()...))).
		WithVariable(variable("group", "Group", metrics.LabelUsergroup, q.OfHubs(o.name(metrics.GroupMembers)))).
		WithRow(grafana.NewRowBuilder("Groups")).
		WithPanel(number("Users", "sum("+o.anyOf(q.OfHubs(metrics.Users))+")")).
		WithPanel(number("Groups", "count(group by ("+q.Labels(metrics.LabelUsergroup)+") ("+o.members()+"))")).
		WithPanel(number("Users in several groups", o.inSeveral())).
		WithPanel(bars("Users in several groups, by number of groups", "{{groups}} groups", o.byNumberOfGroups())).
		WithPanel(o.now()).
		WithPanel(lines("Members", "", units.Short, o.byGroup(), o.anyOf(o.members(), metrics.LabelUsergroup))).
		WithPanel(lines("Active users", "Seen in the last 7 days. Needs serve --with activity.", units.Short, o.byGroup(),
			o.anyOf(o.family(metrics.GroupActiveUsers, `period="7d"`), metrics.LabelUsergroup))).
		WithRow(grafana.NewRowBuilder("Usage"))
	for _, panel := range usagePanels() {
		b.WithPanel(o.usage(panel.title, panel.unit, panel.resource))
	}
	return b.
		WithRow(grafana.NewRowBuilder("Exporter")).
		WithPanel(lines("Age of the memberships", "Since the last refresh that succeeded.", units.Seconds, o.byHub(),
			"time() - "+o.anyOf(q.OfHubs(metrics.LastRefreshSuccess)))).
		WithPanel(lines("Hub up", "1 where the last refresh succeeded.", units.Short, o.byHub(), o.anyOf(q.OfHubs(metrics.HubUp)))).
		WithPanel(lines("Failed refreshes in an hour", "", units.Short, o.byHub()+" {{reason}}",
			"sum by ("+q.Labels(metrics.LabelReason)+") (increase("+q.OfHubs(metrics.RefreshFailures)+"[1h]))")).
		WithPanel(lines("Requests to the hub", "By the answer's status, 0 where none came.", units.RequestsPerSecond, o.byHub()+" {{code}}",
			"sum by ("+q.Labels(metrics.LabelCode)+") (rate("+q.OfHubs(metrics.HubRequests)+"[$__rate_interval]))"))
}

// usagePanel describes the panel of a resource.
type usagePanel struct {
	title, unit string
	resource    usage.Resource
}

func usagePanels() []usagePanel {
	return []usagePanel{
		{"Memory", units.BytesIEC, usage.Memory},
		{"CPU", cores, usage.CPU},
		{"Memory requests", units.BytesIEC, usage.MemoryRequests},
		{"CPU requests", cores, usage.CPURequests},
		{"GPU requests", units.Short, usage.GPURequests},
		{"GPU slice requests", units.Short, usage.GPUSliceRequests},
		{"Home directories", units.BytesIEC, usage.HomeDir},
	}
}

// cores is the unit for CPU. Grafana has none for cores, so this one shows a tenth of a core as 100m.
const cores = "sishort"

// byHub returns the legend for a hub.
func (o Options) byHub() string {
	legend := []string{"{{namespace}}"}
	for _, label := range o.Clusters {
		legend = append(legend, "{{"+label+"}}")
	}
	return strings.Join(legend, " ")
}

// byGroup returns the legend for a group.
func (o Options) byGroup() string { return "{{usergroup}} (" + o.byHub() + ")" }

func (o Options) name(family string) string { return metrics.Name(o.Prefix, family) }

func (o Options) family(family string, matchers ...string) string {
	return o.queries().OfHubs(o.name(family), append([]string{group}, matchers...)...)
}

func (o Options) members() string { return o.family(metrics.GroupMembers) }

// anyOf returns an expression for one of the series that several exporters of a hub publish.
func (o Options) anyOf(series string, labels ...string) string {
	return "max by (" + o.queries().Labels(labels...) + ") (" + series + ")"
}

// clusters returns the matchers for the cluster variables.
func (o Options) clusters() []string {
	var matchers []string
	for _, label := range o.Clusters {
		matchers = append(matchers, label+`=~"$`+label+`"`)
	}
	return matchers
}

func (o Options) queries() promql.Queries {
	return promql.Queries{
		Prefix: o.Prefix, Hubs: append([]string{hub}, o.clusters()...), Groups: []string{group},
		Pods: o.Pods, Clusters: o.Clusters, MultipleName: o.MultipleName,
	}
}

// groupsOfUsers returns an expression for the number of real groups of each user, as far as they are published.
func (o Options) groupsOfUsers() string {
	q := o.queries()
	return fmt.Sprintf("count by (%s) (group by (%s) (%s))", q.Labels(metrics.LabelUsername),
		q.Labels(metrics.LabelUsername, metrics.LabelUsergroup), q.OfHubs(o.name(metrics.UserGroupInfo), q.NotMultiple()))
}

// inSeveral returns an expression for the number of users in several groups. It counts users with several published
// groups, or else the members of the pseudo-group.
func (o Options) inSeveral() string {
	return fmt.Sprintf("count(%s > 1)\nor\nsum(%s)\nor\nvector(0)", o.groupsOfUsers(),
		o.anyOf(o.queries().OfHubs(o.name(metrics.GroupMembers), o.queries().Multiple())))
}

func (o Options) byNumberOfGroups() string {
	return fmt.Sprintf("sum by (groups) (count_values by (%s) (\"groups\", %s > 1))", o.queries().Labels(), o.groupsOfUsers())
}

func (o Options) byUsage(resource usage.Resource) string {
	q := o.queries()
	if !o.Plain {
		// An aggregation drops the metric name. With names, the table would have a row for each.
		return o.anyOf(q.OfHubs(promql.RecordedByGroup(resource, o.Share), group), metrics.LabelUsergroup)
	}
	return q.ByGroup(q.ByUser(resource), o.Share)
}

// usage returns the panel for a resource by group over time.
func (o Options) usage(title, unit string, resource usage.Resource) *timeseries.PanelBuilder {
	counted := "A user in several groups counts in each: the sum over the groups is more than the whole."
	if o.Share {
		counted = "A user in several groups counts in each by share: the sum over the groups is the whole."
	}
	if !o.Plain {
		counted += " From the recording rules of groups-exporter rules."
	}
	panel := lines(title, counted, unit, o.byGroup(), o.byUsage(resource))
	if resource == usage.HomeDir {
		panel.Span(24) // the last one, in a row of its own
	}
	if o.Share {
		panel.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	return panel
}

// now returns the table of current values by group.
func (o Options) now() *table.PanelBuilder {
	type column struct{ title, unit, expr string }
	columns := []column{
		{"Members", units.Short, o.anyOf(o.members(), metrics.LabelUsergroup)},
		{"Active users, 7 days", units.Short, o.anyOf(o.family(metrics.GroupActiveUsers, `period="7d"`), metrics.LabelUsergroup)},
		{"Running servers", units.Short, o.anyOf(o.family(metrics.GroupRunningServers), metrics.LabelUsergroup)},
	}
	for _, panel := range usagePanels() {
		columns = append(columns, column{panel.title, panel.unit, o.byUsage(panel.resource)})
	}
	// Grafana names the column of a query "Value #A", with the query's letter.
	renamed := map[string]string{metrics.LabelNamespace: "Hub", metrics.LabelUsergroup: "Group"}
	order := map[string]int{metrics.LabelNamespace: 0, metrics.LabelUsergroup: 1}
	for _, label := range o.Clusters {
		order[label] = len(order)
	}
	panel := table.NewPanelBuilder().Title("Groups now").Datasource(dataSource()).Height(10).Span(24).
		Description("Active users and running servers need serve --with activity.")
	for i, column := range columns {
		letter := string(rune('A' + i))
		field := "Value #" + letter
		renamed[field], order[field] = column.title, len(order)
		panel.WithTarget(query(column.expr).RefId(letter).Instant().Format(prometheus.PromQueryFormatTable)).
			OverrideByName(column.title, []grafana.DynamicConfigValue{{Id: "unit", Value: column.unit}})
	}
	return panel.
		WithTransformation(grafana.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
		WithTransformation(grafana.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": map[string]bool{"Time": true},
			"indexByName":   order,
			"renameByName":  renamed,
		}})
}

func dataSource() common.DataSourceRef {
	return common.DataSourceRef{Type: new("prometheus"), Uid: new(datasource)}
}

// variable returns a variable for the values of a label. All values are selected by default.
func variable(name, label, of, series string) *grafana.QueryVariableBuilder {
	expr := "label_values(" + series + ", " + of + ")"
	return grafana.NewQueryVariableBuilder(name).Label(label).
		Datasource(dataSource()).
		Query(grafana.StringOrMap{String: &expr}).Definition(expr).
		Multi(true).IncludeAll(true).AllValue(".*").
		Current(grafana.VariableOption{
			Text:  grafana.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value: grafana.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		}).
		Refresh(grafana.VariableRefreshOnTimeRangeChanged).
		Sort(grafana.VariableSortAlphabeticalCaseInsensitiveAsc)
}

func query(expr string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Datasource(dataSource()).Expr(expr).RefId("A")
}

func number(title, expr string) *stat.PanelBuilder {
	return stat.NewPanelBuilder().Title(title).Datasource(dataSource()).
		Height(5).Span(5).
		GraphMode(common.BigValueGraphModeArea).
		Orientation(common.VizOrientationAuto).
		ReduceOptions(lastValue()).
		WithTarget(query(expr))
}

func bars(title, legend, expr string) *bargauge.PanelBuilder {
	return bargauge.NewPanelBuilder().Title(title).Datasource(dataSource()).
		Height(5).Span(9).
		Orientation(common.VizOrientationHorizontal).
		ReduceOptions(lastValue()).
		Min(0).
		WithTarget(query(expr).Instant().LegendFormat(legend))
}

func lastValue() *common.ReduceDataOptionsBuilder {
	return common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})
}

func lines(title, description, unit, legend, expr string) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().Title(title).Description(description).Datasource(dataSource()).
		Height(9).Span(12).
		Unit(unit).Min(0).
		FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeTable).
			Placement(common.LegendPlacementRight).Calcs([]string{"lastNotNull"}).SortBy("Last *").SortDesc(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		WithTarget(query(expr).Range().LegendFormat(legend))
}
