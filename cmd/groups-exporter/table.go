package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"golang.org/x/term"
)

// output is a value of --output.
type output string

// Forms of rows.
const (
	outputTable    output = "table" // fits a terminal
	outputWide     output = "wide"  // a table with everything
	outputMarkdown output = "markdown"
	outputCSV      output = "csv"
	outputTSV      output = "tsv"
	outputJSON     output = "json"
	outputYAML     output = "yaml"
	outputHTML     output = "html"
)

// isForPeople reports whether people read a form. It is sorted as they expect.
func (o output) isForPeople() bool {
	return o == outputTable || o == outputWide || o == outputMarkdown
}

// descriptor returns the file descriptor of a stream, or -1 if it is not a file.
func descriptor(stream any) int {
	if file, ok := stream.(interface{ Fd() uintptr }); ok {
		return int(file.Fd())
	}
	return -1
}

// terminalWidth returns the width of a terminal, or 0 if the stream is something else.
func terminalWidth(stream any) int {
	width, _, _ := term.GetSize(descriptor(stream)) // -1 if it fails
	return max(width, 0)
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool { return term.IsTerminal(descriptor(stream)) }

// writeTable writes a table with borders, or one without, whose columns are two or more spaces apart. Columns of
// numbers are aligned to the right.
func writeTable(w io.Writer, borders bool, numbers []int, header []string, rows [][]string) error {
	padding := tw.CellPadding{}
	var options []tablewriter.Option
	if !borders {
		padding.Global = tw.Padding{Right: "  ", Overwrite: true}
		options = append(options, tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		}))
	}
	return render(w, padding, options, numbers, header, rows)
}

// shown returns a name as it is printed in a table of this form.
func (o output) shown(name string) string {
	if o == outputMarkdown {
		return codeSpan(name)
	}
	return printable(name)
}

// shownIfAny is like shown, and returns "" for an empty name.
func (o output) shownIfAny(name string) string {
	if name == "" {
		return ""
	}
	return o.shown(name)
}

// codeSpan returns a name as a code span of Markdown, in which GitHub interprets nothing: no emphasis, link, HTML,
// mention or issue number. A pipe would end the cell of a table even in code, so it is written as a character reference
// between two spans.
func codeSpan(name string) string {
	spans := strings.Split(printable(name), "|")
	for i, code := range spans {
		if code == "" {
			continue
		}
		fence := "`"
		for strings.Contains(code, fence) {
			fence += "`"
		}
		// A parser strips one space from each end, unless there are only spaces.
		if trimmed := strings.Trim(code, " "); trimmed != "" && strings.Trim(trimmed, "`") != code {
			code = " " + code + " "
		}
		spans[i] = fence + code + fence
	}
	return strings.Join(spans, "&#124;")
}

// writeMarkdown writes a table of Markdown. Its cells must not contain a pipe.
func writeMarkdown(w io.Writer, numbers []int, header []string, rows [][]string) error {
	return render(w, tw.CellPadding{}, []tablewriter.Option{tablewriter.WithRenderer(renderer.NewMarkdown())}, numbers, header, rows)
}

// render writes a table with its cells as they are: nothing is wrapped, trimmed or capitalized.
func render(w io.Writer, padding tw.CellPadding, options []tablewriter.Option, numbers []int, header []string, rows [][]string) error {
	alignment := tw.CellAlignment{Global: tw.AlignLeft, PerColumn: make([]tw.Align, len(header))}
	for _, column := range numbers {
		alignment.PerColumn[column] = tw.AlignRight
	}
	cells := tw.CellConfig{Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone}, Alignment: alignment, Padding: padding}
	config := tablewriter.Config{Header: cells, Row: cells, Behavior: tw.Behavior{TrimSpace: tw.Off}}
	var text bytes.Buffer // tablewriter ignores errors of a writer
	table := tablewriter.NewTable(&text, append([]tablewriter.Option{tablewriter.WithConfig(config)}, options...)...)
	table.Header(header)
	if err := table.Bulk(rows); err != nil {
		return err
	}
	if err := table.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// writeBlocks writes rows that are too wide for a table: the first cell, and the other cells below it. A cell may have
// several lines.
func writeBlocks(w io.Writer, header []string, rows [][]string) error {
	indent := blockIndent(header)
	for _, row := range rows {
		var text strings.Builder
		text.WriteString(row[0] + "\n")
		for i, title := range header[1:] {
			cell := strings.ReplaceAll(row[i+1], "\n", "\n"+strings.Repeat(" ", indent))
			fmt.Fprintln(&text, strings.TrimRight(fmt.Sprintf("  %-*s%s", indent-2, title, cell), " "))
		}
		if _, err := io.WriteString(w, text.String()); err != nil {
			return err
		}
	}
	return nil
}

// blockIndent returns the column in which the cells of writeBlocks begin.
func blockIndent(header []string) int {
	indent := 0
	for _, title := range header[1:] {
		indent = max(indent, 2+len(title)+2)
	}
	return indent
}

// tableWidth returns the width of a table with borders.
func tableWidth(header []string, rows [][]string) int {
	width := 1
	for column := range header {
		width += columnWidth(column, header, rows) + 3
	}
	return width
}

// columnWidth returns the width of a column without borders. A title may have several lines.
func columnWidth(column int, header []string, rows [][]string) int {
	width := 0
	for line := range strings.SplitSeq(header[column], "\n") {
		width = max(width, twwidth.Width(line))
	}
	for _, row := range rows {
		width = max(width, twwidth.Width(row[column]))
	}
	return width
}

// writeCSV writes a header and rows separated by commas or tabs, quoted as in RFC 4180. On a terminal, characters that
// would affect it are shown as escapes of Go. Programs get cells exactly as they are.
func writeCSV(w io.Writer, separator rune, header []string, rows [][]string) error {
	writer := csv.NewWriter(w)
	writer.Comma = separator
	if err := writer.Write(header); err != nil {
		return err
	}
	shown := isTerminal(w)
	for _, row := range rows {
		if shown {
			row = slices.Clone(row)
			for i, cell := range row {
				row[i] = oneLine(cell)
			}
		}
		if err := writer.Write(row); err != nil {
			return err
		}
	}
	writer.Flush()
	return writer.Error()
}

// writeJSON writes a value as JSON that is safe to print on a terminal.
func writeJSON(w io.Writer, value any) error {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeInvisible(text.String(), jsonEscape))
	return err
}

// writeData writes a form for programs: a value, or rows with a header.
func writeData(out io.Writer, as output, value any, header []string, rows [][]string) error {
	switch as {
	case outputJSON:
		return writeJSON(out, value)
	case outputYAML:
		return writeYAML(out, value)
	case outputTSV:
		return writeCSV(out, '\t', header, rows)
	default:
		return writeCSV(out, ',', header, rows)
	}
}
