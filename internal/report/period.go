package report

import (
	"fmt"
	"sort"
	"time"
)

// Period is the time from From to To. To is exclusive.
type Period struct{ From, To time.Time }

// Hours returns the length of the period in hours. A day on which clocks change has 23 or 25 hours.
func (p Period) Hours() float64 { return p.To.Sub(p.From).Hours() }

// Months returns the length of the period in calendar months. For a part of a month, it is the fraction of that month's
// length.
func (p Period) Months() float64 {
	months := 0.0
	for from := p.From; from.Before(p.To); {
		start, end := month(from, 0), month(from, 1)
		to := end
		if p.To.Before(to) {
			to = p.To
		}
		months += to.Sub(from).Hours() / end.Sub(start).Hours()
		from = to
	}
	return months
}

// month returns the beginning of the month that is some months after the month of t.
func month(t time.Time, after int) time.Time {
	return beginning(t.Year(), t.Month()+time.Month(after), 1, t.Location())
}

// beginning returns the first second of a day. That isn't always midnight: where clocks are set forward at midnight,
// the day begins at 1:00, and time.Date returns 23:00 of the day before.
func beginning(year int, month time.Month, day int, zone *time.Location) time.Time {
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	earliest := date.Add(-24 * time.Hour) // no time zone is a whole day away from UTC
	seconds := sort.Search(48*60*60, func(after int) bool {
		year, month, day := earliest.Add(time.Duration(after) * time.Second).In(zone).Date()
		return !time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Before(date)
	})
	return earliest.Add(time.Duration(seconds) * time.Second).In(zone)
}

// Every is how long the parts of a period are.
type Every string

// The lengths.
const (
	EveryDay   Every = "day"
	EveryWeek  Every = "week" // begins on Monday
	EveryMonth Every = "month"
)

// Split returns the parts of a period that begin at each day, week or month. The first and the last may be shorter. An
// empty Every returns the period itself.
func (p Period) Split(every Every) []Period {
	if every == "" {
		return []Period{p}
	}
	var parts []Period
	for from := p.From; from.Before(p.To); {
		to := next(from, every)
		if p.To.Before(to) {
			to = p.To
		}
		parts = append(parts, Period{from, to})
		from = to
	}
	return parts
}

// next returns the beginning of the day, week or month after t.
func next(t time.Time, every Every) time.Time {
	year, month, day := t.Date()
	switch every {
	case EveryMonth:
		return beginning(year, month+1, 1, t.Location())
	case EveryWeek:
		sinceMonday := (int(t.Weekday()) + 6) % 7
		return beginning(year, month, day+7-sinceMonday, t.Location())
	default:
		return beginning(year, month, day+1, t.Location())
	}
}

// ParseMonth returns a calendar month, written like 2026-10.
func ParseMonth(text string, zone *time.Location) (Period, error) {
	first, err := time.Parse("2006-01", text)
	if err != nil {
		return Period{}, fmt.Errorf("%q is not a month: write it like 2026-10", text)
	}
	return Period{beginning(first.Year(), first.Month(), 1, zone), beginning(first.Year(), first.Month()+1, 1, zone)}, nil
}

// LastMonth returns the calendar month before the one of now.
func LastMonth(now time.Time) Period {
	return Period{month(now, -1), month(now, 0)}
}

// ParseTime returns the beginning of a day, written like 2026-10-31, or a time like 2026-10-31T14:00, with or without
// seconds. A time in RFC 3339 has its own zone.
func ParseTime(text string, zone *time.Location) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return beginning(day.Year(), day.Month(), day.Day(), zone), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if moment, err := time.ParseInLocation(layout, text, zone); err == nil {
			return moment.In(zone), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write it like 2026-10-31, 2026-10-31T14:00 or 2026-10-31T14:00:00Z", text)
}
