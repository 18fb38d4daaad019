package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func TestPrices(t *testing.T) {
	charged := use("ann", "a b c", 0, "s1")
	charged.Amounts[report.Memory], charged.Amounts[report.MemoryRequested], charged.Amounts[report.MemoryCharged] = 3, 6, 9
	charged.Amounts[report.CPU], charged.Amounts[report.CPURequested], charged.Amounts[report.CPUCharged] = 30, 60, 90
	for _, test := range []struct {
		name, prices string
		charge       report.Charge
		by           string
		attribution  usage.Attribution
		uses         []*report.Use
		want         string // the rows' costs and the total
	}{
		{"used", "memory_gib_hours: 1, cpu_core_hours: 0.1", report.ChargeUsed, "group", usage.Share, []*report.Use{charged}, "2.00 2.00 2.00 6.00"},
		{"requested", "memory_gib_hours: 1, cpu_core_hours: 0.1", report.ChargeRequested, "group", usage.Share, []*report.Use{charged}, "4.00 4.00 4.00 12.00"},
		{"the greater", "memory_gib_hours: 1, cpu_core_hours: 0.1", report.ChargeMax, "group", usage.Share, []*report.Use{charged}, "6.00 6.00 6.00 18.00"},
		{"in full", "memory_gib_hours: 1", report.ChargeUsed, "group", usage.Full, []*report.Use{charged}, "3.00 3.00 3.00 3.00"},
		{"a cent for three", "memory_gib_hours: 0.01", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a b c", 1)}, "0.01 0.00 0.00 0.01"},
		{"two cents for three", "memory_gib_hours: 0.02", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a b c", 1)}, "0.01 0.01 0.00 0.02"},
		{"half a cent", "memory_gib_hours: 0.005", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a b c", 1)}, "0.01 0.00 0.00 0.01"},
		{"less than half a cent", "memory_gib_hours: 0.0049", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a b c", 1)}, "0.00 0.00 0.00 0.00"},
		{"half cents in full", "memory_gib_hours: 0.005", report.ChargeUsed, "group", usage.Full, []*report.Use{use("ann", "a b", 1)}, "0.01 0.01 0.01"},
		{"largest remainder", "memory_gib_hours: 0.001", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a", 13), use("bob", "b", 17), use("cat", "c", 12)}, "0.01 0.02 0.01 0.04"},
		{"free", "memory_gib_hours: 0", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a", 13)}, "0.00 0.00"},
		{"nothing used", "gpu_hours: 1", report.ChargeUsed, "group", usage.Share, []*report.Use{use("ann", "a", 13)}, "0.00 0.00"},
		{"no usage", "gpu_hours: 1", report.ChargeUsed, "group", usage.Share, nil, "0.00"},
		// A user is divided between the groups that the user counts in, and other groups pay all of theirs.
		{"active users", "active_users: 9", "", "group", usage.Share, []*report.Use{use("ann", "a b c", 1, "s1"), use("bob", "c", 1, "s2"), use("dan", "d", 1)}, "3.00 3.00 12.00 0.00 18.00"},
		{"active users in full", "active_users: 9", "", "group", usage.Full, []*report.Use{use("ann", "a b c", 1, "s1"), use("bob", "c", 1, "s2")}, "9.00 9.00 18.00 18.00"},
		{"sessions of one who changes groups", "sessions: 1", "", "group", usage.Share, []*report.Use{use("ann", "a", 1, "s1", "s2"), use("ann", "b", 1, "s2", "s3")}, "1.50 1.50 3.00"},
		{"sessions by user", "sessions: 1", "", "user", usage.Share, []*report.Use{use("ann", "a", 1, "s1", "s2"), use("ann", "b", 1, "s2", "s3")}, "3.00 3.00"},
		{"home", "home_gib_months: 0.10", "", "group", usage.Share, []*report.Use{home(use("ann", "a", 0), 7440), of(report.Unowned, home(use("x", "", 0), 744))}, "1.00 0.10 1.10"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &report.Options{By: by[test.by], Attribution: test.attribution, Costs: parsePrices(t, test.prices, test.charge)}
			if got := costs(section(t, october(test.uses...), o)); got != test.want {
				t.Errorf("costs = %s, want %s", got, test.want)
			}
		})
	}
}

func TestBills(t *testing.T) {
	uses := []*report.Use{
		home(use("ann", "a", 1, "s1"), 744), home(use("bob", "b", 1, "s2", "s3"), 744*2), use("cat", "", 1, "s4"),
		of(report.Unknown, use("dan", "", 3, "s5")), of(report.Unowned, home(use("x", "", 0), 744)),
	}
	for _, test := range []struct {
		name, bills, splitBy string
		o                    report.Options
		want                 string
	}{
		{"compute", "compute=100", "", report.Options{By: by["group"]}, "16.67 16.67 16.66 50.00 0.00 100.00"},
		{"storage", "storage=0.03", "", report.Options{By: by["group"]}, "0.01 0.01 0.00 0.00 0.01 0.03"},
		{"both", "compute=100 storage=8", "", report.Options{By: by["group"]}, "18.67 20.67 16.66 50.00 2.00 108.00"},
		{"compute by directories", "compute=4 storage=8", "home_gib_months", report.Options{By: by["group"]}, "3.00 6.00 0.00 0.00 3.00 12.00"},
		{"sessions", "compute=50", "sessions", report.Options{By: by["group"]}, "10.00 20.00 10.00 10.00 0.00 50.00"},
		{"nothing", "compute=0", "", report.Options{By: by["group"]}, "0.00 0.00 0.00 0.00 0.00 0.00"},
		{"large", "compute=92233720368547758.07", "", report.Options{By: by["user"]},
			"15372286728091293.01 15372286728091293.01 15372286728091293.01 46116860184273879.04 0.00 92233720368547758.07"},
		{"spread", "compute=99 storage=8", "", report.Options{By: by["group"], Spread: []report.Kind{report.Unknown, report.Unowned}}, "35.67 38.33 33.00 107.00"},
		{"spread of sessions", "compute=50", "sessions", report.Options{By: by["group"], Spread: []report.Kind{report.Unknown}}, "12.50 25.00 12.50 0.00 50.00"},
		{"fold", "compute=100", "", report.Options{By: by["group"], MinUsers: 2}, "50.00 0.00 50.00 100.00"},
		{"filter of groups", "compute=100", "", report.Options{By: by["group"], Groups: func(group string) bool { return group == "b" }}, "16.67 100.00"},
		{"filter of groups by user", "compute=100", "", report.Options{By: by["user"], Groups: func(group string) bool { return group == "b" }}, "16.67 100.00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Costs = parseBills(t, test.bills, test.splitBy)
			if got := costs(section(t, october(uses...), &test.o)); got != test.want {
				t.Errorf("costs = %s, want %s", got, test.want)
			}
		})
	}
}

func TestTies(t *testing.T) {
	var groups []string
	for i := range 20 {
		groups = append(groups, fmt.Sprint("g", i))
	}
	uses := october(use("ann", strings.Join(groups, " "), 1))
	want := strings.Repeat("0.01 ", 5) + strings.Repeat("0.00 ", 15) + "0.05"
	if got := costs(section(t, uses, &report.Options{By: by["group"], Costs: parseBills(t, "compute=0.05", "")})); got != want {
		t.Errorf("costs = %s, want %s", got, want)
	}
	want = "92233720368547758.07" // the remainders of 1/20 aren't exact
	if got := costs(section(t, uses, &report.Options{By: by["group"], Costs: parseBills(t, "compute="+want, "")})); !strings.HasSuffix(got, " "+want) {
		t.Errorf("costs = %s, want the total %s", got, want)
	}
	// Of the remainders 0.25 and 0.5, the first 15 of 20 of the latter are rounded up.
	uses = october()
	for i := range 20 {
		uses.Uses = append(uses.Uses, use("ann", fmt.Sprint("a", i, "x"), 1), use("ann", fmt.Sprint("a", i, "y"), 2))
	}
	want = strings.Repeat("0.00 0.01 ", 15) + strings.Repeat("0.00 0.00 ", 5) + "0.15"
	if got := costs(section(t, uses, &report.Options{By: by["group"], Costs: parseBills(t, "compute=0.15", "")})); got != want {
		t.Errorf("costs = %s, want %s", got, want)
	}
	// Visible rows come before those that are left out.
	for range 20 {
		o := &report.Options{By: by["user"], Groups: func(group string) bool { return group < "g18" }, Costs: parseBills(t, "compute=0.01", "")}
		if got, want := costs(section(t, october(use("ann", "g18 g17", 1)), o)), "0.01 0.01"; got != want {
			t.Fatalf("costs = %s, want %s", got, want)
		}
	}
}

// TestCostsOfSections checks that a bill is for the whole period, and that costs by price are the same with and without
// sections.
func TestCostsOfSections(t *testing.T) {
	days := func() []*report.Uses {
		return []*report.Uses{october(use("ann", "a b", 1)), october(use("ann", "a b", 1)), october(), october(use("bob", "b", 1))}
	}
	for _, test := range []struct {
		name  string
		costs *report.Costs
		want  []string
	}{
		{"bill", parseBills(t, "compute=100", ""), []string{"16.67 16.67 33.34", "16.67 16.66 33.33", "0.00", "33.33 33.33"}},
		{"prices", parsePrices(t, "memory_gib_hours: 0.005", report.ChargeUsed), []string{"0.01 0.00 0.01", "0.01 0.00 0.01", "0.00", "0.00 0.00"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &report.Options{By: by["group"], Costs: test.costs}
			sections, err := report.NewSections(days(), o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var total report.Cents
			for _, s := range sections {
				got = append(got, costs(s))
				total += s.Total.Cents
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("costs (-want +got):\n%s", diff)
			}
			if whole := section(t, report.Merge(days()), o).Total.Cents; whole != total {
				t.Errorf("cost of the sections = %s, want %s as without sections", total, whole)
			}
		})
	}
}

func TestCostErrors(t *testing.T) {
	missing := october(use("ann", "a", 1))
	missing.Missing = []report.Measure{report.GPU, report.Home}
	there := october(use("ann", "a", 1))
	for _, test := range []struct {
		name  string
		costs *report.Costs
		parts []*report.Uses
		a     usage.Attribution
		want  string
	}{
		{"price without data", parsePrices(t, "gpu_hours: 1, home_gib_months: 1, sessions: 1", ""), []*report.Uses{missing, missing}, usage.Share,
			"gpu_hours has a price, but there is no data for it\nhome_gib_months has a price, but there is no data for it"},
		{"price with data for a part", parsePrices(t, "gpu_hours: 1", ""), []*report.Uses{missing, there}, usage.Share, ""},
		{"price that is too high", parsePrices(t, "memory_gib_hours: 92233720368547758.08", report.ChargeUsed), []*report.Uses{there}, usage.Share,
			"the cost is too large to be counted in cents"},
		{"bill without data", parseBills(t, "storage=1", ""), []*report.Uses{missing}, usage.Share,
			"cannot split the bill for storage: there is no data for home_gib_months"},
		{"bills without usage", parseBills(t, "storage=1 compute=1", "gpu_hours"), []*report.Uses{there}, usage.Share,
			"cannot split the bill for storage: the total of home_gib_months is 0\ncannot split the bill for compute: the total of gpu_hours is 0"},
		{"bill in full", parseBills(t, "compute=1", ""), []*report.Uses{there}, usage.Full,
			"a bill can't be split with attribution full: the parts wouldn't add up to it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			sections, err := report.NewSections(test.parts, &report.Options{By: by["group"], Attribution: test.a, Costs: test.costs})
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, strings.TrimSpace(got)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if (sections == nil) == (err == nil) {
				t.Errorf("sections = %v with error %v, want either", sections, err)
			}
		})
	}
}
