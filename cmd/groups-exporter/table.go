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

// output is a form in which rows are written.
type output string

const (
	outputTable    output = "table"    // for eyes; fits a terminal
	outputWide     output = "wide"     // the same with everything in it
	outputCSV      output = "csv"      // for programs
	outputTSV      output = "tsv"      // for programs
	outputJSON     output = "json"     // for programs
	outputYAML     output = "yaml"     // for programs
	outputMarkdown output = "markdown" // for pages
)

// isForPeople reports whether a form is read by people. It is sorted as they expect.
func (o output) isForPeople() bool {
	return o == outputTable || o == outputWide || o == outputMarkdown
}

// terminalWidth is the width of the terminal that w writes to, or 0 where it
// writes to something else.
func terminalWidth(w io.Writer) int {
	file, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// writeTable writes a table with borders, or a plain one, whose lines a program
// can cut at two spaces. Columns of numbers are aligned to the right.
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
	var text bytes.Buffer
	if err := render(&text, padding, options, numbers, header, rows); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// shown returns a name as it is printed in a table of this form.
func (o output) shown(name string) string {
	if o == outputMarkdown {
		return codeSpan(name)
	}
	return printable(name)
}

// codeSpan returns a name as a code span of Markdown, in which GitHub interprets nothing:
// no emphasis, link, HTML, mention or issue number. Only a pipe would end the cell of a
// table, even in code, so it is written as a character reference between two spans.
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

// writeMarkdown writes a table of Markdown, in whose cells there is no pipe.
func writeMarkdown(w io.Writer, numbers []int, header []string, rows [][]string) error {
	var text bytes.Buffer // the renderer forgets errors of a writer
	if err := render(&text, tw.CellPadding{}, []tablewriter.Option{tablewriter.WithRenderer(renderer.NewMarkdown())}, numbers, header, rows); err != nil {
		return err
	}
	_, err := text.WriteTo(w)
	return err
}

// render leaves cells as they are: nothing is wrapped, trimmed or capitalized.
func render(w *bytes.Buffer, padding tw.CellPadding, options []tablewriter.Option, numbers []int, header []string, rows [][]string) error {
	alignment := tw.CellAlignment{Global: tw.AlignLeft, PerColumn: make([]tw.Align, len(header))}
	for _, column := range numbers {
		alignment.PerColumn[column] = tw.AlignRight
	}
	config := tablewriter.Config{
		Header: tw.CellConfig{
			Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
			Alignment:  alignment,
			Padding:    padding,
		},
		Row: tw.CellConfig{
			Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone},
			Alignment:  alignment,
			Padding:    padding,
		},
		Behavior: tw.Behavior{TrimSpace: tw.Off},
	}
	table := tablewriter.NewTable(w, append([]tablewriter.Option{tablewriter.WithConfig(config)}, options...)...)
	table.Header(header)
	if err := table.Bulk(rows); err != nil {
		return err
	}
	return table.Render()
}

// writeBlocks writes what is too wide for a table: the first cell of a row, and the others below.
// A cell may have several lines.
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

// tableWidth is how wide a table with borders is.
func tableWidth(header []string, rows [][]string) int {
	width := 1
	for column := range header {
		width += columnWidth(column, header, rows) + 3
	}
	return width
}

func columnWidth(column int, header []string, rows [][]string) int {
	width := twwidth.Width(header[column])
	for _, row := range rows {
		width = max(width, twwidth.Width(row[column]))
	}
	return width
}

// writeCSV writes a header and rows separated by commas or tabs, quoted where
// needed according to RFC 4180. Programs get cells exactly as they are. On a terminal,
// characters that would affect it are shown as Go escapes.
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

// writeJSON writes a value for people and programs.
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
