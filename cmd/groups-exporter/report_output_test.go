package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/html"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// usesOf returns made-up usage of users. Each is in one of the groups, and in the first group too.
func usesOf(period report.Period, namespaces, groups []string) *report.Uses {
	uses := &report.Uses{Period: period, HomeHours: map[string]float64{}, Missing: []report.Measure{report.GPUSlices}}
	add := func(use *report.Use) {
		size := 1000 / float64(len(uses.Uses)+3)
		use.Amounts = report.Amounts{
			report.ServerHours: size / 2.5, report.CPU: size / 7, report.CPURequested: size / 3, report.Memory: size, report.MemoryRequested: size * 1.4,
			report.CPUCharged: size / 2, report.MemoryCharged: size * 1.5, report.GPU: size / 6000, report.Home: size * 30,
		}
		uses.Uses = append(uses.Uses, use)
	}
	for _, namespace := range namespaces {
		uses.HomeHours[namespace] = period.Hours()
		for i, group := range groups {
			user := "user of " + group
			add(&report.Use{Namespace: namespace, User: user, Groups: slices.Compact([]string{groups[0], group}), Sessions: []string{namespace + group, strconv.Itoa(i / 2)}})
		}
		add(&report.Use{Namespace: namespace, User: "ada", Sessions: []string{"ada" + namespace}})
	}
	add(&report.Use{Namespace: namespaces[0], User: "deleted", Kind: report.Unknown, Sessions: []string{"deleted"}})
	uses.Uses = append(uses.Uses, &report.Use{Namespace: namespaces[0], User: "old", Kind: report.Unowned, Amounts: report.Amounts{report.Home: 744}})
	return uses
}

// reportOf returns a report of October 2026.
func reportOf(t *testing.T, every report.Every, namespaces, groups []string, o report.Options) *report.Report {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	month, err := report.ParseMonth("2026-10", zone)
	if err != nil {
		t.Fatal(err)
	}
	o.ShareOf = report.Memory
	r := &report.Report{
		Version: "1.2.3", Flags: map[string]string{"month": "2026-10", "group": groups[0]}, Period: month, Every: every, Namespaces: namespaces, Options: o,
		Coverage: []report.Coverage{{Source: "memberships", Namespace: namespaces[0], Covered: 1}, {Source: "containers", Covered: 1}},
		Queries:  []string{`sum by (pod) (a{b="c"}) < 3`}, Notes: []string{"No pod requested a part of a GPU."},
	}
	for at, carried := range map[int]bool{0: true, 5: false} {
		gap := report.Gap{Period: report.Period{From: month.From.AddDate(0, 0, 24+at), To: month.From.AddDate(0, 0, 24+at).Add(4 * time.Hour)}, Carried: carried}
		r.Coverage[0].Gaps = append(r.Coverage[0].Gaps, gap)
	}
	slices.SortFunc(r.Coverage[0].Gaps, func(a, b report.Gap) int { return a.Period.From.Compare(b.Period.From) })
	var parts []*report.Uses
	for _, part := range month.Split(every) {
		parts = append(parts, usesOf(part, namespaces, groups))
	}
	if r.Sections, err = report.NewSections(parts, &r.Options); err != nil {
		t.Fatal(err)
	}
	return r
}

// october returns a report by group, with costs.
func october(t *testing.T, groups ...string) *report.Report {
	t.Helper()
	costs, err := report.ParsePrices([]byte("currency: CHF\nprices: {memory_gib_hours: 0.13, home_gib_months: 1.5}"), report.ChargeMax)
	if err != nil {
		t.Fatal(err)
	}
	return reportOf(t, "", []string{"prod"}, groups, report.Options{By: []report.Dimension{report.ByGroup}, Attribution: usage.Share, Costs: costs})
}

// weeks returns an incomplete report for each week, by everything.
func weeks(t *testing.T) *report.Report {
	t.Helper()
	by := []report.Dimension{report.ByNamespace, report.ByGroup, report.ByUser}
	r := reportOf(t, report.EveryWeek, []string{"prod", "b|<i>"}, []string{"bio-lab", "=1+1"}, report.Options{By: by, Attribution: usage.Full})
	r.Coverage[0].Covered = 0.98999
	r.Sections[1].Missing = report.Measures()
	return r
}

func written(t *testing.T, r *report.Report, as output) string {
	t.Helper()
	var text bytes.Buffer
	if err := writeReport(&text, r, as); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestReportFiles compares each output format with a golden file, which -update writes.
func TestReportFiles(t *testing.T) {
	for name, r := range map[string]*report.Report{
		"month": october(t, "bio-lab", `<b>"climate" & more`, "=cmd|' /C calc'!A0", "a\u202eb", "a,b", "yes"), "weeks": weeks(t),
	} {
		for _, as := range reportOutputs() {
			checkFile(t, "testdata/report/"+name+"."+string(as), written(t, r, as))
		}
	}
}

// style matches the style sheet of a page, which has a file of its own.
var style = regexp.MustCompile(`(?s)<style>.+</style>`)

// checkFile compares a text without its style sheet with the content of a file. With -update, it writes the file.
func checkFile(t *testing.T, name, got string) {
	t.Helper()
	got = style.ReplaceAllString(got, "<style></style>")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", name, diff)
	}
}

func TestReportsAreVisible(t *testing.T) {
	var groups []string
	for _, name := range hostileNames() {
		if name != "" {
			groups = append(groups, name)
		}
	}
	r := october(t, groups...)
	for _, as := range reportOutputs() {
		if as == outputCSV || as == outputTSV {
			continue
		}
		if character, wrong := wrongIn(written(t, r, as)); wrong {
			t.Errorf("%s prints %U", as, character)
		}
	}
	rows := cellsOf(t, written(t, r, outputMarkdown))
	var got, want []string
	for _, row := range rows[:len(rows)-1] {
		got = append(got, row[0])
	}
	for _, row := range r.Sections[0].Rows {
		want = append(want, printable(row.Group))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups in Markdown: -want +got\n%s", diff)
	}
}

// Parsers of each format read the same names and numbers.
func TestReportsForProgramsAgree(t *testing.T) {
	var groups []string
	for _, name := range hostileNames() {
		if name != "" && !strings.Contains(name, "\r\n") && !strings.Contains(name, "\r") { // CSV has no carriage returns
			groups = append(groups, name)
		}
	}
	for name, r := range map[string]*report.Report{"month": october(t, groups...), "weeks": weeks(t)} {
		fromCSV, err := csv.NewReader(strings.NewReader(written(t, r, outputCSV))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		tabs := csv.NewReader(strings.NewReader(written(t, r, outputTSV)))
		tabs.Comma = '\t'
		fromTSV, err := tabs.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fromCSV, fromTSV); diff != "" {
			t.Errorf("%s: -CSV +TSV\n%s", name, diff)
		}
		var fromJSON, fromYAML struct {
			Rows   []map[string]any
			Totals []map[string]any
		}
		decoder := json.NewDecoder(strings.NewReader(written(t, r, outputJSON)))
		if err := decoder.Decode(&fromJSON); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(written(t, r, outputYAML)), &fromYAML); err != nil {
			t.Fatal(err)
		}
		header := fromCSV[0]
		if diff := cmp.Diff(fromCSV[1:], cellsIn(header, fromJSON.Rows)); diff != "" {
			t.Errorf("%s: -CSV +JSON\n%s", name, diff)
		}
		if diff := cmp.Diff(fromCSV[1:], cellsIn(header, fromYAML.Rows)); diff != "" {
			t.Errorf("%s: -CSV +YAML\n%s", name, diff)
		}
		if diff := cmp.Diff(cellsIn(header, fromJSON.Totals), cellsIn(header, fromYAML.Totals)); diff != "" {
			t.Errorf("%s: totals: -JSON +YAML\n%s", name, diff)
		}
		if got, want := len(fromJSON.Totals), len(r.Sections); got != want {
			t.Errorf("%s: %d totals, want %d", name, got, want)
		}
	}
}

// cellsIn returns objects as rows of CSV.
func cellsIn(header []string, objects []map[string]any) [][]string {
	var rows [][]string
	for _, object := range objects {
		var row []string
		for _, name := range header {
			cell := ""
			switch value := object[name].(type) {
			case string:
				cell = value
			case int:
				cell = strconv.Itoa(value)
			case float64:
				cell = strconv.FormatFloat(value, 'f', -1, 64)
			}
			if whole, fraction, _ := strings.Cut(cell, "."); name == "cost" && cell != "" {
				cell = whole + "." + (fraction + "00")[:2]
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

// The rows of a spreadsheet add up to the total, to the cent.
func TestReportRowsAddUp(t *testing.T) {
	r := october(t, "bio-lab", "chem", "data-8")
	header, rows := reportCells(r)
	for i, column := range r.Columns() {
		if column.Kind != report.Cost && (column.Kind != report.Amount || column.Measure == report.ActiveUsers || column.Measure == report.Sessions || column.Measure == report.GPUSlices) {
			continue
		}
		sum := 0.0
		for _, row := range rows {
			value, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += value
		}
		want, known := column.Number(r.Sections[0], r.Sections[0].Total)
		if got := strconv.FormatFloat(sum, 'f', 4, 64); !known || got != strconv.FormatFloat(want, 'f', 4, 64) {
			t.Errorf("the sum of %s is %s, want %f", header[i], got, want)
		}
	}
}

// A measure without data isn't 0.
func TestReportWithoutData(t *testing.T) {
	r := weeks(t)
	header, rows := reportCells(r)
	for i, column := range r.Columns() {
		for _, row := range rows {
			unknown := column.IsNumber() && (row[0] == r.Sections[1].Period.From.Format(time.RFC3339) || column.Measure == report.GPUSlices && column.Kind == report.Amount)
			if got := row[i] == ""; got != unknown {
				t.Errorf("%s of %q is %q: want an empty cell: %t", header[i], row, row[i], unknown)
			}
		}
	}
}

// The first lines say that a report is incomplete.
func TestIncompleteReport(t *testing.T) {
	want := "memberships of prod cover only 98.99 % of the period"
	for as, lines := range map[output]int{outputTable: 2, outputMarkdown: 3} {
		first := strings.Join(strings.SplitN(written(t, weeks(t), as), "\n", lines+1)[:lines], "\n")
		if !strings.Contains(first, want) {
			t.Errorf("%s begins with %q, want %q", as, first, want)
		}
	}
	page, err := html.Parse(strings.NewReader(written(t, weeks(t), outputHTML)))
	if err != nil {
		t.Fatal(err)
	}
	for node := range page.Descendants() {
		if node.Type == html.TextNode && strings.Contains(node.Data, want) {
			return
		}
		if node.Data == "table" || node.Data == "svg" {
			break
		}
	}
	t.Errorf("the page doesn't begin with %q", want)
}
