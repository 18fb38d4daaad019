package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// report collects the results in tables.
type report struct {
	tables                     strings.Builder
	markdown                   bool
	memory, refreshes, targets [][]string // rows of the tables that cover all sizes
	// For each size: how much longer than the limit the exporter takes with gzip, and how often it allocates.
	allocations []float64
}

// addTarget adds a target of the project, the measured value, and whether the target is met.
func (r *report) addTarget(met bool, want, got string) {
	r.targets = append(r.targets, []string{want, got, map[bool]string{true: "yes", false: "NO"}[met]})
}

func (r *report) addScrapes(s size, all []*contestant) {
	var rows [][]string
	exporter, limit := all[0], all[1]
	for _, encoding := range encodings() {
		limit := limit.byEncoding[encoding]
		for _, c := range all {
			got := c.byEncoding[encoding]
			allocations := "not counted"
			if !c.isPython() {
				allocations = fmt.Sprintf("%.0f%s", got.allocations, ratio(got.allocations, limit.allocations))
			}
			each := func(s *scrapes) time.Duration { return s.cpu / time.Duration(len(s.took)) }
			rows = append(rows, []string{
				c.name, map[string]string{"gzip": "gzip", "identity": "plain"}[encoding], strconv.Itoa(len(got.took)), withRatio(got.median(), limit.median()),
				withRatio(quantile(got.took, 0.99), quantile(limit.took, 0.99)), withRatio(each(got), each(limit)), allocations, thousands(got.bytes),
			})
		}
	}
	r.addTable([]string{thousands(s.series) + " series", "encoding", "scrapes", "median", "p99", "CPU", "allocations", "bytes"}, rows)

	gzip := float64(exporter.byEncoding["gzip"].median()) / float64(limit.byEncoding["gzip"].median())
	r.addTarget(gzip <= 1.3, "gzip takes 1.3 times the limit at most, "+thousands(s.series)+" series", fmt.Sprintf("%.2f", gzip))
	r.allocations = append(r.allocations, exporter.byEncoding["gzip"].allocations)
}

func (r *report) addMemory(s size, all []*contestant) {
	limitNow, limitPeak := all[1].resident()
	for _, c := range all {
		now, peak := c.resident()
		r.memory = append(r.memory, []string{thousands(s.series), c.name, bytesWithRatio(now, limitNow), bytesWithRatio(peak, limitPeak)})
	}
}

func (r *report) addRefresh(data population, name string, c *child, cpu, wall time.Duration) {
	now, peak := c.resident()
	series := data.series()
	row := []string{name, thousands(len(data.users)), thousands(series), duration(cpu), duration(wall), mebibytes(now), mebibytes(peak)}
	if slices.ContainsFunc(r.refreshes, func(before []string) bool { return slices.Equal(before[:3], row[:3]) }) {
		return // the Python exporter was restarted for the concurrent scrapes
	}
	if r.refreshes = append(r.refreshes, row); name != nameExporter {
		return
	}
	after := fmt.Sprintf(" after %d scrapes and %d refreshes", scrapesOfMemory, refreshes)
	switch {
	case series == 20_000:
		r.addTarget(now <= 20<<20, "20 MiB resident at most"+after+", 20,000 series", mebibytes(now))
	case series == 200_000:
		r.addTarget(now <= 35<<20, "35 MiB resident at most"+after+", 200,000 series", mebibytes(now))
		r.addTarget(peak <= 60<<20, "60 MiB at most at the peak of refreshes, 200,000 series", mebibytes(peak))
	case len(data.users) == 100_000:
		r.addTarget(cpu <= 800*time.Millisecond, "a refresh of 100,000 users takes 0.8 s of CPU at most", duration(cpu))
	}
}

func (r *report) addConcurrent(s size, all []concurrentResult) {
	var rows [][]string
	for _, c := range all {
		limit := all[1]
		rows = append(rows, []string{
			c.name, fmt.Sprintf("%.0f/s%s", c.rate(), ratio(c.rate(), limit.rate())), withRatio(quantile(c.took, 0.99), quantile(limit.took, 0.99)),
			strconv.Itoa(c.failed), bytesWithRatio(c.now, limit.now), bytesWithRatio(c.peak, limit.peak),
		})
	}
	r.addTable([]string{fmt.Sprintf("%d scrapers, %s series", fastReaders+slowReaders+1, thousands(s.series)), "throughput", "p99 of the fast", "failed", "resident", "peak"}, rows)
}

// finish completes the report and returns it as text.
func (r *report) finish(o options) string {
	r.addTable([]string{"series", "memory after those scrapes", "resident", "peak"}, r.memory)
	r.addTable([]string{"refresh", "users", "series", "CPU", "wall", "resident", "peak"}, r.refreshes)
	most := slices.Max(r.allocations)
	r.addTarget(most <= 100, "gzip allocates 100 times at most, whatever the number of series", fmt.Sprintf("%.0f", most))
	r.addTable([]string{"target", "measured", "met"}, r.targets)
	python := "The Python exporter was not measured. To measure it, name its interpreter with -python."
	if o.python != "" {
		python = fmt.Sprintf("The Python exporter was measured up to %s series. It doesn't compress. Its refresh is the first one after the start.", thousands(o.maxPythonSeries))
	}
	return fmt.Sprintf("%s, %s, %d cores (%s), seed %d, %d rounds. %s\n%s", runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), processor(), o.seed, o.rounds, python, r.tables.String())
}

// addTable adds a table in the output format.
func (r *report) addTable(header []string, rows [][]string) {
	r.tables.WriteString("\n")
	left := tw.CellConfig{Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone}, Alignment: tw.CellAlignment{Global: tw.AlignLeft}}
	options := []tablewriter.Option{tablewriter.WithConfig(tablewriter.Config{Header: left, Row: left})}
	if r.markdown {
		options = append(options, tablewriter.WithRenderer(renderer.NewMarkdown()))
	}
	t := tablewriter.NewTable(&r.tables, options...)
	t.Header(header)
	check(t.Bulk(rows))
	check(t.Render())
}

func withRatio(got, limit time.Duration) string {
	return duration(got) + ratio(float64(got), float64(limit))
}

func bytesWithRatio(got, limit int) string {
	return mebibytes(got) + ratio(float64(got), float64(limit))
}

// ratio returns got as a multiple of the limit, with at least two significant digits.
func ratio(got, limit float64) string {
	n := got / limit
	return fmt.Sprintf(" (%.*f×)", max(0, 1-int(math.Floor(math.Log10(n)))), n)
}

func duration(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	default:
		return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
	}
}

func mebibytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// processor returns the model of the processor, or "unknown".
func processor() string {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/cpuinfo")))) {
		if name, model, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return "unknown"
}
