package month_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groups-exporter/groups-exporter/e2e/month"
)

var byAll = []string{"namespace", "group", "user"}

// The integral of a curve is the sum of its amounts in many short times.
func TestCurve(t *testing.T) {
	begin := month.October.From
	for _, curve := range []month.Curve{
		month.Constant(3),
		month.Line(2, 8, 5*time.Hour),
		{{0, 0}, {time.Hour, 2}, {5 * time.Hour, 0.1}, {6 * time.Hour, 0.1}, {7 * time.Hour, 4}},
	} {
		for _, hours := range [][2]float64{{0, 1}, {0.5, 4.75}, {3, 12}, {8, 9}, {2, 2}} {
			at := func(hours float64) time.Time { return begin.Add(time.Duration(hours * float64(time.Hour))) }
			want := 0.0
			const steps = 100000
			for step := range steps {
				after := hours[0] + (hours[1]-hours[0])*(float64(step)+0.5)/steps
				want += curve.At(time.Duration(after*float64(time.Hour))) * (hours[1] - hours[0]) / steps
			}
			if got := curve.Within(month.Span{From: at(hours[0]), To: at(hours[1])}, begin); math.Abs(got-want) > 1e-6 {
				t.Errorf("%v from hour %v to %v: got %v, want %v", curve, hours[0], hours[1], got, want)
			}
		}
	}
}

// Some sums that can be worked out on paper.
func TestUsedByHand(t *testing.T) {
	m := month.NewOctober()
	rows := month.Rows(m.Used(month.October, 1), byAll, false)
	for key, want := range map[month.Key]month.Amounts{
		{"prod", "phys", "kurt"}:              {"server_hours": 1. / 3, "memory_gib_hours": 2. / 3, "cpu_core_hours": 0.5},
		{"prod", "none", "nora"}:              {"server_hours": 30, "memory_gib_hours": 45, "cpu_requested_core_hours": 15},
		{"prod", "chem", "tina"}:              {"server_hours": 8, "memory_gib_hours": 24, "cpu_core_hours": 8, "home_gib_months": 2},
		{"prod", "med", "zeno"}:               {"server_hours": 37, "memory_gib_hours": 74}, // 6 + 25 + 6
		{"prod", "bio", "dora"}:               {"server_hours": 24},
		{"prod", "unknown", "dora"}:           {"server_hours": 48},
		{"prod", "phys", "gina"}:              {"server_hours": 9, "cpu_core_hours": 9},
		{"prod", "phys", "dieter"}:            {"server_hours": 22*9 - 3},
		{"prod", "chem", "wolf"}:              {"server_hours": 9, "memory_gib_hours": 9 + 3*4*6, "cpu_core_hours": 4.5 + 3*2*6},
		{"prod", "chem", "wanda@uni.example"}: {"server_hours": 0, "memory_gib_hours": 6},
		{"prod", "chem", "pia"}:               {"server_hours": 5, "memory_requested_gib_hours": 10},
		{"prod", "chem", "emil"}:              {"server_hours": 4, "memory_requested_gib_hours": 8},
		{"prod", "phys", "gustav"}:            {"gpu_hours": 16, "gpu_slice_hours": 0},
		{"prod", "phys", "migo"}:              {"gpu_hours": 0, "gpu_slice_hours": 8},
		{"prod", "bio", "sid"}:                {"server_hours": 8, "memory_gib_hours": 12, "cpu_requested_core_hours": 6},
		{"prod", "bio", "rampe"}:              {"memory_gib_hours": 15*5 + 5*9, "cpu_core_hours": 1 + 4*1.05 + 10*0.1 + 2.05 + 4*4},
		{"prod", "bio", "hoda@uni.example"}:   {"home_gib_months": 10},
		{"lab", "bio", "ada"}:                 {"server_hours": 12 + 1 + 12},
		{"lab", "unknown", "ada"}:             {"server_hours": 23},
		{"lab", "unowned", "unowned"}:         {"home_gib_months": 12. * 23 / 742},
		{"twin", "bio", "zoe"}:                {"server_hours": 10},
	} {
		got := month.Amounts{}
		for column := range want {
			if rows[key] != nil {
				got[column] = rows[key].Amounts[column]
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%v (-want +got)\n%s", key, diff)
		}
	}
	if got := len(rows[month.Key{Namespace: "prod", Group: "phys", User: "dieter"}].Sessions); got != 22 {
		t.Errorf("dieter has %d sessions, want 22", got)
	}
}

// All series differ, and their samples are in the order of time.
func TestSeries(t *testing.T) {
	m := month.NewOctober()
	seen := map[string]bool{}
	for series := range m.Series(m.Span) {
		id := series.Name + series.Labels.String()
		if seen[id] {
			t.Errorf("%s exists twice", id)
		}
		seen[id] = true
		last := time.Time{}
		days := month.Days() // a few are enough, and faster
		for sample := range series.Samples(month.Span{From: days[7].From, To: days[9].To}) {
			if !sample.After(last) {
				t.Fatalf("%s: a sample at %v follows one at %v", id, sample, last)
			}
			last = sample
		}
	}
}
