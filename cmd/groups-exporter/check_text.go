package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

// marks are how lines begin: with words in a pipe, and with signs on a terminal.
type marks struct{ ok, missing, optional, warning string }

// writeText writes the report for people. If nothing required is missing, its last line says so.
func (r *checkReport) writeText(out io.Writer) error {
	width := terminalWidth(out)
	sign := marks{"ok        ", "missing   ", "optional  ", "warning   "}
	if width > 0 {
		sign = marks{"✓ ", "✗ ", "– ", "! "}
	}
	var text bytes.Buffer
	if r.hubReport != nil {
		if err := r.hubReport.writeText(&text, width, sign); err != nil {
			return err
		}
	}
	if r.hubReport != nil && r.Prometheus != nil {
		text.WriteString("\n")
	}
	if r.Prometheus != nil {
		r.Prometheus.writeText(&text, width, sign)
	}
	if r.verdict() == nil {
		text.WriteString("\n")
		writeLine(&text, width, "", r.success(), "")
	}
	_, err := text.WriteTo(out)
	return err
}

func (r *hubReport) writeText(text *bytes.Buffer, width int, sign marks) error {
	line := func(mark, what, note string) { writeLine(text, width, mark, what, note) }
	line("hub      ", r.Hub, "")
	line("version  ", printable(r.Version), "")
	line("token    ", strings.TrimSpace(oneLine(r.Token.Kind)+" "+printable(r.Token.Name)), "")
	if r.found.HasPages() {
		line("users    ", count(r.Users), "")
		line("groups   ", count(r.Groups), "")
		if cost := r.cost(); cost != "" {
			line("refresh  ", cost, "")
		}
		text.WriteString("\n")
		for _, can := range r.Can {
			switch {
			case can.OK:
				line(sign.ok, can.What, "")
			case can.required:
				line(sign.missing, can.What, "needs "+lackText(can.lack))
			default:
				line(sign.optional, can.What, "needs "+lackText(can.lack))
			}
		}
	}
	if len(r.Warnings) > 0 {
		text.WriteString("\n")
	}
	for _, warning := range r.Warnings {
		line(sign.warning, oneLine(warning), "")
	}
	if r.found.HasPages() && len(r.missing()) > 0 {
		return r.writeRemedy(text)
	}
	return nil
}

func count(n *int) string {
	if n == nil {
		return "not known"
	}
	return strconv.Itoa(*n)
}

// cost describes what a refresh takes. It returns "" if the token can't read users, or the
// number of requests is unknown.
func (r *hubReport) cost() string {
	requests := r.found.Requests()
	if requests <= 0 {
		return ""
	}
	text := fmt.Sprintf("%d requests", requests)
	if requests == 1 {
		text = "1 request"
	}
	switch {
	case r.PageLimit == nil:
		return text + ", no limit for a page"
	case *r.PageLimit < fullPage:
		return fmt.Sprintf("%s: the hub gives %d a page (api_page_max_limit)", text, *r.PageLimit)
	default:
		return fmt.Sprintf("%s, %d a page", text, *r.PageLimit)
	}
}

// writeLine writes a mark, what it is about and a note in a column of their own. On a
// terminal, width is more than 0, and what doesn't fit goes on below the text.
func writeLine(w io.Writer, width int, mark, what, note string) {
	line := what
	if note != "" {
		line = fmt.Sprintf("%-22s  %s", what, note)
	}
	room := width - twwidth.Width(mark)
	if width == 0 || twwidth.Width(line) <= room {
		fmt.Fprintln(w, mark+line)
		return
	}
	indent := strings.Repeat(" ", twwidth.Width(mark))
	lines := wrap(what, room)
	if note != "" {
		lines = append(lines, wrap(note, room)...)
	}
	fmt.Fprintln(w, mark+strings.Join(lines, "\n"+indent))
}

// wrap breaks text at spaces into lines of a width, where its words allow it.
func wrap(text string, width int) []string {
	var lines []string
	for word := range strings.SplitSeq(text, " ") {
		if last := len(lines) - 1; last >= 0 && twwidth.Width(lines[last]+" "+word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
