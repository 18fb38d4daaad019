package main

import (
	"cmp"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
)

// scheduleOptions are the flags for how often serve polls, and how long it publishes the last good answer.
type scheduleOptions struct {
	hub, usage, homeDirs time.Duration
	maxStaleness         time.Duration
}

const (
	defaultRefreshInterval = 5 * time.Minute
	demoRefreshInterval    = 15 * time.Second
	defaultUsageInterval   = time.Minute
	defaultHomeDirInterval = time.Hour
	sourcesInterval        = 10 * time.Minute // between lookups of the series that Prometheus has
	defaultStaleness       = time.Hour        // or three intervals, if that is longer
)

func (o *scheduleOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(duration{&o.hub}, "refresh-interval", "time between refreshes from the hub (default 5m)")
	flags.Var(duration{&o.maxStaleness}, "max-staleness", "how long to publish an old answer (default 1h)")
	flags.Var(duration{&o.usage}, "usage-interval", "time between queries for pods (default 1m)")
	flags.Var(duration{&o.homeDirs}, "usage-home-dir-interval", "time between queries for homes (default 1h)")
	setHeading(cmd, "Polling")
}

// complete sets the defaults.
func (o *scheduleOptions) complete(demo, withUsage bool) error {
	if demo {
		o.hub = cmp.Or(o.hub, demoRefreshInterval)
	}
	o.hub = cmp.Or(o.hub, defaultRefreshInterval)
	if withUsage {
		o.usage = cmp.Or(o.usage, defaultUsageInterval)
		o.homeDirs = cmp.Or(o.homeDirs, defaultHomeDirInterval)
	}
	for _, flag := range []struct {
		name     string
		interval time.Duration
	}{{"--refresh-interval", o.hub}, {"--usage-interval", o.usage}, {"--usage-home-dir-interval", o.homeDirs}} {
		if o.schedule(flag.interval).MaxStaleness < 2*flag.interval {
			return usagef("--max-staleness must be at least twice %s, or metrics would disappear between refreshes", flag.name)
		}
	}
	return nil
}

// schedule returns the schedule of a source that is polled at an interval.
func (o *scheduleOptions) schedule(interval time.Duration) exporter.Schedule {
	return exporter.Schedule{Interval: interval, MaxStaleness: cmp.Or(o.maxStaleness, max(defaultStaleness, 3*interval))}
}
