package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

// listTable is a table whose last column holds lists of names.
type listTable struct {
	header  []string
	numbers []int // the columns with numbers
	rows    []listRow
	total   string
}

type listRow struct {
	cells []string
	names []string
}

func (t *listTable) add(names []string, cells ...string) {
	t.rows = append(t.rows, listRow{cells, names})
}

// write writes the table in a form for people. On a terminal that is too narrow for all names, outputTable shows some
// of them. Rows are written one below the other if there is little room for names, or if all have to be shown.
func (t *listTable) write(out io.Writer, as output) error {
	all := t.cells(func(names []string) string { return strings.Join(shownInList(as, names), ", ") })
	if as == outputMarkdown {
		return writeMarkdown(out, t.numbers, t.header, all)
	}
	width := terminalWidth(out)
	last := len(t.header[len(t.header)-1])
	room := width - tableWidth(t.header, t.cells(func([]string) string { return "" })) + last
	var err error
	switch fits := tableWidth(t.header, all) <= width; {
	case width == 0 || fits:
		err = writeTable(out, fits, t.numbers, t.header, all)
	case as == outputWide || len(t.rows) == 1 || room < max(last, width/3):
		err = writeBlocks(out, t.header, t.cells(func(names []string) string {
			return strings.Join(wrap(withCommas(shownInList(as, names)), width-blockIndent(t.header)), "\n")
		}))
	default:
		err = writeTable(out, true, t.numbers, t.header, t.cells(func(names []string) string { return firstNames(shownInList(as, names), room) }))
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, "\n"+t.total+"\n")
	return err
}

// cells returns the rows with the names joined to a last cell.
func (t *listTable) cells(join func(names []string) string) [][]string {
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		rows[i] = append(slices.Clip(row.cells), join(row.names))
	}
	return rows
}

// shownInList returns names as they are printed in a list with commas between them.
func shownInList(as output, names []string) []string {
	shown := make([]string, len(names))
	for i, name := range names {
		if as != outputMarkdown && strings.Contains(name, ",") {
			shown[i] = quote(name) // it would look like two
		} else {
			shown[i] = as.shown(name)
		}
	}
	return shown
}

// withCommas returns words with a comma after each but the last.
func withCommas(words []string) []string {
	for i := range len(words) - 1 {
		words[i] += ","
	}
	return words
}

// cut cuts a text to a width. An ellipsis stands for what is missing.
func cut(text string, width int) string {
	if twwidth.Width(text) <= width {
		return text
	}
	return twwidth.Truncate(text, width-1) + "…"
}

// firstNames joins as many names as there is room for. "+3" stands for three more.
func firstNames(names []string, room int) string {
	text := ""
	for i, name := range names {
		next, more := name, ""
		if i > 0 {
			next = text + ", " + name
		}
		if left := len(names) - i - 1; left > 0 {
			more = fmt.Sprintf(" +%d", left)
		}
		switch {
		case twwidth.Width(next+more) <= room:
			text = next
		case i == 0:
			return cut(next, max(room-len(more), 2)) + more
		default:
			return fmt.Sprintf("%s +%d", text, len(names)-i)
		}
	}
	return text
}
