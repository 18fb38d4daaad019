package reporthtml

import (
	"cmp"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// maxBars limits the bars of a chart.
const maxBars = 30

// bars is a chart with a bar for each row.
type bars struct {
	Title string
	Unit  string
	Bars  []bar
	// More says how many rows have no bar, such as "3 more groups". MorePercent and MoreValue are the sums of these
	// rows.
	More, MorePercent, MoreValue string
}

type bar struct {
	Name    string
	Value   string
	Percent string
	Length  float64 // from 0 to 100
	Pseudo  bool
}

// bars returns a chart of the shares in the whole period, or nil if there is nothing to show.
func (b *builder) bars() *bars {
	measure := b.Options.ShareOf
	sections, title, thing := b.Sections, "Share of "+measure.Noun()+" by "+b.by(), b.by()
	if b.Members != nil {
		members := b.members()
		sections, title, thing = []*report.Section{members}, "Share of the group's "+measure.Noun()+" by user", "user"
	}
	section, total := whole(sections, totalOf)
	if slices.Contains(section.Missing, measure) || total.Amounts[measure] <= 0 {
		return nil
	}
	rows := b.rowSums(sections)
	slices.SortStableFunc(rows, func(x, y *report.Row) int { return cmp.Compare(y.Amounts[measure], x.Amounts[measure]) })
	if len(rows) == 0 || rows[0].Amounts[measure] <= 0 {
		return nil
	}
	decimals := 1
	if measure.Unit() == "" {
		decimals = 0
	}
	percent := func(value float64) string { return report.Rounded(100*value/total.Amounts[measure], 1) + " %" }
	value := func(value float64) string {
		return strings.TrimSpace(report.Rounded(value, decimals) + " " + measure.Unit())
	}
	chart := &bars{Title: title, Unit: measure.Unit()}
	rest := 0.0
	for i, row := range rows {
		amount := row.Amounts[measure]
		if i >= maxBars {
			rest += amount
			continue
		}
		length := max(0, 100*amount/rows[0].Amounts[measure])
		chart.Bars = append(chart.Bars, bar{b.name(row), value(amount), percent(amount), length, row.Pseudo() != ""})
	}
	if more := len(rows) - maxBars; more > 0 {
		chart.More, chart.MorePercent, chart.MoreValue = plural(more, "more "+thing), percent(rest), value(rest)
	}
	return chart
}

// by returns what a row stands for: the dimension, or "row" if there are several.
func (b *builder) by() string {
	if len(b.Options.By) == 1 {
		return string(b.Options.By[0])
	}
	return "row"
}

// name returns the names of a row.
func (b *builder) name(row *report.Row) string {
	var names []string
	for _, name := range []string{row.Namespace, row.Parent, row.Group, row.User} {
		if name != "" {
			names = append(names, b.show(name))
		}
	}
	if names == nil {
		return b.show("")
	}
	return strings.Join(names, " · ")
}

// rowSums adds up the rows with the same names. The order is that of the first ones.
func (b *builder) rowSums(sections []*report.Section) []*report.Row {
	type names struct {
		namespace, parent, group, user string
		kind                           report.Kind
	}
	var rows []*report.Row
	sums := map[names]*report.Row{}
	for _, section := range sections {
		for _, row := range section.Rows {
			key := names{row.Namespace, row.Parent, row.Group, row.User, row.Kind}
			if sums[key] == nil {
				sums[key] = &report.Row{Namespace: row.Namespace, Parent: row.Parent, Group: row.Group, User: row.User, Kind: row.Kind}
				rows = append(rows, sums[key])
			}
			sums[key].Amounts.Add(&row.Amounts, 1)
		}
	}
	return rows
}
