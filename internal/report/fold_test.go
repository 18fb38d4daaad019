package report_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func TestSpread(t *testing.T) {
	unknown := of(report.Unknown, use("dan", "", 12, "s6"))
	unowned := of(report.Unowned, home(use("old", "", 0), 744*8))
	ann, bob, cat := home(use("ann", "a", 30, "s1"), 744), home(use("bob", "b", 10, "s2"), 744*3), use("cat", "", 20, "s3")
	both := []report.Kind{report.Unknown, report.Unowned}
	for _, test := range []struct {
		name, by string
		spread   []report.Kind
		uses     []*report.Use
		want     []string // name, memory, home, active users
	}{
		{"nothing", "group", nil, []*report.Use{ann, bob, cat, unknown, unowned}, []string{
			"a 30 1 1", "b 10 3 1", "none 20 0 1", "unknown 12 0 1", "unowned 0 8 0",
		}},
		{"both", "group", both, []*report.Use{ann, bob, cat, unknown, unowned}, []string{"a 36 3 1", "b 12 9 1", "none 24 0 1"}},
		{"unknown", "group", both[:1], []*report.Use{ann, bob, cat, unknown, unowned}, []string{
			"a 36 1 1", "b 12 3 1", "none 24 0 1", "unowned 0 8 0",
		}},
		{"by user", "user", both, []*report.Use{ann, bob, cat, unknown, unowned}, []string{"ann 36 3 1", "bob 12 9 1", "cat 24 0 1"}},
		{"nobody else has directories", "group", both, []*report.Use{cat, unknown, unowned}, []string{"none 32 0 1", "unowned 0 8 0"}},
		{"nobody else", "group", both, []*report.Use{unknown, unowned}, []string{"unknown 12 0 1", "unowned 0 8 0"}},
		{"within a namespace", "namespace,group", both, []*report.Use{ann, unowned, in("lab", bob), in("lab", of(report.Unknown, use("eve", "", 5)))}, []string{
			"hub a 30 9 1", "lab b 15 3 1",
		}},
		{"not into another namespace", "namespace,group", both, []*report.Use{unknown, in("lab", bob)}, []string{"hub unknown 12 0 1", "lab b 10 3 1"}},
		{"by namespace", "namespace", both, []*report.Use{bob, unknown, unowned}, []string{"hub 22 11 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := section(t, october(test.uses...), &report.Options{By: by[test.by], Spread: test.spread})
			var got []string
			for _, row := range s.Rows {
				name := row.Group + row.User
				if row.Namespace != "" {
					name = row.Namespace
					if row.Group != "" {
						name += " " + row.Group
					}
				}
				got = append(got, fmt.Sprintf("%s %.6g %.6g %g", name, row.Amounts[report.Memory], row.Amounts[report.Home], row.Amounts[report.ActiveUsers]))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSpreadToSelectedGroup checks that a selected group receives the same part, whether or not rows are by group.
func TestSpreadToSelectedGroup(t *testing.T) {
	uses := october(use("ann", "a", 30, "s1"), use("bob", "b", 10, "s2"), of(report.Unknown, use("dan", "", 20, "s6")))
	for name, dimensions := range by {
		s := section(t, uses, &report.Options{By: dimensions, Spread: []report.Kind{report.Unknown}, Groups: func(group string) bool { return group == "a" }})
		if len(s.Rows) != 1 || s.Rows[0].Amounts[report.Memory] != 45 {
			t.Errorf("by %s: rows = %v, want one of 45 GiB hours", name, rows(s))
		}
	}
}

// TestSpreadOfDirectories checks the same for directories, of which users without a membership receive nothing.
func TestSpreadOfDirectories(t *testing.T) {
	uses := october(home(use("ann", "a", 1, "s1"), 744), of(report.Unknown, home(use("dan", "", 1, "s2"), 744*5)), of(report.Unowned, home(use("old", "", 0), 744*3)))
	for name, dimensions := range by {
		s := section(t, uses, &report.Options{By: dimensions, Spread: []report.Kind{report.Unowned}, Groups: func(group string) bool { return group == "a" }})
		if len(s.Rows) != 1 || s.Rows[0].Amounts[report.Home] != 4 {
			t.Errorf("by %s: rows = %v with %v, want one of 4 GiB months", name, rows(s), s.Rows[0].Amounts[report.Home])
		}
	}
}

func TestFold(t *testing.T) {
	// a and b have two users together, c has three, d four, and two users are in none.
	uses := []*report.Use{
		use("ann", "a", 1, "s1"), use("bob", "a b", 4, "s2", "s3"),
		use("u1", "c", 1, "s4"), use("u2", "c", 1, "s5"), use("u3", "c", 1, "s6"),
		use("v1", "d", 1, "s7"), use("v2", "d", 1, "s8"), use("v3", "d", 1, "s9"), use("v4", "d", 1, "s10"),
		use("w1", "", 1, "s11"), use("w2", "", 1, "s12"),
		of(report.Unknown, use("x", "", 1, "s13")),
	}
	total := "total 15 12 13"
	for _, test := range []struct {
		name, by    string
		attribution usage.Attribution
		minUsers    int
		uses        []*report.Use
		want        []string
	}{
		{"off", "group", usage.Share, 0, uses, []string{"a 3 2 3", "b 2 1 2", "c 3 3 3", "d 4 4 4", "none 2 2 2", "unknown 1 1 1", total}},
		{"no small group", "group", usage.Share, 1, uses, []string{"a 3 2 3", "b 2 1 2", "c 3 3 3", "d 4 4 4", "none 2 2 2", "unknown 1 1 1", total}},
		// b is too small. With a, which contains it, these are two groups with two users.
		{"one small group", "group", usage.Share, 2, uses, []string{"c 3 3 3", "d 4 4 4", "none 2 2 2", "unknown 1 1 1", "other 5 2 3", total}},
		// b, a and none are too small, and have four users.
		{"three small groups", "group", usage.Share, 3, uses, []string{"c 3 3 3", "d 4 4 4", "unknown 1 1 1", "other 7 4 5", total}},
		{"large groups are needed", "group", usage.Share, 4, uses[:5], []string{"other 8 5 6", "total 8 5 6"}},
		{"all are too small", "group", usage.Share, 20, uses, []string{"unknown 1 1 1", "other 14 11 12", total}},
		{"in full", "group", usage.Full, 2, uses, []string{"c 3 3 3", "d 4 4 4", "none 2 2 2", "unknown 1 1 1", "other 5 2 3", total}},
		{"with users", "group,user", usage.Share, 4, uses[:9], []string{"d/v1 1 1 1", "d/v2 1 1 1", "d/v3 1 1 1", "d/v4 1 1 1", "other/other 8 5 6", "total 12 9 10"}},
		{"not by group", "user", usage.Share, 20, uses[:2], []string{"ann 1 1 1", "bob 4 1 2", "total 5 2 3"}},
		{"only one group", "group", usage.Share, 2, uses[:1], []string{"other 1 1 1", "total 1 1 1"}},
		{"without active users", "group", usage.Share, 1, []*report.Use{use("ann", "a", 1), use("bob", "b", 1, "s1"), use("cat", "c", 1, "s2"), use("dan", "c", 1, "s3")}, []string{
			"c 2 2 2", "other 2 1 1", "total 4 3 3",
		}},
		{"by namespace", "namespace,group", usage.Share, 2, []*report.Use{
			use("ann", "a", 1, "s1"), use("bob", "b", 1, "s2"), use("cat", "b", 1, "s3"), use("dan", "c", 1, "s4"), use("eve", "c", 1, "s5"), use("flo", "c", 1, "s6"),
			in("lab", use("ann", "a", 1, "s1")), in("lab", use("bob", "a", 1, "s2")),
		}, []string{"hub/c 3 3 3", "hub/other 3 3 3", "lab/a 2 2 2", "total 8 8 8"}},
		{"one user in two namespaces is two", "group", usage.Share, 2, []*report.Use{use("ann", "a", 1, "s1"), in("lab", use("ann", "a", 1, "s1"))}, []string{
			"a 2 2 2", "total 2 2 2",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := section(t, october(test.uses...), &report.Options{By: by[test.by], Attribution: test.attribution, MinUsers: test.minUsers})
			if diff := cmp.Diff(test.want, rows(s)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFoldHidesSelectedGroup(t *testing.T) {
	uses := october(use("ann", "a", 1, "s1"), use("bob", "b", 1, "s2"), use("cat", "b", 1, "s3"))
	s := section(t, uses, &report.Options{By: by["group"], MinUsers: 2, Groups: func(group string) bool { return group == "a" }})
	if diff := cmp.Diff([]string{"total 3 3 3"}, rows(s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestFoldAndSpread checks that the row of small groups receives its part of the usage that is spread.
func TestFoldAndSpread(t *testing.T) {
	uses := october(use("ann", "a", 1, "s1"), use("bob", "b", 2, "s2"), use("cat", "c", 3, "s3"), use("dan", "c", 3, "s4"), of(report.Unknown, use("x", "", 9, "s5")))
	s := section(t, uses, &report.Options{By: by["group"], MinUsers: 2, Spread: []report.Kind{report.Unknown}})
	if diff := cmp.Diff([]string{"c 12 2 2", "other 6 2 2", "total 18 5 5"}, rows(s)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
