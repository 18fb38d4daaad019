package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// names returns the names of a report's columns.
func names(r *report.Report) string {
	var names []string
	for _, column := range r.Columns() {
		names = append(names, column.Name)
	}
	return strings.Join(names, " ")
}

func TestColumns(t *testing.T) {
	const (
		period   = "period_start period_end "
		measures = " active_users sessions server_hours cpu_core_hours cpu_requested_core_hours memory_gib_hours memory_requested_gib_hours gpu_hours gpu_slice_hours home_gib_months share"
	)
	r := &report.Report{Options: report.Options{By: []report.Dimension{report.ByGroup}}}
	if got, want := names(r), period+"usergroup"+measures; got != want {
		t.Errorf("by group: columns %s, want %s", got, want)
	}
	r.Options.By = []report.Dimension{report.ByUser, report.ByNamespace, report.ByGroup}
	r.Options.Costs = parsed(t, "currency: EUR\nprices: {cpu_core_hours: 1}", report.ChargeUsed)
	if got, want := names(r), period+"namespace usergroup username"+measures+" cost currency"; got != want {
		t.Errorf("by everything, with costs: columns %s, want %s", got, want)
	}
	r.Options.Costs = parsed(t, "currency: EUR\nprices: {cpu_core_hours: 1, memory_gib_hours: 1}", report.ChargeMax)
	want := strings.NewReplacer(" memory_gib", " cpu_charged_core_hours memory_gib", " gpu_hours", " memory_charged_gib_hours gpu_hours").Replace(measures)
	if got, want := names(r), period+"namespace usergroup username"+want+" cost currency"; got != want {
		t.Errorf("charged by the greater of both: columns %s, want %s", got, want)
	}
}

func parsed(t *testing.T, prices string, charge report.Charge) *report.Costs {
	t.Helper()
	costs, err := report.ParsePrices([]byte(prices), charge)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// cells returns the exact and the rounded cells of amounts.
func cells(r *report.Report, s *report.Section, row *report.Row) (exact, shown map[string]string) {
	exact, shown = map[string]string{}, map[string]string{}
	for _, column := range r.Columns() {
		if column.IsNumber() {
			exact[column.Name], shown[column.Name] = column.Exact(s, row), column.Shown(s, row)
		}
	}
	return exact, shown
}

func TestCells(t *testing.T) {
	r := &report.Report{Options: report.Options{ShareOf: report.Memory, Costs: parsed(t, "currency: EUR\nprices: {cpu_core_hours: 1}", report.ChargeUsed)}}
	s := &report.Section{Missing: []report.Measure{report.GPU}}
	row := &report.Row{Share: 1. / 3, Cents: 123456789, Amounts: report.Amounts{
		report.ActiveUsers: 1234, report.ServerHours: 0.1 + 0.2, report.CPU: 1234567.89, report.CPURequested: -0.0000001, report.Memory: 0.049, report.Home: 999.95,
	}}
	exact, shown := cells(r, s, row)
	wantExact := map[string]string{
		"active_users": "1234", "sessions": "0", "server_hours": "0.3", "cpu_core_hours": "1234567.89", "cpu_requested_core_hours": "0",
		"memory_gib_hours": "0.049", "memory_requested_gib_hours": "0", "gpu_hours": "", "gpu_slice_hours": "0", "home_gib_months": "999.95",
		"share": "0.333333", "cost": "1234567.89",
	}
	if diff := cmp.Diff(wantExact, exact); diff != "" {
		t.Errorf("exact: -want +got\n%s", diff)
	}
	wantShown := map[string]string{
		"active_users": "1,234", "sessions": "0", "server_hours": "0.3", "cpu_core_hours": "1,234,567.9", "cpu_requested_core_hours": "0.0",
		"memory_gib_hours": "<0.1", "memory_requested_gib_hours": "0.0", "gpu_hours": "–", "gpu_slice_hours": "0.0", "home_gib_months": "1,000.0",
		"share": "33.3", "cost": "1,234,567.89",
	}
	if diff := cmp.Diff(wantShown, shown); diff != "" {
		t.Errorf("shown: -want +got\n%s", diff)
	}
	s.Missing = []report.Measure{report.Memory}
	if exact, _ := cells(r, s, row); exact["share"] != "" {
		t.Errorf("without data for memory, the share is %q, want nothing", exact["share"])
	}
}

// Each column with numbers has a definition, and a unit unless it is a count.
func TestDefinitions(t *testing.T) {
	bills, err := report.ParseBills([]string{"compute=8423.10", "storage=612"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for want, costs := range map[string]*report.Costs{
		"0.035 EUR for 1 core h of charged CPU; 0.1 EUR for 1 GiB month of home directories":                               parsed(t, "currency: EUR\nprices: {cpu_core_hours: 0.035, home_gib_months: 0.10}", report.ChargeMax),
		"2 EUR for each of the active users; 1 EUR for each of the sessions":                                               parsed(t, "currency: EUR\nprices: {active_users: 2, sessions: 1}", report.ChargeMax),
		"8,423.10 for compute, split in proportion to memory; 612.00 for storage, split in proportion to home directories": bills,
	} {
		r := &report.Report{Options: report.Options{Costs: costs}}
		for _, column := range r.Columns() {
			if column.IsNumber() && column.Definition == "" {
				t.Errorf("%s has no definition", column.Name)
			}
			if isCount := column.Name == "active_users" || column.Name == "sessions" || column.Kind == report.Cost; column.IsNumber() && !isCount && column.Unit == "" {
				t.Errorf("%s has no unit", column.Name)
			}
			if column.Kind == report.Cost && column.Definition != want {
				t.Errorf("cost is %q, want %q", column.Definition, want)
			}
		}
	}
}
