package report_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func parsePrices(t *testing.T, list string, charge report.Charge) *report.Costs {
	t.Helper()
	costs, err := report.ParsePrices([]byte("currency: EUR\nprices: {"+list+"}"), charge)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

func parseBills(t *testing.T, bills, by string) *report.Costs {
	t.Helper()
	costs, err := report.ParseBills(strings.Fields(bills), by)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// use returns usage of a user in groups, which are separated by spaces. Names of sessions follow.
func use(user, groups string, memory float64, sessions ...string) *report.Use {
	u := &report.Use{Namespace: "hub", User: user, Groups: strings.Fields(groups), Sessions: sessions}
	u.Amounts[report.Memory] = memory
	return u
}

func of(kind report.Kind, u *report.Use) *report.Use {
	copied := *u
	copied.Kind = kind
	return &copied
}

func in(namespace string, u *report.Use) *report.Use {
	copied := *u
	copied.Namespace = namespace
	return &copied
}

func home(u *report.Use, gibHours float64) *report.Use {
	copied := *u
	copied.Amounts[report.Home] = gibHours
	return &copied
}

// october returns usage in a month of 744 hours.
func october(uses ...*report.Use) *report.Uses {
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	return &report.Uses{Period: report.Period{From: from, To: from.AddDate(0, 1, 0)}, Uses: uses, HomeHours: map[string]float64{"hub": 744, "lab": 744}}
}

func section(t *testing.T, uses *report.Uses, o *report.Options) *report.Section {
	t.Helper()
	sections, err := report.NewSections([]*report.Uses{uses}, o)
	if err != nil {
		t.Fatal(err)
	}
	return sections[0]
}

// rows returns each row as its names, memory, active users and sessions, and the total.
func rows(s *report.Section) []string {
	var all []string
	for _, row := range append(append([]*report.Row{}, s.Rows...), s.Total) {
		name := strings.Join(strings.Fields(row.Namespace+" "+row.Group+" "+row.User), "/")
		if row == s.Total {
			name = "total"
		}
		a := row.Amounts
		all = append(all, fmt.Sprintf("%s %.6g %g %g", name, a[report.Memory], a[report.ActiveUsers], a[report.Sessions]))
	}
	return all
}

func costs(s *report.Section) string {
	var all []string
	for _, row := range append(append([]*report.Row{}, s.Rows...), s.Total) {
		all = append(all, row.Cents.String())
	}
	return strings.Join(all, " ")
}

var by = map[string][]report.Dimension{
	"group": {report.ByGroup}, "user": {report.ByUser}, "namespace": {report.ByNamespace},
	"group,user": {report.ByGroup, report.ByUser}, "namespace,group": {report.ByNamespace, report.ByGroup},
	"namespace,user": {report.ByNamespace, report.ByUser}, "all": {report.ByNamespace, report.ByGroup, report.ByUser},
}

// example is a month in which somebody changes groups, and somebody is in three.
func example() *report.Uses {
	return october(
		use("ann", "g2", 30, "s1", "s2"),
		use("ann", "g10", 10, "s2", "s3"),
		use("bob", "g1 g10 g2", 60, "s4"),
		use("cat", "", 5, "s5"),
		in("lab", use("ann", "g2", 8, "s1")),
		of(report.Unknown, use("dan", "", 7, "s6")),
		of(report.Unknown, use("ann", "", 3, "s1")),
		of(report.Unowned, home(use("old-directory", "", 0), 744)),
		of(report.Unowned, home(use("lost+found", "", 0), 744)),
	)
}

func TestNewSections(t *testing.T) {
	only := func(patterns ...string) func(string) bool { return membership.Globs(patterns) }
	for _, test := range []struct {
		name, by    string
		attribution usage.Attribution
		groups      func(string) bool
		want        []string
	}{
		{"share", "group", usage.Share, nil, []string{
			"g1 20 1 1", "g2 58 3 4", "g10 30 2 3", "none 5 1 1", "unknown 10 2 2", "unowned 0 0 0", "total 123 5 7",
		}},
		{"full", "group", usage.Full, nil, []string{
			"g1 60 1 1", "g2 98 3 4", "g10 70 2 3", "none 5 1 1", "unknown 10 2 2", "unowned 0 0 0", "total 123 5 7",
		}},
		{"by user", "user", usage.Share, nil, []string{
			"ann 51 2 4", "bob 60 1 1", "cat 5 1 1", "dan 7 1 1", "unowned 0 0 0", "total 123 5 7",
		}},
		{"by user in full", "user", usage.Full, nil, []string{
			"ann 51 2 4", "bob 60 1 1", "cat 5 1 1", "dan 7 1 1", "unowned 0 0 0", "total 123 5 7",
		}},
		{"by namespace", "namespace", usage.Share, nil, []string{"hub 115 4 6", "lab 8 1 1", "total 123 5 7"}},
		{"by namespace and group", "namespace,group", usage.Share, nil, []string{
			"hub/g1 20 1 1", "hub/g2 50 2 3", "hub/g10 30 2 3", "hub/none 5 1 1", "hub/unknown 10 2 2", "hub/unowned 0 0 0", "lab/g2 8 1 1",
			"total 123 5 7",
		}},
		{"by group and user", "group,user", usage.Share, nil, []string{
			"g1/bob 20 1 1", "g2/ann 38 2 3", "g2/bob 20 1 1", "g10/ann 10 1 2", "g10/bob 20 1 1", "none/cat 5 1 1",
			"unknown/ann 3 1 1", "unknown/dan 7 1 1", "unowned/unowned 0 0 0", "total 123 5 7",
		}},
		{"some groups", "group", usage.Share, only("g1*"), []string{"g1 20 1 1", "g10 30 2 3", "total 123 5 7"}},
		{"users of a group", "user", usage.Share, only("g1"), []string{"bob 20 1 1", "total 123 5 7"}},
		{"users of two groups", "user", usage.Share, only("g1", "g10"), []string{"ann 10 1 2", "bob 40 1 1", "total 123 5 7"}},
		{"users of two groups in full", "user", usage.Full, only("g1", "g10"), []string{"ann 10 1 2", "bob 60 1 1", "total 123 5 7"}},
		{"namespaces of a group", "namespace", usage.Share, only("g2"), []string{"hub 50 2 3", "lab 8 1 1", "total 123 5 7"}},
		{"no such group", "group", usage.Share, only("g3"), []string{"total 123 5 7"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := section(t, example(), &report.Options{By: by[test.by], Attribution: test.attribution, Groups: test.groups, ShareOf: report.Memory})
			if diff := cmp.Diff(test.want, rows(s)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoUsage(t *testing.T) {
	s := section(t, october(), &report.Options{By: by["group"], Spread: []report.Kind{report.Unknown}, MinUsers: 5})
	if diff := cmp.Diff([]string{"total 0 0 0"}, rows(s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if s.Total.Share != 0 {
		t.Errorf("share of an empty total = %v, want 0", s.Total.Share)
	}
}

func TestHome(t *testing.T) {
	uses := october(home(use("ann", "a b", 0), 744*10), of(report.Unowned, home(use("x", "", 0), 372)))
	uses.HomeHours["hub"] = 372 // half of the month
	s := section(t, uses, &report.Options{By: by["group"]})
	got := []float64{s.Rows[0].Amounts[report.Home], s.Rows[1].Amounts[report.Home], s.Rows[2].Amounts[report.Home], s.Total.Amounts[report.Home]}
	if diff := cmp.Diff([]float64{10, 10, 1, 21}, got); diff != "" {
		t.Errorf("GiB months (-want +got):\n%s", diff)
	}
	uses.Period.To = uses.Period.From.AddDate(0, 2, 0)
	if got := section(t, uses, &report.Options{}).Total.Amounts[report.Home]; got != 42 {
		t.Errorf("GiB months in two months = %v, want 42", got)
	}
	uses.HomeHours = nil
	if got := section(t, uses, &report.Options{}).Total.Amounts[report.Home]; got != 0 {
		t.Errorf("GiB months without data = %v, want 0", got)
	}
}

func TestShareAndRank(t *testing.T) {
	uses := october(use("ann", "a", 10), use("bob", "b", 40), use("cat", "c", 10), use("dan", "", 40))
	s := section(t, uses, &report.Options{By: by["group"], ShareOf: report.Memory, Groups: func(group string) bool { return group != "b" }})
	var got []string
	for _, row := range s.Rows {
		got = append(got, fmt.Sprintf("%s %g %d", row.Group, row.Share, row.Rank))
	}
	// The rank counts rows that aren't shown.
	if diff := cmp.Diff([]string{"a 0.1 2", "c 0.1 2", "none 0.4 0"}, got); diff != "" {
		t.Errorf("share and rank (-want +got):\n%s", diff)
	}
	if s.Total.Share != 1 {
		t.Errorf("share of the total = %v, want 1", s.Total.Share)
	}
}

func TestHomeOfNamespaces(t *testing.T) {
	uses := october(home(use("ann", "a", 0), 7440), in("lab", home(use("ann", "a", 0), 7440)))
	uses.HomeHours["lab"] = 372 // half of the month
	var got []float64
	s := section(t, uses, &report.Options{By: by["namespace"]})
	for _, row := range append(s.Rows, s.Total) {
		got = append(got, row.Amounts[report.Home])
	}
	if diff := cmp.Diff([]float64{10, 20, 30}, got); diff != "" {
		t.Errorf("GiB months (-want +got):\n%s", diff)
	}
}

func TestRanked(t *testing.T) {
	uses := october(use("ann", "a", 10), use("bob", "b", 40), use("cat", "", 90), of(report.Unknown, use("dan", "", 90)))
	none := func(string) bool { return false }
	if got := section(t, uses, &report.Options{By: by["group"], Groups: none}).Ranked; got != 2 {
		t.Errorf("Ranked = %d, want the 2 groups that have a rank", got)
	}
}

func TestOmitUsers(t *testing.T) {
	first := october(use("ann", "a", 10), use("bob", "b", 40), of(report.Unknown, use("eve", "", 20)), of(report.Unowned, home(use("old", "", 0), 1)))
	second := october(use("ann", "a", 80), use("cat", "b", 60), use("dan", "c", 1))
	o := &report.Options{By: by["group,user"], ShareOf: report.Memory}
	sections, err := report.NewSections([]*report.Uses{first, second}, o)
	if err != nil {
		t.Fatal(err)
	}
	r := &report.Report{Sections: sections, Members: section(t, second, &report.Options{By: by["user"], ShareOf: report.Memory})}
	r.OmitUsers()
	var got []string
	for _, s := range append(r.Sections, r.Members) {
		for _, row := range s.Rows {
			got = append(got, strings.TrimSpace(row.Group+" "+row.User))
		}
	}
	want := []string{
		"a user 3", "b user 1", "unknown user 2", "unowned unowned", "a user 3", "b user 4", "c user 5", "user 3", "user 4", "user 5",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestMerge(t *testing.T) {
	first, second := october(use("ann", "a", 1, "s1")), october(use("ann", "b", 2, "s1", "s2"))
	second.Period = report.Period{From: first.Period.To, To: first.Period.To.AddDate(0, 1, 0)}
	first.Missing, second.Missing = []report.Measure{report.GPU, report.CPU}, []report.Measure{report.GPU, report.Home}
	merged := report.Merge([]*report.Uses{first, second})
	want := &report.Uses{
		Period: report.Period{From: first.Period.From, To: second.Period.To}, Uses: []*report.Use{first.Uses[0], second.Uses[0]},
		HomeHours: map[string]float64{"hub": 1488, "lab": 1488}, Missing: []report.Measure{report.GPU},
	}
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]report.Measure{report.GPU, report.CPU}, first.Missing); diff != "" {
		t.Errorf("Merge changed a part (-want +got):\n%s", diff)
	}
	if got := rows(section(t, merged, &report.Options{}))[1]; got != "total 3 1 2" {
		t.Errorf("merged total = %s, want total 3 1 2", got)
	}
}

func TestMeasures(t *testing.T) {
	for _, measure := range report.Measures() {
		if got, err := report.ParseMeasure(measure.String()); got != measure || err != nil {
			t.Errorf("ParseMeasure(%q) = %v, %v, want %v", measure, got, err, measure)
		}
	}
	if _, err := report.ParseMeasure(""); err == nil {
		t.Error("ParseMeasure of an empty name succeeded, want an error")
	}
}

func TestLongestGap(t *testing.T) {
	gap := func(minutes int, carried bool) report.Gap {
		return report.Gap{Period: report.Period{From: time.Unix(0, 0), To: time.Unix(int64(60*minutes), 0)}, Carried: carried}
	}
	c := &report.Coverage{Gaps: []report.Gap{gap(10, false), gap(50, true), gap(20, false)}}
	if got, want := c.Longest(), 20*time.Minute; got != want {
		t.Errorf("Longest = %s, want %s", got, want)
	}
}

// about compares sums of floating-point numbers.
var about = cmpopts.EquateApprox(1e-9, 1e-9)

// finite reports whether all amounts are finite and not negative.
func finite(a report.Amounts) bool {
	for _, amount := range a {
		if math.IsNaN(amount) || math.IsInf(amount, 0) || amount < 0 {
			return false
		}
	}
	return true
}
