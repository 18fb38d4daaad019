package main

import (
	"time"
	_ "time/tzdata" // images without an operating system have no time zones

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// periodOptions are the flags that choose the period of a report.
type periodOptions struct {
	month, from, to string
	last            string
	timezone        string
	every           report.Every
}

func (o *periodOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.month, "month", "", "`month` like 2026-10 (default last month)")
	flags.StringVar(&o.from, "from", "", "beginning of the period: `date` or time")
	flags.StringVar(&o.to, "to", "", "end of the period, exclusive: `date` or time (default now)")
	flags.StringVar(&o.last, "last", "", "period of this `length` until now, like 7d or 4w")
	flags.StringVar(&o.timezone, "timezone", "UTC", "time `zone` of days and months, like Europe/Berlin")
	addChoice(cmd, &o.every, "every", "rows for each day, week or month", report.EveryDay, report.EveryWeek, report.EveryMonth)
}

// complete returns the period. It cuts off the part of the period that is in the future.
func (o *periodOptions) complete(now time.Time) (report.Period, error) {
	zone, err := parseZone(o.timezone)
	if err != nil {
		return report.Period{}, err
	}
	now = now.In(zone).Truncate(time.Minute)
	period, err := o.period(now, zone)
	switch {
	case err != nil:
		return period, &usageError{err}
	case !period.From.Before(now):
		return period, usagef("the period begins in the future, at %s", moment(period.From))
	case period.To.After(now):
		period.To = now
	}
	if !period.From.Before(period.To) {
		return period, usagef("the period is empty: it begins at %s and ends at %s", moment(period.From), moment(period.To))
	}
	return period, nil
}

// parseZone returns the time zone that --timezone names.
func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, usagef("--timezone %q is not a time zone like Europe/Berlin", name)
	}
	return zone, nil
}

func (o *periodOptions) period(now time.Time, zone *time.Location) (report.Period, error) {
	given := 0
	for _, one := range []bool{o.month != "", o.last != "", o.from != "" || o.to != ""} {
		if one {
			given++
		}
	}
	switch {
	case given > 1:
		return report.Period{}, usagef("--month, --last, and --from with --to exclude each other")
	case o.month != "":
		return report.ParseMonth(o.month, zone)
	case o.last != "":
		length, err := model.ParseDuration(o.last)
		if err != nil || length == 0 {
			return report.Period{}, usagef("--last %q is not a duration like 7d or 4w", o.last)
		}
		return report.Period{From: now.Add(-time.Duration(length)), To: now}, nil
	case o.from == "" && o.to != "":
		return report.Period{}, usagef("--to needs --from")
	case o.from == "":
		return report.LastMonth(now), nil
	}
	period := report.Period{To: now}
	var err error
	if period.From, err = report.ParseTime(o.from, zone); err != nil || o.to == "" {
		return period, err
	}
	period.To, err = report.ParseTime(o.to, zone)
	return period, err
}
