package report_test

import (
	"slices"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

func TestPeriodInWords(t *testing.T) {
	for _, c := range []struct{ from, to, words, short, interval string }{
		{"2026-10-01T00:00", "2026-11-01T00:00", "October 2026", "2026-10", "2026-10"},
		{"2026-12-01T00:00", "2027-01-01T00:00", "December 2026", "2026-12", "2026-12"},
		{"2026-10-25T00:00", "2026-10-26T00:00", "25 October 2026", "2026-10-25", "2026-10-25--2026-10-26"}, // it has 25 hours
		{"2026-10-05T00:00", "2026-10-12T00:00", "5 to 11 October 2026", "2026-10-05 to 2026-10-11", "2026-10-05--2026-10-12"},
		{"2026-10-01T00:00", "2026-12-01T00:00", "1 October to 30 November 2026", "2026-10-01 to 2026-11-30", "2026-10-01--2026-12-01"},
		{"2026-12-28T00:00", "2027-01-04T00:00", "28 December 2026 to 3 January 2027", "2026-12-28 to 2027-01-03", "2026-12-28--2027-01-04"},
		{"2026-10-05T14:00", "2026-10-06T00:00", "5 October 2026 14:00 to 6 October 2026 00:00", "2026-10-05 14:00 to 2026-10-06 00:00", "2026-10-05T1400--2026-10-06T0000"},
		{"2026-10-05T00:00", "2026-10-05T14:30", "5 October 2026 00:00 to 5 October 2026 14:30", "2026-10-05 00:00 to 2026-10-05 14:30", "2026-10-05T0000--2026-10-05T1430"},
	} {
		period := report.Period{From: inZurich(t, c.from), To: inZurich(t, c.to)}
		if got := period.String(); got != c.words {
			t.Errorf("%s to %s is %q, want %q", c.from, c.to, got, c.words)
		}
		if got := period.Interval(); got != c.interval {
			t.Errorf("%s to %s is %q in the name of a file, want %q", c.from, c.to, got, c.interval)
		}
		if got := period.Short(); got != c.short {
			t.Errorf("%s to %s in short is %q, want %q", c.from, c.to, got, c.short)
		}
	}
}

// inZurich returns a time in Zurich.
func inZurich(t *testing.T, text string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	moment, err := time.ParseInLocation("2006-01-02T15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// The percentage of a period with a gap is never 100 %, and a coverage below the limit is never rounded up to it.
func TestCoverageInWords(t *testing.T) {
	for covered, want := range map[float64]string{1: "100.00 %", 0.999999: "99.99 %", 0.99: "99.00 %", 0.989999: "98.99 %", 0.07: "7.00 %", 0: "0.00 %"} {
		r := &report.Report{Coverage: []report.Coverage{{Source: "memberships", Namespace: "prod", Covered: covered}}}
		if got := r.Coverage[0].Percent(); got != want {
			t.Errorf("%v is shown as %s, want %s", covered, got, want)
		}
		var lines []string
		if covered < 0.99 {
			lines = []string{"memberships of <prod> cover only " + want + " of the period"}
		}
		if got := r.Incomplete(func(name string) string { return "<" + name + ">" }); !slices.Equal(got, lines) {
			t.Errorf("%v: incomplete is %q, want %q", covered, got, lines)
		}
	}
}

func TestGapInWords(t *testing.T) {
	gap := report.Gap{Period: report.Period{From: inZurich(t, "2026-10-05T14:00").UTC(), To: inZurich(t, "2026-10-05T15:30").UTC()}, Carried: true}
	if got, want := gap.Words(inZurich(t, "2026-10-05T14:00").Location()), "2026-10-05 14:00 to 15:30 (memberships carried over)"; got != want {
		t.Errorf("a gap is %q, want %q", got, want)
	}
	gap = report.Gap{Period: report.Period{From: inZurich(t, "2026-10-05T14:00"), To: inZurich(t, "2026-10-06T00:00")}}
	if got, want := gap.Words(time.UTC), "2026-10-05 12:00 to 22:00"; got != want {
		t.Errorf("a gap in UTC is %q, want %q", got, want)
	}
}

// Pseudo-groups have no rank, and --group doesn't change the rank of a group.
func TestRanks(t *testing.T) {
	use := func(user string, kind report.Kind, memory float64, groups ...string) *report.Use {
		return &report.Use{User: user, Kind: kind, Groups: groups, Amounts: report.Amounts{report.Memory: memory}}
	}
	uses := &report.Uses{Uses: []*report.Use{
		use("ada", report.Known, 5, "bio"), use("bob", report.Known, 9, "chem"), use("cy", report.Known, 5, "data"), use("dan", report.Known, 1, "econ"),
		use("eve", report.Known, 100), use("fay", report.Unknown, 100),
	}}
	o := &report.Options{By: []report.Dimension{report.ByGroup}, ShareOf: report.Memory, Groups: func(group string) bool { return group != "chem" }}
	sections, err := report.NewSections([]*report.Uses{uses}, o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"bio": 2, "data": 2, "econ": 4, "none": 0, "unknown": 0}
	for _, row := range sections[0].Rows {
		if row.Rank != want[row.Group] {
			t.Errorf("%s has the rank %d, want %d", row.Group, row.Rank, want[row.Group])
		}
	}
	if got := sections[0].Ranked; got != 4 {
		t.Errorf("%d groups have a rank, want 4", got)
	}
	r := &report.Report{Options: *o, Sections: sections}
	var names []string
	for _, pseudo := range r.PseudoGroups() {
		names = append(names, pseudo.Name)
	}
	if want := []string{"none", "unknown"}; !slices.Equal(names, want) {
		t.Errorf("the pseudo-groups are %q, want %q", names, want)
	}
}
