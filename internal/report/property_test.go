package report_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// randomUses returns usage in consecutive days, with amounts of very different sizes.
func randomUses(r *rand.Rand) []*report.Uses {
	day := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	parts := make([]*report.Uses, 1+r.IntN(4))
	for i := range parts {
		from := day.AddDate(0, 0, i)
		parts[i] = &report.Uses{Period: report.Period{From: from, To: from.AddDate(0, 0, 1)}, HomeHours: map[string]float64{"hub0": 24, "hub1": 12}}
		for range r.IntN(30) {
			parts[i].Uses = append(parts[i].Uses, randomUse(r))
		}
	}
	return parts
}

func randomUse(r *rand.Rand) *report.Use {
	u := &report.Use{Namespace: fmt.Sprint("hub", r.IntN(2)), User: fmt.Sprint("user", r.IntN(12))}
	switch r.IntN(8) {
	case 0:
		u.Kind = report.Unknown
	case 1:
		u.Kind = report.Unowned
		u.Amounts[report.Home] = 1000 * r.Float64()
		return u
	default:
		for group := range 10 {
			if r.IntN(4) == 0 {
				u.Groups = append(u.Groups, fmt.Sprint("g", group))
			}
		}
	}
	if r.IntN(5) == 0 {
		u.Amounts[report.Home] = 1000 * r.Float64()
		return u
	}
	for _, measure := range report.Measures()[report.ServerHours:] {
		if r.IntN(3) > 0 {
			u.Amounts[measure] = []float64{1e-9, 1, 1, 1e6}[r.IntN(4)] * r.Float64()
		}
	}
	for range 1 + r.IntN(3) {
		u.Sessions = append(u.Sessions, fmt.Sprint(u.User, "-", r.IntN(5)))
	}
	return u
}

func randomOptions(r *rand.Rand) *report.Options {
	parents := map[string]string{"g0": "p0", "g1": "p0", "g2": "p1", "g3": "g4"}
	o := &report.Options{Attribution: usage.Share, ShareOf: report.Memory, MinUsers: r.IntN(6), Parent: func(group string) string { return parents[group] }}
	for _, dimension := range []report.Dimension{report.ByNamespace, report.ByParent, report.ByGroup, report.ByUser} {
		if r.IntN(2) == 0 {
			o.By = append(o.By, dimension)
		}
	}
	for _, kind := range []report.Kind{report.Unknown, report.Unowned} {
		if r.IntN(2) == 0 {
			o.Spread = append(o.Spread, kind)
		}
	}
	return o
}

func randomCosts(t *testing.T, r *rand.Rand) *report.Costs {
	if r.IntN(2) == 0 {
		by := report.Measures()[r.IntN(len(report.Measures()))].String()
		return parseBills(t, fmt.Sprintf("compute=%d.%02d storage=%d", r.IntN(1000000), r.IntN(100), r.IntN(1000)), by)
	}
	return parsePrices(t, fmt.Sprintf("cpu_core_hours: 0.%d, memory_gib_hours: 0.00%d, active_users: 1.%d, sessions: 0.%d, home_gib_months: 0.1",
		r.IntN(1000), r.IntN(100), r.IntN(100), r.IntN(100)), []report.Charge{report.ChargeUsed, report.ChargeRequested, report.ChargeMax}[r.IntN(3)])
}

// TestSums checks with random usage that rows and their costs add up to the total, and that the same usage results in
// the same report.
func TestSums(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		parts, o := randomUses(r), randomOptions(r)
		o.Costs = randomCosts(t, r)
		sections, err := report.NewSections(parts, o)
		if err != nil {
			o.Costs = nil // nothing to split a bill by
			if sections, err = report.NewSections(parts, o); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range sections {
			checkSums(t, seed, parts[i], s)
		}
		for _, part := range parts {
			r.Shuffle(len(part.Uses), func(i, j int) { part.Uses[i], part.Uses[j] = part.Uses[j], part.Uses[i] })
		}
		again, err := report.NewSections(parts, o)
		if err != nil || !reflect.DeepEqual(sections, again) {
			t.Fatalf("seed %d: the same usage in another order resulted in another report, %v:\n%s", seed, err, cmp.Diff(sections, again))
		}
		whole := section(t, report.Merge(parts), o)
		var total report.Cents
		for _, s := range sections {
			total += s.Total.Cents
		}
		checkSums(t, seed, report.Merge(parts), whole)
		if perSection := slices.ContainsFunc(costMeasures(o), func(m report.Measure) bool { return m == report.ActiveUsers || m == report.Sessions }); whole.Total.Cents != total && !perSection {
			t.Fatalf("seed %d: the sections cost %s, want %s as without sections", seed, total, whole.Total.Cents)
		}
		if t.Failed() {
			t.Fatalf("seed %d failed with %+v", seed, o)
		}
	}
}

func costMeasures(o *report.Options) []report.Measure {
	if o.Costs == nil {
		return nil
	}
	return o.Costs.Measures()
}

// checkSums checks that the rows of a section add up to its total, and the total to the usage.
func checkSums(t *testing.T, seed uint64, uses *report.Uses, s *report.Section) {
	t.Helper()
	var used, sum report.Amounts
	for _, u := range uses.Uses {
		amounts := u.Amounts
		amounts[report.Home] *= uses.Period.Months() / uses.HomeHours[u.Namespace]
		used.Add(&amounts, 1)
	}
	var cents report.Cents
	for _, row := range s.Rows {
		sum.Add(&row.Amounts, 1)
		cents += row.Cents
		if !finite(row.Amounts) || row.Cents < 0 {
			t.Errorf("seed %d: row %+v, want finite amounts that aren't negative", seed, row)
		}
	}
	for _, measure := range []report.Measure{report.ActiveUsers, report.Sessions} { // distinct
		sum[measure], used[measure] = s.Total.Amounts[measure], s.Total.Amounts[measure]
	}
	if diff := cmp.Diff(used, s.Total.Amounts, about); diff != "" {
		t.Errorf("seed %d: total (-usage +total):\n%s", seed, diff)
	}
	if diff := cmp.Diff(used, sum, about); diff != "" {
		t.Errorf("seed %d: rows (-usage +sum of rows):\n%s", seed, diff)
	}
	if cents != s.Total.Cents {
		t.Errorf("seed %d: rows cost %s, want %s", seed, cents, s.Total.Cents)
	}
}

// TestFoldNeedsUsers checks with random usage that each row of a group has enough users, unless all groups are in one
// row.
func TestFoldNeedsUsers(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		uses, minUsers := report.Merge(randomUses(r)), 1+r.IntN(6)
		s := section(t, uses, &report.Options{By: by["group"], MinUsers: minUsers})
		var groups []*report.Row
		for _, row := range s.Rows {
			if row.Kind == report.Known || row.Kind == report.Other {
				groups = append(groups, row)
			}
		}
		for _, row := range groups {
			if row.Amounts[report.ActiveUsers] < float64(minUsers) && len(groups) > 1 {
				t.Fatalf("seed %d: %s has %g users, want at least %d", seed, row.Group, row.Amounts[report.ActiveUsers], minUsers)
			}
		}
	}
}

// BenchmarkNewSections computes a month of days with 5,000 users in 50 groups, each in two, by group and user, and
// splits a bill.
func BenchmarkNewSections(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	parts := make([]*report.Uses, 31)
	for i := range parts {
		from := time.Date(2026, 10, 1+i, 0, 0, 0, 0, time.UTC)
		parts[i] = &report.Uses{Period: report.Period{From: from, To: from.AddDate(0, 0, 1)}, HomeHours: map[string]float64{"hub": 24}}
		for user := range 5000 {
			u := use(fmt.Sprint("user", user), fmt.Sprintf("g%d h%d", user%25, user%26), 24*r.Float64(), fmt.Sprint("s", user))
			parts[i].Uses = append(parts[i].Uses, home(u, 24*r.Float64()))
		}
	}
	costs, err := report.ParseBills([]string{"compute=8423.10", "storage=612"}, "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := report.NewSections(parts, &report.Options{By: by["group,user"], Costs: costs}); err != nil {
			b.Fatal(err)
		}
	}
}
