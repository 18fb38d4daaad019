package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/reporthtml"
)

func reportOutputs() []output {
	return []output{outputTable, outputCSV, outputTSV, outputJSON, outputYAML, outputMarkdown, outputHTML}
}

// writeReport writes a report. On a terminal, a table fits its width.
func writeReport(w io.Writer, r *report.Report, as output) error {
	switch as {
	case outputCSV, outputTSV:
		header, rows := reportCells(r)
		return writeCSV(w, map[output]rune{outputCSV: ',', outputTSV: '\t'}[as], header, rows)
	case outputJSON:
		return writeJSON(w, reportRecord(r))
	case outputYAML:
		return writeYAML(w, reportRecord(r))
	case outputHTML:
		return reporthtml.Write(w, r, printable)
	}
	text := reportText{Report: r, as: as, width: terminalWidth(w)}
	if err := text.write(); err != nil {
		return err
	}
	_, err := text.WriteTo(w)
	return err
}

// reportCells returns the rows of all periods, without totals.
func reportCells(r *report.Report) (header []string, rows [][]string) {
	columns := r.Columns()
	for _, column := range columns {
		header = append(header, column.Name)
	}
	for _, section := range r.Sections {
		for _, row := range section.Rows {
			cells := make([]string, len(columns))
			for i, column := range columns {
				cells[i] = column.Exact(section, row)
			}
			rows = append(rows, cells)
		}
	}
	return header, rows
}

// reportText is a report for people: a table with remarks above it, and definitions and the coverage below it.
type reportText struct {
	*report.Report
	bytes.Buffer
	as    output
	width int
}

func (t *reportText) write() error {
	t.writeHead()
	columns, omitted := t.columns()
	if err := t.writeRows(columns); err != nil {
		return err
	}
	if len(omitted) > 0 {
		fmt.Fprint(t, "\n")
		t.line("", "Not shown, for lack of room: "+strings.Join(omitted, ", ")+". A wider terminal and --output csv show them.")
	}
	t.writeDefinitions(columns)
	t.writeCoverage()
	return nil
}

// line writes a mark and a text. On a terminal, it wraps the text, and indents further lines by the width of the mark.
func (t *reportText) line(mark, text string) {
	if t.as == outputMarkdown {
		fmt.Fprintln(t, mark+markdownText(text))
		return
	}
	writeLine(t, t.width, mark, oneLine(text), "")
}

// heading writes the heading of a part.
func (t *reportText) heading(text string) {
	if t.as == outputMarkdown {
		fmt.Fprintf(t, "\n## %s\n\n", text)
		return
	}
	fmt.Fprintf(t, "\n%s\n", text)
}

func (t *reportText) writeHead() {
	mark, between := "", ""
	if t.as == outputMarkdown {
		mark, between = "# ", "\n" // each line is a paragraph
	}
	title := fmt.Sprintf("Usage of %s, %s (%s)", t.Hubs(t.as.shown), t.Period, t.Zone())
	if t.as == outputMarkdown {
		fmt.Fprintln(t, mark+title)
	} else {
		t.line("", title)
	}
	for _, line := range t.Incomplete(printable) {
		fmt.Fprint(t, between)
		t.line("", "INCOMPLETE: "+line+". "+report.UsageInGaps)
	}
	for _, line := range slices.Concat([]string{t.AttributionWords(), t.TotalWords()}, t.Notes) {
		if line != "" {
			fmt.Fprint(t, between)
			t.line("", line)
		}
	}
	fmt.Fprint(t, "\n")
}

// columns returns the columns that have data and fit the terminal, and the titles of those that don't fit. If even the
// most important ones don't fit, it returns all: they are written one below the other.
func (t *reportText) columns() (columns []*report.Column, omitted []string) {
	for _, column := range t.Columns() {
		if column.Kind != report.Metadata && t.HasData(column) {
			columns = append(columns, column)
		}
	}
	all := columns
	for _, measure := range t.expendable(columns) {
		if t.width == 0 || tableWidth(t.header(columns), t.rows(columns)) <= t.width {
			return columns, omitted
		}
		columns = slices.DeleteFunc(slices.Clone(columns), func(c *report.Column) bool { return c.Kind == report.Amount && c.Measure == measure })
		omitted = append(omitted, measure.Noun())
	}
	if t.width > 0 && tableWidth(t.header(columns), t.rows(columns)) > t.width {
		return all, nil
	}
	return columns, omitted
}

// expendable returns the measures of columns in the order in which they are left out of a narrow table: first those
// that are 0 everywhere. The measure that shares are of is always shown.
func (t *reportText) expendable(columns []*report.Column) []report.Measure {
	order := []report.Measure{
		report.GPUSlices, report.Sessions, report.CPURequested, report.MemoryRequested, report.CPUCharged, report.MemoryCharged,
		report.Home, report.GPU, report.ActiveUsers, report.ServerHours, report.CPU, report.Memory,
	}
	shown := func(m report.Measure) bool {
		return m != t.Options.ShareOf && slices.ContainsFunc(columns, func(c *report.Column) bool { return c.Kind == report.Amount && c.Measure == m })
	}
	order = slices.DeleteFunc(order, func(m report.Measure) bool { return !shown(m) })
	used := func(m report.Measure) int {
		if slices.ContainsFunc(t.Sections, func(s *report.Section) bool { return s.Total.Amounts[m] != 0 }) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(order, func(a, b report.Measure) int { return used(a) - used(b) })
	return order
}

// header returns the titles of columns. On a terminal, units are on a line of their own.
func (t *reportText) header(columns []*report.Column) []string {
	var header []string
	if len(t.Sections) > 1 {
		header = append(header, t.title("Period"))
	}
	for _, column := range columns {
		title := t.title(column.Title)
		switch {
		case column.Unit == "":
		case t.width > 0 && t.as == outputTable:
			title += "\n" + oneLine(column.Unit)
		case t.as == outputMarkdown:
			title += " (" + markdownText(column.Unit) + ")"
		default:
			title += " (" + oneLine(column.Unit) + ")"
		}
		header = append(header, title)
	}
	return header
}

// title returns a title as this output format writes it.
func (t *reportText) title(text string) string {
	if t.as == outputMarkdown {
		return text
	}
	return strings.ToUpper(text)
}

// rows returns the cells of columns. The last row of each period is its total.
func (t *reportText) rows(columns []*report.Column) [][]string {
	var rows [][]string
	for _, section := range t.Sections {
		for _, row := range append(slices.Clip(section.Rows), section.Total) {
			var cells []string
			if len(t.Sections) > 1 {
				cells = append(cells, section.Period.Short())
			}
			for i, column := range columns {
				switch {
				case column.IsNumber():
					cells = append(cells, column.Shown(section, row))
				case row != section.Total:
					cells = append(cells, t.as.shown(column.Exact(section, row)))
				case i == 0:
					cells = append(cells, t.title("Total"))
				default:
					cells = append(cells, "")
				}
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func (t *reportText) writeRows(columns []*report.Column) error {
	header, rows := t.header(columns), t.rows(columns)
	var numbers []int
	for i := range columns {
		if columns[i].IsNumber() {
			numbers = append(numbers, len(header)-len(columns)+i)
		}
	}
	switch {
	case t.as == outputMarkdown:
		return writeMarkdown(t, numbers, header, rows)
	case t.width > 0 && tableWidth(header, rows) > t.width:
		for i := range header {
			header[i] = strings.ReplaceAll(header[i], "\n", ", ")
		}
		return writeBlocks(t, header, rows)
	default:
		return writeTable(t, t.width > 0, numbers, header, rows)
	}
}

func (t *reportText) writeDefinitions(columns []*report.Column) {
	t.heading("Definitions")
	width := 0
	for _, column := range columns {
		width = max(width, len(column.Title))
	}
	for _, pseudo := range t.PseudoGroups() {
		width = max(width, len(pseudo.Name))
	}
	var missing []string
	for _, column := range t.Columns() {
		switch {
		case !t.HasData(column):
			missing = append(missing, column.Header())
		case column.Definition == "" || !slices.ContainsFunc(columns, func(c *report.Column) bool { return c.Name == column.Name }):
		case t.as == outputMarkdown:
			t.line("- ", column.Header()+": "+column.Definition)
		default:
			t.line(fmt.Sprintf("  %-*s  ", width, strings.ToUpper(column.Title)), column.Definition)
		}
	}
	for _, pseudo := range t.PseudoGroups() {
		if t.as == outputMarkdown {
			t.line("- ", pseudo.Name+": "+pseudo.Definition)
		} else {
			t.line(fmt.Sprintf("  %-*s  ", width, pseudo.Name), pseudo.Definition)
		}
	}
	if len(missing) > 0 {
		fmt.Fprint(t, "\n")
		t.line("", "No data, and therefore no column: "+strings.Join(missing, ", "))
	}
}

func (t *reportText) writeCoverage() {
	if len(t.Coverage) == 0 {
		return
	}
	t.heading("Coverage")
	mark := map[output]string{outputTable: "  ", outputMarkdown: "- "}[t.as]
	for i := range t.Coverage {
		c := &t.Coverage[i]
		var gaps []string
		for n := range min(len(c.Gaps), report.MaxGaps) {
			gaps = append(gaps, c.Gaps[n].Words(t.Period.From.Location()))
		}
		if more := len(c.Gaps) - report.MaxGaps; more > 0 {
			gaps = append(gaps, fmt.Sprintf("and %d more, which --output json lists", more))
		}
		line := c.Title(printable) + ": " + c.Percent()
		if len(gaps) > 0 {
			line += ", gaps: " + strings.Join(gaps, ", ")
		}
		t.line(mark, line)
	}
}

// markdownText returns text on one line in which Markdown finds no emphasis, link, HTML or cell.
func markdownText(text string) string {
	return strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "~", `\~`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", "&#124;", "#", `\#`, "$", `\$`,
	).Replace(oneLine(text))
}
