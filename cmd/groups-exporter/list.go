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

// add adds a row.
func (t *listTable) add(names []string, cells ...string) {
	t.rows = append(t.rows, listRow{cells, names})
}

// write writes the table in a form for people. On a terminal, a table is as wide as that. If it
// must show all names and they don't fit, rows are written one below the other.
func (t *listTable) write(out io.Writer, as output) error {
	if as == outputMarkdown {
		return writeMarkdown(out, t.numbers, t.header, t.cells(as, 0))
	}
	width := terminalWidth(out)
	all := t.cells(as, 0)
	fits := tableWidth(t.header, all) <= width
	var err error
	switch {
	case width == 0 || fits:
		err = writeTable(out, fits, t.numbers, t.header, all)
	case as == outputWide || len(t.rows) == 1:
		err = writeBlocks(out, t.header, t.wrapped(as, width-blockIndent(t.header)))
	default:
		room := fit(width, t.header, t.rows)
		err = writeTable(out, true, t.numbers, t.header, t.cells(as, room))
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, "\n"+t.total+"\n")
	return err
}

// cells returns the rows, with as many names as there is room for, or with all for 0.
func (t *listTable) cells(as output, room int) [][]string {
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		rows[i] = append(slices.Clip(row.cells), joinNames(as, row.names, room))
	}
	return rows
}

// wrapped returns the rows with all names, on lines of a width.
func (t *listTable) wrapped(as output, width int) [][]string {
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		rows[i] = append(slices.Clip(row.cells), wrapNames(as, row.names, width))
	}
	return rows
}

// wrapNames joins names to lines that fit a width. A name that is wider gets its own line.
func wrapNames(as output, names []string, width int) string {
	var text strings.Builder
	column := 0
	for i, name := range names {
		shown := shownInList(as, name)
		if i < len(names)-1 {
			shown += ","
		}
		switch needed := twwidth.Width(shown); {
		case column == 0:
			column = needed
		case column+1+needed <= width:
			shown = " " + shown
			column += 1 + needed
		default:
			shown = "\n" + shown
			column = needed
		}
		text.WriteString(shown)
	}
	return text.String()
}

// shownInList returns a name as it is printed in a list of names that are separated by commas.
func shownInList(as output, name string) string {
	if as != outputMarkdown && strings.Contains(name, ",") {
		return quote(name) // it would look like two
	}
	return as.shown(name)
}

// fit makes a table with borders as wide as the terminal: it gives the room for
// the list of names, and where that would be little, cuts the rows' first cells.
func fit(width int, header []string, rows []listRow) int {
	cells := make([][]string, len(rows))
	for i, row := range rows {
		cells[i] = append(slices.Clip(row.cells), "")
	}
	last := header[len(header)-1]
	room := width - tableWidth(header, cells) + len(last)
	least := max(len(last), width/3)
	if room >= least {
		return room
	}
	first := max(columnWidth(0, header, cells)-(least-room), len(header[0])+1)
	for i := range rows {
		rows[i].cells[0] = cut(rows[i].cells[0], first)
		cells[i][0] = rows[i].cells[0]
	}
	return max(width-tableWidth(header, cells)+len(last), len(last))
}

// cut cuts text to a width, with a sign where something is missing.
func cut(text string, width int) string {
	if twwidth.Width(text) <= width {
		return text
	}
	return twwidth.Truncate(text, width-1) + "…"
}

// joinNames joins names, as many as there is room for; 0 is room for all. "+3"
// stands for three that were left off.
func joinNames(as output, names []string, room int) string {
	var joined strings.Builder
	for i, name := range names {
		next := shownInList(as, name)
		if i > 0 {
			next = ", " + next
		}
		more := ""
		if left := len(names) - i - 1; left > 0 {
			more = fmt.Sprintf(" +%d", left)
		}
		if room > 0 && twwidth.Width(joined.String()+next+more) > room {
			if i == 0 {
				return cut(next, max(room-len(more), 2)) + more
			}
			fmt.Fprintf(&joined, " +%d", len(names)-i)
			return joined.String()
		}
		joined.WriteString(next)
	}
	return joined.String()
}
