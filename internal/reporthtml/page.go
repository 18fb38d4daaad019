// Package reporthtml writes a report as a page for browsers and paper. The page is one file without scripts that loads
// nothing.
package reporthtml

import (
	"bytes"
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var style string

// page is what the template shows.
type page struct {
	Style       template.CSS
	Report      *report.Report
	Hubs        string
	Group       string // the group that the page is about, or empty
	Incomplete  []string
	UsageInGaps string
	Remarks     []string
	Figures     []figure
	Bars        *bars
	Trend       *trend
	Tables      []*table
	Columns     []*report.Column // those with definitions
	Missing     []string
	Unused      []string
	Coverage    []coverage
	Flags       []flag
}

// figure is a number in large print.
type figure struct{ Label, Value, Unit string }

// coverage is the coverage of a source.
type coverage struct {
	Source, Percent string
	Low             bool
	Gaps            []string
	More            int
}

type flag struct{ Name, Value string }

// Write writes a report. The function show makes names safe: it escapes invisible characters, which could make one name
// look like another.
func Write(w io.Writer, r *report.Report, show func(string) string) error {
	b := &builder{Report: r, show: show}
	parsed, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, b.page()); err != nil {
		return err
	}
	_, err = text.WriteTo(w)
	return err
}

// builder computes the parts of a page.
type builder struct {
	*report.Report
	show func(string) string
}

func (b *builder) page() *page {
	p := &page{
		Style: template.CSS(style), Report: b.Report, Hubs: b.Hubs(b.show), Group: b.group(), //nolint:gosec // the style is ours
		Incomplete: b.Incomplete(b.show), UsageInGaps: report.UsageInGaps, Figures: b.figures(), Bars: b.bars(), Trend: b.trend(), Tables: b.tables(), Coverage: b.coverage(),
	}
	for _, remark := range slices.Concat([]string{b.AttributionWords(), b.TotalWords()}, b.Notes) {
		if remark != "" && (remark != b.TotalWords() || b.Members == nil) { // a page about one group doesn't show the total
			p.Remarks = append(p.Remarks, b.show(remark))
		}
	}
	for _, column := range b.Columns() {
		switch {
		case column.Definition == "":
		case !b.HasData(column):
			p.Missing = append(p.Missing, column.Header())
		case b.unused(column):
			p.Unused = append(p.Unused, column.Header())
		default:
			p.Columns = append(p.Columns, column)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Flags)) {
		p.Flags = append(p.Flags, flag{"--" + name, b.show(b.Flags[name])})
	}
	return p
}

// group returns the name of the group that the page is about, or an empty text.
func (b *builder) group() string {
	if b.Members == nil {
		return ""
	}
	return b.show(b.Group)
}

// unused reports whether a column is left out because it is about GPUs, which many hubs don't have, and all its numbers
// are 0.
func (b *builder) unused(c *report.Column) bool {
	return c.Kind == report.Amount && (c.Measure == report.GPU || c.Measure == report.GPUSlices) &&
		!slices.ContainsFunc(b.Sections, func(s *report.Section) bool { return s.Total.Amounts[c.Measure] != 0 })
}

// isMain reports whether a column is important enough for the first table.
func (b *builder) isMain(c *report.Column) bool {
	if c.Kind != report.Amount {
		return true
	}
	switch c.Measure {
	case report.ActiveUsers, report.ServerHours, report.CPU, report.Memory, report.GPU, report.Home, b.Options.ShareOf:
		return true
	default:
		return false
	}
}

// visible returns the columns that have something to show.
func (b *builder) visible() []*report.Column {
	return slices.DeleteFunc(b.Columns(), func(c *report.Column) bool {
		return c.Kind == report.Metadata || !b.HasData(c) || b.unused(c)
	})
}

// whole returns the sum of all sections, and a section that it belongs to. Distinct users and sessions can't be added
// up, so these measures are missing if there are several sections.
func whole(sections []*report.Section, rowsOf func(*report.Section) []*report.Row) (*report.Section, *report.Row) {
	sum := &report.Row{}
	all := &report.Section{Total: sum}
	if len(sections) > 1 {
		all.Missing = []report.Measure{report.ActiveUsers, report.Sessions}
	}
	for _, measure := range report.Measures() {
		if slices.ContainsFunc(sections, func(s *report.Section) bool { return slices.Contains(s.Missing, measure) }) {
			all.Missing = append(all.Missing, measure)
		}
	}
	for _, section := range sections {
		for _, row := range rowsOf(section) {
			sum.Amounts.Add(&row.Amounts, 1)
			sum.Cents += row.Cents
			sum.Share += row.Share
		}
	}
	return all, sum
}

func rowsOf(s *report.Section) []*report.Row { return s.Rows }

func totalOf(s *report.Section) []*report.Row { return []*report.Row{s.Total} }

// figures returns the figures of the whole period, or those of the group that the page is about.
func (b *builder) figures() []figure {
	of := totalOf
	var figures []figure
	if b.Members != nil {
		of = rowsOf
		figures = b.place()
	}
	section, row := whole(b.Sections, of)
	for _, kind := range []report.ColumnKind{report.Cost, report.Amount} {
		for _, column := range b.visible() {
			if _, known := column.Number(section, row); known && column.Kind == kind && b.isMain(column) {
				figures = append(figures, figure{column.Title, column.Shown(section, row), column.Unit})
			}
		}
	}
	return figures
}

// place returns the share and the rank of the group that the page is about.
func (b *builder) place() []figure {
	var figures []figure
	section, all := whole(b.Sections, totalOf)
	_, own := whole(b.Sections, rowsOf)
	measure := b.Options.ShareOf
	if total := all.Amounts[measure]; total > 0 && !slices.Contains(section.Missing, measure) {
		figures = append(figures, figure{"Share", report.Rounded(100*own.Amounts[measure]/total, 1) + " %", "of all " + measure.Noun()})
	}
	isOneRow := len(b.Sections) == 1 && len(b.Sections[0].Rows) == 1 && b.by() == string(report.ByGroup)
	if isOneRow && b.Sections[0].Rows[0].Rank > 0 && len(figures) > 0 {
		figures = append(figures, figure{"Rank", ordinal(b.Sections[0].Rows[0].Rank), "of " + plural(b.Sections[0].Ranked, "group")})
	}
	return figures
}

// ordinal returns a number like 3rd.
func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		suffix = cmp.Or(map[int]string{1: "st", 2: "nd", 3: "rd"}[n%10], "th")
	}
	return strconv.Itoa(n) + suffix
}

func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return report.Grouped(strconv.Itoa(n)) + " " + thing
}

func (b *builder) coverage() []coverage {
	var all []coverage
	for i := range b.Coverage {
		c := &b.Coverage[i]
		line := coverage{Source: c.Title(b.show), Percent: c.Percent(), Low: c.Covered < report.Complete, More: max(0, len(c.Gaps)-report.MaxGaps)}
		for n := range min(len(c.Gaps), report.MaxGaps) {
			line.Gaps = append(line.Gaps, c.Gaps[n].Words(b.Period.From.Location()))
		}
		all = append(all, line)
	}
	return all
}
