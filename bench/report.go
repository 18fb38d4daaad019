package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// addTable adds a table in Markdown to a report. The first row is the header.
func addTable(report *strings.Builder, rows [][]string) {
	report.WriteString("\n")
	cells := tw.CellConfig{Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone}, Alignment: tw.CellAlignment{Global: tw.AlignLeft}}
	t := tablewriter.NewTable(report, tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells}), tablewriter.WithRenderer(renderer.NewMarkdown()))
	t.Header(rows[0])
	check(t.Bulk(rows[1:]))
	check(t.Render())
}

// withRatio returns a duration, and how many times as long as the limit it is.
func withRatio(got, limit time.Duration) string {
	ratio, digits := float64(got)/float64(limit), 1
	if ratio >= 10 {
		digits = 0
	}
	return fmt.Sprintf("%s (%.*f×)", duration(got), digits, ratio)
}

// duration returns a duration with three digits.
func duration(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// memory returns the resident memory of a process and its peak as cells of a table.
func (c *process) memory() []string {
	now, peak := c.resident()
	return []string{fmt.Sprintf("%.1f MiB", float64(now)/(1<<20)), fmt.Sprintf("%.1f MiB", float64(peak)/(1<<20))}
}
