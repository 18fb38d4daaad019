package report_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	location, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return location
}

// at returns a time that is written in RFC 3339.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func texts(periods ...report.Period) []string {
	var all []string
	for _, p := range periods {
		all = append(all, p.From.Format(time.RFC3339)+" "+p.To.Format(time.RFC3339))
	}
	return all
}

func TestParseMonth(t *testing.T) {
	for _, test := range []struct{ text, zone, want string }{
		{"2026-10", "UTC", "2026-10-01T00:00:00Z 2026-11-01T00:00:00Z"},
		{"2026-12", "UTC", "2026-12-01T00:00:00Z 2027-01-01T00:00:00Z"},
		{"2028-02", "UTC", "2028-02-01T00:00:00Z 2028-03-01T00:00:00Z"},
		{"2026-10", "Europe/Berlin", "2026-10-01T00:00:00+02:00 2026-11-01T00:00:00+01:00"},
		{"2026-03", "Europe/Berlin", "2026-03-01T00:00:00+01:00 2026-04-01T00:00:00+02:00"},
		// Clocks were set forward at midnight of October 1st.
		{"2023-10", "America/Asuncion", "2023-10-01T01:00:00-03:00 2023-11-01T00:00:00-03:00"},
		{"2023-09", "America/Asuncion", "2023-09-01T00:00:00-04:00 2023-10-01T01:00:00-03:00"},
	} {
		got, err := report.ParseMonth(test.text, zone(t, test.zone))
		if err != nil || texts(got)[0] != test.want {
			t.Errorf("ParseMonth(%q, %s) = %s, %v, want %s", test.text, test.zone, texts(got)[0], err, test.want)
		}
	}
	for _, text := range []string{"", "2026", "2026-13", "2026-00", "2026-1", "2026-10-01", "October", "2026-10 ", "last"} {
		if got, err := report.ParseMonth(text, time.UTC); err == nil {
			t.Errorf("ParseMonth(%q) = %v, want an error", text, got)
		}
	}
}

func TestLastMonth(t *testing.T) {
	for _, test := range []struct{ now, zone, want string }{
		{"2026-11-26T22:00:00Z", "UTC", "2026-10-01T00:00:00Z 2026-11-01T00:00:00Z"},
		{"2026-03-31T12:00:00Z", "UTC", "2026-02-01T00:00:00Z 2026-03-01T00:00:00Z"},
		{"2026-01-01T00:00:00Z", "UTC", "2025-12-01T00:00:00Z 2026-01-01T00:00:00Z"},
		{"2026-10-31T23:30:00Z", "Europe/Berlin", "2026-10-01T00:00:00+02:00 2026-11-01T00:00:00+01:00"},
		{"2026-11-01T03:30:00Z", "America/New_York", "2026-09-01T00:00:00-04:00 2026-10-01T00:00:00-04:00"},
	} {
		if got := texts(report.LastMonth(at(t, test.now).In(zone(t, test.zone))))[0]; got != test.want {
			t.Errorf("LastMonth(%s in %s) = %s, want %s", test.now, test.zone, got, test.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, test := range []struct{ text, zone, want string }{
		{"2026-10-31", "UTC", "2026-10-31T00:00:00Z"},
		{"2026-10-31", "Europe/Berlin", "2026-10-31T00:00:00+01:00"},
		{"2026-10-31T14:00:00Z", "Europe/Berlin", "2026-10-31T15:00:00+01:00"},
		{"2026-10-31T14:00:00+05:30", "UTC", "2026-10-31T08:30:00Z"},
		{"2026-10-31T14:00", "Europe/Berlin", "2026-10-31T14:00:00+01:00"},
		{"2026-07-31T14:00:59", "Europe/Berlin", "2026-07-31T14:00:59+02:00"},
		{"2026-09-06", "America/Santiago", "2026-09-06T01:00:00-03:00"}, // set forward at midnight
		{"2026-04-05", "America/Santiago", "2026-04-05T00:00:00-04:00"}, // set back at midnight
		{"2026-11-01", "America/Havana", "2026-11-01T00:00:00-04:00"},   // midnight comes twice
		{"2011-12-30", "Pacific/Apia", "2011-12-31T00:00:00+14:00"},     // there was no such day
	} {
		got, err := report.ParseTime(test.text, zone(t, test.zone))
		if err != nil || got.Format(time.RFC3339) != test.want {
			t.Errorf("ParseTime(%q, %s) = %s, %v, want %s", test.text, test.zone, got.Format(time.RFC3339), err, test.want)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-02-30", "2026-10", "2026-10-31 14:00", "2026-10-31T14", "2026-10-31T25:00", "1761868800"} {
		if got, err := report.ParseTime(text, time.UTC); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		name, from, to, zone string
		every                report.Every
		want                 []string
	}{
		{"whole", "2026-10-01T10:00:00Z", "2026-10-03T05:00:00Z", "UTC", "", []string{"2026-10-01T10:00:00Z 2026-10-03T05:00:00Z"}},
		{"days", "2026-10-01T10:00:00Z", "2026-10-03T05:00:00Z", "UTC", report.EveryDay, []string{
			"2026-10-01T10:00:00Z 2026-10-02T00:00:00Z", "2026-10-02T00:00:00Z 2026-10-03T00:00:00Z", "2026-10-03T00:00:00Z 2026-10-03T05:00:00Z",
		}},
		{"weeks begin on Monday", "2026-10-01T00:00:00Z", "2026-10-13T00:00:00Z", "UTC", report.EveryWeek, []string{
			"2026-10-01T00:00:00Z 2026-10-05T00:00:00Z", "2026-10-05T00:00:00Z 2026-10-12T00:00:00Z", "2026-10-12T00:00:00Z 2026-10-13T00:00:00Z",
		}},
		{"a week from Sunday", "2026-10-04T00:00:00Z", "2026-10-12T00:00:00Z", "UTC", report.EveryWeek, []string{
			"2026-10-04T00:00:00Z 2026-10-05T00:00:00Z", "2026-10-05T00:00:00Z 2026-10-12T00:00:00Z",
		}},
		{"months", "2026-01-31T00:00:00Z", "2026-03-02T00:00:00Z", "UTC", report.EveryMonth, []string{
			"2026-01-31T00:00:00Z 2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z 2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z 2026-03-02T00:00:00Z",
		}},
		{"a day of 25 hours", "2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z", "Europe/Berlin", report.EveryDay, []string{
			"2026-10-25T00:00:00+02:00 2026-10-26T00:00:00+01:00", "2026-10-26T00:00:00+01:00 2026-10-27T00:00:00+01:00",
		}},
		{"a day that begins at 1:00", "2026-09-05T04:00:00Z", "2026-09-07T03:00:00Z", "America/Santiago", report.EveryDay, []string{
			"2026-09-05T00:00:00-04:00 2026-09-06T01:00:00-03:00", "2026-09-06T01:00:00-03:00 2026-09-07T00:00:00-03:00",
		}},
		{"empty", "2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z", "UTC", report.EveryDay, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			z := zone(t, test.zone)
			p := report.Period{From: at(t, test.from).In(z), To: at(t, test.to).In(z)}
			if diff := cmp.Diff(test.want, texts(p.Split(test.every)...)); diff != "" {
				t.Errorf("Split(%q) (-want +got):\n%s", test.every, diff)
			}
		})
	}
}

// TestSplitCoversPeriod checks that parts follow one another, that no day is split, and that Split ends, in zones with
// all kinds of changes of clocks.
func TestSplitCoversPeriod(t *testing.T) {
	for _, name := range []string{
		"UTC", "Europe/Berlin", "America/Santiago", "America/Asuncion", "America/Havana", "Atlantic/Azores", "Africa/Cairo", "Asia/Beirut",
		"Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns",
	} {
		z := zone(t, name)
		p := report.Period{From: time.Date(2023, 1, 17, 13, 5, 7, 0, z), To: time.Date(2027, 2, 3, 4, 0, 0, 0, z)}
		for every, want := range map[report.Every]int{report.EveryDay: 1479, report.EveryWeek: 212, report.EveryMonth: 50} {
			parts := p.Split(every)
			if len(parts) != want {
				t.Errorf("%s: Split(%s) returned %d parts, want %d", name, every, len(parts), want)
			}
			from := p.From
			for i, part := range parts {
				if !part.From.Equal(from) || !part.To.After(part.From) || part.From.Location() != z {
					t.Fatalf("%s: part %d of %s is %v, want it to begin at %s", name, i, every, part, from)
				}
				if every == report.EveryDay && part.From.Day() != part.To.Add(-time.Second).Day() {
					t.Errorf("%s: part %v is in two days", name, part)
				}
				from = part.To
			}
			if !from.Equal(p.To) {
				t.Errorf("%s: Split(%s) ends at %s, want %s", name, every, from, p.To)
			}
		}
	}
}

func TestMonthsAndHours(t *testing.T) {
	for _, test := range []struct {
		from, to, zone string
		months, hours  float64
	}{
		{"2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "UTC", 1, 744},
		{"2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "UTC", 1, 672},
		{"2026-02-15T00:00:00Z", "2026-03-01T00:00:00Z", "UTC", 0.5, 336},
		{"2026-02-15T00:00:00Z", "2026-05-16T12:00:00Z", "UTC", 3, 2172},
		{"2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "UTC", 12, 8760},
		{"2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00", "Europe/Berlin", 1, 745},
		{"2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", "Europe/Berlin", 23.0 / 743, 23},
		{"2023-09-01T00:00:00-04:00", "2023-11-01T00:00:00-03:00", "America/Asuncion", 2, 1463},
		{"2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z", "UTC", 0, 0},
	} {
		z := zone(t, test.zone)
		p := report.Period{From: at(t, test.from).In(z), To: at(t, test.to).In(z)}
		if got := p.Months(); math.Abs(got-test.months) > 1e-12 {
			t.Errorf("Months of %v = %v, want %v", p, got, test.months)
		}
		if got := p.Hours(); got != test.hours {
			t.Errorf("Hours of %v = %v, want %v", p, got, test.hours)
		}
	}
}
