package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

// marks are the beginnings of lines: words in a pipe, and signs on a terminal.
type marks struct{ ok, missing, optional, warning string }

// writeText writes the report for people. If nothing required is missing, the last line says so.
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
		text.WriteString("\nok: nothing that serve needs is missing\n")
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
			mark, note := sign.optional, "needs "+lackText(can.lack)
			switch {
			case can.OK:
				mark, note = sign.ok, ""
			case can.required:
				mark = sign.missing
			}
			line(mark, can.What, note)
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

// cost describes the requests of a refresh. It returns "" if their number is unknown, as when the token can't read
// users.
func (r *hubReport) cost() string {
	requests := r.found.Requests()
	if requests <= 0 {
		return ""
	}
	text := plural(requests, "request")
	switch {
	case r.PageLimit == nil:
		return text + ", no limit for a page"
	case *r.PageLimit < fullPage:
		return fmt.Sprintf("%s: the hub gives %d a page (api_page_max_limit)", text, *r.PageLimit)
	default:
		return fmt.Sprintf("%s, %d a page", text, *r.PageLimit)
	}
}

// writeLine writes a line with a mark, a text and a note. If they don't fit the width of a terminal, the note begins on
// the next line. In a pipe, width is 0.
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
	lines := wrap(strings.Split(what, " "), room)
	if note != "" {
		lines = append(lines, wrap(strings.Split(note, " "), room)...)
	}
	fmt.Fprintln(w, mark+strings.Join(lines, "\n"+indent))
}

// wrap joins words to lines. A line is wider than width only if it is a single word.
func wrap(words []string, width int) []string {
	var lines []string
	for _, word := range words {
		if last := len(lines) - 1; last >= 0 && twwidth.Width(lines[last]+" "+word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
