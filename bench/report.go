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

// report is what was measured, as tables.
type report struct {
	tables                     strings.Builder
	markdown                   bool
	memory, refreshes, targets [][]string // rows of tables that all sizes add to
	// What gzip takes beyond the limit, and allocates, at each size.
	beyond      []time.Duration
	allocations []float64
}

// target adds what the project wants, and whether it has it.
func (r *report) target(met bool, want, got string) {
	r.targets = append(r.targets, []string{want, got, map[bool]string{true: "yes", false: "NO"}[met]})
}

func (r *report) scrapesOf(s size, all []*contestant) {
	var rows [][]string
	us, limit := all[0], all[1]
	for _, encoding := range encodings() {
		limit := limit.of[encoding]
		for _, c := range all {
			got := c.of[encoding]
			allocations := "not counted"
			if !c.isPython() {
				allocations = fmt.Sprintf("%.0f%s", got.allocations, ratio(got.allocations, limit.allocations))
			}
			each := func(s *scrapes) time.Duration { return s.cpu / time.Duration(len(s.took)) }
			rows = append(rows, []string{
				c.name, map[string]string{"gzip": "gzip", "identity": "plain"}[encoding], strconv.Itoa(len(got.took)), against(got.median(), limit.median()),
				against(quantile(got.took, 0.99), quantile(limit.took, 0.99)), against(each(got), each(limit)), allocations, thousands(got.bytes),
			})
		}
	}
	r.table([]string{thousands(s.series) + " series", "encoding", "scrapes", "median", "p99", "CPU", "allocations", "bytes"}, rows)

	times := func(encoding string) float64 {
		return float64(us.of[encoding].median()) / float64(limit.of[encoding].median())
	}
	gzip := times("gzip")
	r.target(gzip <= 1.3, "gzip takes 1.3 times the limit at most, "+thousands(s.series)+" series", fmt.Sprintf("%.2f", gzip))
	if plain := times("identity"); s.series == 200_000 {
		r.target(plain <= 3.5, "plain takes 3.5 times the limit at most, 200,000 series", fmt.Sprintf("%.2f", plain))
	}
	r.beyond = append(r.beyond, us.of["gzip"].median()-limit.of["gzip"].median())
	r.allocations = append(r.allocations, us.of["gzip"].allocations)
}

func (r *report) memoryOf(s size, all []*contestant) {
	limitNow, limitPeak := all[1].resident()
	for _, c := range all {
		now, peak := c.resident()
		r.memory = append(r.memory, []string{thousands(s.series), c.name, bytesAgainst(now, limitNow), bytesAgainst(peak, limitPeak)})
	}
}

func (r *report) refreshOf(c campus, name string, p *child, cpu, wall time.Duration) {
	now, peak := p.resident()
	series := c.series()
	row := []string{name, thousands(len(c.users)), thousands(series), duration(cpu), duration(wall), mebibytes(now), mebibytes(peak)}
	if slices.ContainsFunc(r.refreshes, func(before []string) bool { return slices.Equal(before[:3], row[:3]) }) {
		return // the Python exporter began again, for the crowd
	}
	if r.refreshes = append(r.refreshes, row); name != nameExporter {
		return
	}
	after := fmt.Sprintf(" after %d scrapes and %d refreshes", scrapesOfMemory, refreshes)
	switch {
	case series == 20_000:
		r.target(now <= 20<<20, "20 MiB resident at most"+after+", 20,000 series", mebibytes(now))
	case series == 200_000:
		r.target(now <= 35<<20, "35 MiB resident at most"+after+", 200,000 series", mebibytes(now))
		r.target(peak <= 60<<20, "60 MiB at most at the peak of refreshes, 200,000 series", mebibytes(peak))
	case len(c.users) == 100_000:
		r.target(cpu <= 800*time.Millisecond, "a refresh of 100,000 users takes 0.8 s of CPU at most", duration(cpu))
	}
}

func (r *report) crowdOf(s size, all []crowded) {
	var rows [][]string
	for _, c := range all {
		limit := all[1]
		rows = append(rows, []string{
			c.name, fmt.Sprintf("%.0f/s%s", c.rate(), ratio(c.rate(), limit.rate())), against(quantile(c.took, 0.99), quantile(limit.took, 0.99)),
			strconv.Itoa(c.failed), bytesAgainst(c.now, limit.now), bytesAgainst(c.peak, limit.peak),
		})
	}
	r.table([]string{fmt.Sprintf("%d scrapers, %s series", quickReaders+slowReaders+1, thousands(s.series)), "throughput", "p99 of the quick", "failed", "resident", "peak"}, rows)
}

// finish gives all tables as text.
func (r *report) finish(o options) string {
	r.table([]string{"series", "memory after those scrapes", "resident", "peak"}, r.memory)
	r.table([]string{"refresh", "users", "series", "CPU", "wall", "resident", "peak"}, r.refreshes)
	last := len(r.beyond) - 1
	// A tenth of a millisecond is what noise can be.
	r.target(r.beyond[last] <= max(2*r.beyond[0], 100*time.Microsecond),
		"what gzip takes beyond the limit doesn't grow with the series", duration(r.beyond[0])+" and "+duration(r.beyond[last]))
	r.target(max(r.allocations[0], r.allocations[last]) <= 100,
		"gzip allocates 100 times at most", fmt.Sprintf("%.0f and %.0f", r.allocations[0], r.allocations[last]))
	r.table([]string{"target", "measured", "met"}, r.targets)
	python := "The Python exporter was not measured: -python names an interpreter that has it."
	if o.python != "" {
		python = fmt.Sprintf("The Python exporter was measured up to %s series. It doesn't compress, and its refresh is its first.", thousands(o.pythonMost))
	}
	return fmt.Sprintf("%s, %s, %d cores (%s), seed %d, %d rounds. %s\n%s", runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), processor(), o.seed, o.rounds, python, r.tables.String())
}

// table adds a table in the form that was asked for.
func (r *report) table(header []string, rows [][]string) {
	r.tables.WriteString("\n")
	left := tw.CellConfig{Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone}, Alignment: tw.CellAlignment{Global: tw.AlignLeft}}
	form := []tablewriter.Option{tablewriter.WithConfig(tablewriter.Config{Header: left, Row: left})}
	if r.markdown {
		form = append(form, tablewriter.WithRenderer(renderer.NewMarkdown()))
	}
	t := tablewriter.NewTable(&r.tables, form...)
	t.Header(header)
	check(t.Bulk(rows))
	check(t.Render())
}

func against(got, limit time.Duration) string {
	return duration(got) + ratio(float64(got), float64(limit))
}

func bytesAgainst(got, limit int) string { return mebibytes(got) + ratio(float64(got), float64(limit)) }

// ratio is a number of two digits, or more.
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

// processor is its model, where the machine tells.
func processor() string {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/cpuinfo")))) {
		if name, model, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return "unknown"
}
