package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// MaxGaps limits the gaps of each source that people see.
const MaxGaps = 10

// Complete is the minimum coverage of a complete report.
const Complete = 0.99

// String returns the period as people write it. The last day is part of it.
func (p Period) String() string {
	last := p.To.Add(-time.Nanosecond)
	switch {
	case !startsDay(p.From) || !startsDay(p.To):
		return p.From.Format("2 January 2006 15:04") + " to " + p.To.Format("2 January 2006 15:04")
	case p.isMonth():
		return p.From.Format("January 2006")
	case p.isDay():
		return p.From.Format("2 January 2006")
	case p.From.Year() != last.Year():
		return p.From.Format("2 January 2006") + " to " + last.Format("2 January 2006")
	case p.From.Month() != last.Month():
		return p.From.Format("2 January") + " to " + last.Format("2 January 2006")
	default:
		return p.From.Format("2") + " to " + last.Format("2 January 2006")
	}
}

// Short returns the period for a cell of a table. The last day is part of it.
func (p Period) Short() string {
	switch {
	case !startsDay(p.From) || !startsDay(p.To):
		return p.From.Format("2006-01-02 15:04") + " to " + p.To.Format("2006-01-02 15:04")
	case p.isMonth():
		return p.From.Format("2006-01")
	case p.isDay():
		return p.From.Format(time.DateOnly)
	default:
		return p.From.Format(time.DateOnly) + " to " + p.To.Add(-time.Nanosecond).Format(time.DateOnly)
	}
}

// Interval returns the period for the name of a file: a month like 2026-10, or both ends like 2026-10-05--2026-10-12.
// The end is exclusive.
func (p Period) Interval() string {
	format := time.DateOnly
	switch {
	case p.isMonth():
		return p.From.Format("2006-01")
	case !startsDay(p.From) || !startsDay(p.To):
		format = "2006-01-02T1504"
	}
	return p.From.Format(format) + "--" + p.To.Format(format)
}

func (p Period) isMonth() bool { return p.From.Equal(month(p.From, 0)) && p.To.Equal(month(p.From, 1)) }

func (p Period) isDay() bool { return startsDay(p.From) && p.To.Equal(next(p.From, EveryDay)) }

func startsDay(t time.Time) bool {
	return t.Equal(beginning(t.Year(), t.Month(), t.Day(), t.Location()))
}

// Zone returns the name of the report's time zone.
func (r *Report) Zone() string { return r.Period.From.Location().String() }

// Hubs returns the namespaces of the hubs as a phrase. The function shown makes a name safe to print.
func (r *Report) Hubs(shown func(string) string) string {
	names := make([]string, len(r.Namespaces))
	for i, name := range r.Namespaces {
		names[i] = shown(name)
	}
	switch len(names) {
	case 0:
		return "all hubs"
	case 1:
		return "hub " + names[0]
	default:
		return "hubs " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
}

// AttributionWords says how users in several groups count.
func (r *Report) AttributionWords() string {
	switch {
	case !r.Options.by(ByGroup) && r.Options.by(ByParent):
		return r.parentWords()
	case !r.Options.by(ByGroup):
		return ""
	case r.Options.Attribution == usage.Full:
		return "A user in several groups counts in full in each of them, so the sum of the groups exceeds the total. The total counts everything once."
	default:
		return "The usage of a user in several groups is divided equally among them, so the groups add up to the total. " +
			"Active users and sessions count in each group."
	}
}

// parentWords says how users in groups of several parents count.
func (r *Report) parentWords() string {
	if r.Options.Attribution == usage.Full {
		return "A user in groups of several parents counts in full in each of them, so the sum of the parents exceeds the total. The total counts everything once."
	}
	return "The usage of a user in several groups is divided equally among them, and each part counts for the parent of its group, so the parents add up to the total. " +
		"Active users and sessions count in each parent."
}

// PseudoGroup is the name and the definition of a row for usage of no group.
type PseudoGroup struct{ Name, Definition string }

// PseudoGroups returns the pseudo-groups that the report has, in the order of rows.
func (r *Report) PseudoGroups() []PseudoGroup {
	var found []PseudoGroup
	for _, pseudo := range []PseudoGroup{
		{membership.DefaultNoneName, "usage of users in no group"},
		{Unknown.String(), "usage of pods whose owner had no membership at that time"},
		{Unowned.String(), "home directories that belong to no user"},
		{Other.String(), "usage of groups that are too small to be shown"},
	} {
		has := func(row *Row) bool { return row.Pseudo() == pseudo.Name }
		if slices.ContainsFunc(r.Sections, func(s *Section) bool { return slices.ContainsFunc(s.Rows, has) }) {
			found = append(found, pseudo)
		}
	}
	return found
}

// Pseudo returns the name of the row's pseudo-group, or an empty text for other rows.
func (r *Row) Pseudo() string {
	if r.Kind == Known && r.isNone() {
		return membership.DefaultNoneName
	}
	return r.Kind.String()
}

// isNone reports whether the row is that of users in no group.
func (r *Row) isNone() bool { return cmp.Or(r.Group, r.Parent) == membership.DefaultNoneName }

// TotalWords says what the total counts, if that isn't obvious.
func (r *Report) TotalWords() string {
	if r.Options.Groups == nil {
		return ""
	}
	return "The total counts all groups, including those that aren't shown."
}

// UsageInGaps says how gaps affect the numbers.
const UsageInGaps = "Usage in the gaps isn't counted, or counts as unknown."

// Incomplete returns a sentence for each source that doesn't cover the period, without a full stop.
func (r *Report) Incomplete(shown func(string) string) []string {
	var lines []string
	for i := range r.Coverage {
		if c := &r.Coverage[i]; c.Covered < Complete {
			lines = append(lines, fmt.Sprintf("%s cover only %s of the period", c.Title(shown), c.Percent()))
		}
	}
	return lines
}

// Title returns the source for people, such as "memberships of prod".
func (c *Coverage) Title(shown func(string) string) string {
	if c.Namespace == "" {
		return c.Source
	}
	return c.Source + " of " + shown(c.Namespace)
}

// Percent returns the part of the period with data, rounded down: a period with a gap never has 100 %.
func (c *Coverage) Percent() string {
	return fmt.Sprintf("%.2f", math.Floor(c.Covered*1e4+1e-7)/1e2) + " %"
}

// Words describes a gap, with times in a time zone.
func (g *Gap) Words(zone *time.Location) string {
	const format = "2006-01-02 15:04"
	from, to := g.Period.From.In(zone), g.Period.To.In(zone)
	end := format
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		end = "15:04"
	}
	text := from.Format(format) + " to " + to.Format(end)
	if g.Carried {
		text += " (memberships carried over)"
	}
	return text
}
