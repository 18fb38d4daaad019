package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

const examplePrices = `# October
currency: EUR
charge: used
prices:
  server_hours: 0.01
  sessions: 1
  active_users: 2.50
  cpu_core_hours: 0.035
  memory_gib_hours: 0.004
  gpu_hours: 1.2
  gpu_slice_hours: 0
  home_gib_months: 0.10
`

func TestParsePrices(t *testing.T) {
	common := []report.Measure{report.ActiveUsers, report.Sessions, report.ServerHours}
	last := []report.Measure{report.GPU, report.GPUSlices, report.Home}
	for charge, middle := range map[report.Charge][]report.Measure{
		"":                     {report.CPU, report.Memory}, // as the file says
		report.ChargeUsed:      {report.CPU, report.Memory},
		report.ChargeRequested: {report.CPURequested, report.MemoryRequested},
		report.ChargeMax:       {report.CPUCharged, report.MemoryCharged},
	} {
		costs, err := report.ParsePrices([]byte(examplePrices), charge)
		if err != nil {
			t.Fatal(err)
		}
		if costs.Currency != "EUR" {
			t.Errorf("Currency = %q, want EUR", costs.Currency)
		}
		want := append(append(append([]report.Measure{}, common...), middle...), last...)
		if diff := cmp.Diff(want, costs.Measures()); diff != "" {
			t.Errorf("Measures with charge %q (-want +got):\n%s", charge, diff)
		}
	}
	costs, err := report.ParsePrices([]byte("currency: EUR\nprices: {cpu_core_hours: 1}"), "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]report.Measure{report.CPUCharged}, costs.Measures()); diff != "" {
		t.Errorf("Measures without charge (-want +got):\n%s", diff)
	}
}

func TestParsePricesMistakes(t *testing.T) {
	for _, test := range []struct {
		name, text string
		charge     report.Charge
		want       []string
	}{
		{"empty", "", "", []string{"the price file is empty"}},
		{"only a comment", "# nothing\n", "", []string{"the price file is empty"}},
		{"list", "- currency: EUR\n", "", []string{"line 1: a price file must be a mapping"}},
		{"two documents", "currency: EUR\nprices: {cpu_core_hours: 1}\n---\n{}\n", "", []string{"a price file must be a single YAML document"}},
		{"syntax", "currency: EUR\nprices: {\n", "", []string{"line 2: did not find expected node content"}},
		{"nothing in it", "{}", "", []string{"line 1: currency is missing", "line 1: prices is missing"}},
		{"no prices", "currency: EUR\nprices: {}\n", "", []string{"line 2: prices is empty"}},
		{"prices without values", "currency: EUR\nprices:\n", "", []string{"line 2: prices must be a mapping"}},
		{"number as a currency", "currency: 978\nprices: {sessions: 1}\n", "", []string{"line 1: currency must be a text such as EUR"}},
		{"unprintable currency", "currency: \"E\\nUR\"\nprices: {sessions: 1}\n", "", []string{"line 1: currency must be a text such as EUR"}},
		{"wrong flag", "currency: EUR\nprices: {sessions: 1}\n", "most", []string{`charge is "most", but must be requested, used or max`}},
		{"text as a number", "currency: EUR\nprices:\n  sessions: \"1\"\n", "", []string{"line 3: the price of sessions must be a number"}},
		{"merge", "currency: EUR\nprices:\n  <<: {sessions: 1}\n  gpu_hours: 1\n", "", []string{`line 3: unknown key "<<" in prices`}},
		{"all at once", `currency: ""
charge: most
discount: 5
currency: USD
prices:
  cpu_hours: 1
  cpu_core_hours: -1
  memory_gib_hours: .nan
  gpu_hours: .inf
  gpu_slice_hours: 1e3
  home_gib_months: cheap
  sessions: 010
  server_hours: [1]
  cpu_requested_core_hours: 1
  memory_charged_gib_hours: 1
  active_users: 1
  active_users: 2
`, "", []string{
			"line 1: currency must be a text such as EUR",
			`line 2: charge is "most", but must be requested, used or max`,
			`line 3: unknown key "discount" in a price file`,
			"line 4: currency is set twice",
			`line 6: unknown key "cpu_hours" in prices`,
			"line 7: the price of cpu_core_hours must not be negative",
			"line 8: the price of memory_gib_hours must be finite",
			"line 9: the price of gpu_hours must be finite",
			"line 10: the price of gpu_slice_hours must be a decimal number such as 0.05",
			"line 11: the price of home_gib_months must be a number",
			"line 12: the price of sessions must be a decimal number such as 0.05",
			"line 13: the price of server_hours must be a number",
			"line 14: cpu_requested_core_hours can't have a price: set the price of cpu_core_hours, and charge to requested, used or max",
			"line 15: memory_charged_gib_hours can't have a price: set the price of memory_gib_hours, and charge to requested, used or max",
			"line 17: active_users is set twice",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			costs, err := report.ParsePrices([]byte(test.text), test.charge)
			if costs != nil || err == nil {
				t.Fatalf("ParsePrices = %v, %v, want an error", costs, err)
			}
			if diff := cmp.Diff(test.want, strings.Split(err.Error(), "; ")); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParsePrices(f *testing.F) {
	f.Add(examplePrices)
	f.Add("currency: EUR\nprices: {sessions: 1e999999999}")
	f.Add("? [a]\n: b")
	f.Fuzz(func(t *testing.T, text string) {
		costs, err := report.ParsePrices([]byte(text), "")
		if (costs == nil) == (err == nil) {
			t.Fatalf("ParsePrices = %v, %v, want either", costs, err)
		}
		if costs != nil && len(costs.Measures()) == 0 {
			t.Error("Measures is empty, want the measures with a price")
		}
	})
}
