package reporthtml

import (
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// table is a table of the page.
type table struct {
	Caption string
	Header  []header
	Rows    []tableRow
}

type header struct {
	Title, Unit string
	Number      bool
}

type tableRow struct {
	Cells  []cell
	Total  bool
	Pseudo bool
}

type cell struct {
	Text   string
	Number bool
}

// tables returns two tables for each period: one with the most important columns, which fits on paper, and one with the
// others.
func (b *builder) tables() []*table {
	if b.Members != nil {
		return b.groupTables()
	}
	var tables []*table
	columns := b.visible()
	for _, section := range b.Sections {
		period := section.Period.String()
		tables = append(tables, b.table("Usage, "+period, pick(columns, b.isMain), section))
		if rest := pick(columns, b.isDetail); slices.ContainsFunc(rest, isAmount) {
			tables = append(tables, b.table("More measures, "+period, rest, section))
		}
	}
	return tables
}

func isAmount(c *report.Column) bool { return c.Kind == report.Amount }

// isDetail reports whether a column belongs in the second table.
func (b *builder) isDetail(c *report.Column) bool { return c.Kind == report.Label || !b.isMain(c) }

func pick(columns []*report.Column, wanted func(*report.Column) bool) []*report.Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c *report.Column) bool { return !wanted(c) })
}

// table returns a table with the rows of a section and its total.
func (b *builder) table(caption string, columns []*report.Column, section *report.Section) *table {
	t := &table{Caption: caption}
	for _, column := range columns {
		t.Header = append(t.Header, header{column.Title, column.Unit, column.IsNumber()})
	}
	for _, row := range append(slices.Clip(section.Rows), section.Total) {
		line := tableRow{Total: row == section.Total, Pseudo: row.Pseudo() != ""}
		for i, column := range columns {
			line.Cells = append(line.Cells, b.cell(column, section, row, i == 0))
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

func (b *builder) cell(c *report.Column, section *report.Section, row *report.Row, first bool) cell {
	switch {
	case c.IsNumber():
		return cell{c.Shown(section, row), true}
	case row != section.Total:
		return cell{b.show(c.Exact(section, row)), false}
	case first:
		return cell{"Total", false}
	default:
		return cell{}
	}
}

// groupTables returns the tables of a page about one group: its usage in each period if there are several, and its
// members.
func (b *builder) groupTables() []*table {
	var tables []*table
	isNumber := func(c *report.Column) bool { return c.IsNumber() }
	if len(b.Sections) > 1 {
		tables = append(tables, b.periods(pick(b.visible(), func(c *report.Column) bool { return b.isMain(c) && isNumber(c) })))
	}
	members := b.members()
	columns := b.memberColumns()
	tables = append(tables, b.table("Members", pick(columns, b.isMain), members))
	if rest := pick(columns, b.isDetail); slices.ContainsFunc(rest, isAmount) {
		tables = append(tables, b.table("More measures of the members", rest, members))
	}
	return tables
}

// periods returns a table with a row for each period.
func (b *builder) periods(columns []*report.Column) *table {
	t := &table{Caption: "Usage of the group", Header: []header{{"Period", "", false}}}
	for _, column := range columns {
		t.Header = append(t.Header, header{column.Title, column.Unit, true})
	}
	for _, section := range b.Sections {
		one, row := whole([]*report.Section{section}, rowsOf)
		line := tableRow{Cells: []cell{{section.Period.String(), false}}}
		for _, column := range columns {
			line.Cells = append(line.Cells, cell{column.Shown(one, row), true})
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// members returns the members with their shares of the group. Each user and each server belongs to only one row, so all
// amounts can be added up.
func (b *builder) members() *report.Section {
	_, total := whole([]*report.Section{b.Members}, rowsOf)
	total.Share = 0
	section := &report.Section{Period: b.Members.Period, Missing: b.Members.Missing, Total: total}
	for _, member := range b.Members.Rows {
		row := *member
		row.Share = 0
		if all := total.Amounts[b.Options.ShareOf]; all > 0 {
			row.Share = member.Amounts[b.Options.ShareOf] / all
			total.Share = 1
		}
		section.Rows = append(section.Rows, &row)
	}
	return section
}

// memberColumns returns the columns of the members' tables. There are no costs, because rounded costs of members
// wouldn't add up to the cost of the group.
func (b *builder) memberColumns() []*report.Column {
	r := *b.Report
	r.Options.By = []report.Dimension{report.ByUser}
	if len(b.Namespaces) > 1 {
		r.Options.By = []report.Dimension{report.ByNamespace, report.ByUser}
	}
	r.Sections = []*report.Section{b.Members}
	columns := (&builder{&r, b.show}).visible()
	return pick(columns, func(c *report.Column) bool {
		return c.Kind != report.Cost && (!isAmount(c) || c.Measure != report.ActiveUsers)
	})
}
