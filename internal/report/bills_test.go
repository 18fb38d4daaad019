package report_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func TestParseBills(t *testing.T) {
	for _, test := range []struct {
		bills, by string
		want      []report.Measure
	}{
		{"compute=8423.10", "", []report.Measure{report.Memory}},
		{"storage=612", "", []report.Measure{report.Home}},
		{"storage=612.5 compute=0.01", "", []report.Measure{report.Memory, report.Home}},
		{"compute=1 storage=0", "cpu_charged_core_hours", []report.Measure{report.CPUCharged, report.Home}},
		{"compute=92233720368547758.07 storage=1", "home_gib_months", []report.Measure{report.Home}},
	} {
		costs, err := report.ParseBills(strings.Fields(test.bills), test.by)
		if err != nil {
			t.Errorf("ParseBills(%s, %q) = %v", test.bills, test.by, err)
			continue
		}
		if diff := cmp.Diff(test.want, costs.Measures()); diff != "" {
			t.Errorf("Measures of %s by %q (-want +got):\n%s", test.bills, test.by, diff)
		}
	}
}

func TestParseBillsMistakes(t *testing.T) {
	for _, test := range []struct {
		bills, by string
		want      []string
	}{
		{"compute", "", []string{`"compute" is not a bill: write it like compute=8423.10`}},
		{"compute=", "", []string{`the bill for compute: "" is not an amount of money: write it like 8423.10`}},
		{"compute=-1", "", []string{`the bill for compute: "-1" is negative`}},
		{"compute=1.005", "", []string{`the bill for compute: "1.005" has more than two decimals`}},
		{"compute=1,000.00", "", []string{`the bill for compute: "1,000.00" is not an amount of money: write it like 8423.10`}},
		{"compute=1e3", "", []string{`the bill for compute: "1e3" is not an amount of money: write it like 8423.10`}},
		{"compute=NaN", "", []string{`the bill for compute: "NaN" is not an amount of money: write it like 8423.10`}},
		{"compute=92233720368547758.08", "", []string{`the bill for compute: "92233720368547758.08" is too large`}},
		{"compute=1 compute=1", "", []string{"there are two bills for compute"}},
		{"network=1", "", []string{`unknown bill "network": it must be compute or storage`}},
		{"compute=1", "memory", []string{`unknown measure "memory"`}},
		{"compute=a storage=1 storage=2 x=3", "y", []string{
			`unknown measure "y"`, `the bill for compute: "a" is not an amount of money: write it like 8423.10`,
			"there are two bills for storage", `unknown bill "x": it must be compute or storage`,
		}},
	} {
		costs, err := report.ParseBills(strings.Fields(test.bills), test.by)
		if costs != nil || err == nil {
			t.Errorf("ParseBills(%s, %q) = %v, %v, want an error", test.bills, test.by, costs, err)
			continue
		}
		if diff := cmp.Diff(test.want, strings.Split(err.Error(), "\n")); diff != "" {
			t.Errorf("mistakes in %s by %q (-want +got):\n%s", test.bills, test.by, diff)
		}
	}
}

func TestValidate(t *testing.T) {
	prices, bills := parsePrices(t, "sessions: 1", ""), parseBills(t, "compute=1", "")
	for _, test := range []struct {
		name        string
		costs       *report.Costs
		attribution usage.Attribution
		valid       bool
	}{
		{"prices shared", prices, usage.Share, true}, {"prices in full", prices, usage.Full, true},
		{"bills shared", bills, usage.Share, true}, {"bills in full", bills, usage.Full, false},
	} {
		if err := test.costs.Validate(test.attribution); (err == nil) != test.valid {
			t.Errorf("%s: Validate = %v, want valid %v", test.name, err, test.valid)
		}
	}
}

func TestCents(t *testing.T) {
	for cents, want := range map[report.Cents]string{
		0: "0.00", 1: "0.01", 99: "0.99", 100: "1.00", 1234567: "12345.67", -5: "-0.05", -1234: "-12.34",
		math.MaxInt64: "92233720368547758.07", math.MinInt64: "-92233720368547758.08",
	} {
		if got := cents.String(); got != want {
			t.Errorf("Cents(%d) = %s, want %s", int64(cents), got, want)
		}
	}
}
