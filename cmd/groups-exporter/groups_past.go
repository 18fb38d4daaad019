package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

// pastHeading is the heading of the flags that need --at or --diff.
const pastHeading = "Memberships in the past"

// pastOptions are the flags of groups for memberships that Prometheus recorded.
type pastOptions struct {
	at, diff   string
	timezone   string
	prefix     prefixOption
	prometheus matchedOptions

	// Set by complete. The times are zero if their flags aren't set.
	when, since time.Time
	namespace   string // "" for that of the only hub
	client      *prometheus.Client
}

func (o *pastOptions) addMainFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.at, "at", "", "show the memberships that Prometheus recorded at this `time`")
	cmd.Flags().StringVar(&o.diff, "diff", "", "show who joined and who left between this `time` and now, or --at")
}

func (o *pastOptions) addFlags(cmd *cobra.Command) {
	o.prometheus.addFlags(cmd)
	cmd.Flags().StringVar(&o.timezone, "timezone", "UTC", "time `zone` of --at and --diff, like Europe/Berlin")
	o.prefix.addFlag(cmd)
	setHeading(cmd, pastHeading)
}

func (o *pastOptions) isSet() bool { return o.at != "" || o.diff != "" }

// needsHub reports whether the memberships of now are needed.
func (o *pastOptions) needsHub() bool { return o.at == "" }

// checkUnused returns an error if a flag is on the command line that needs --at or --diff.
func (o *pastOptions) checkUnused() (err error) {
	o.prometheus.flags.Visit(func(flag *pflag.Flag) {
		fromEnvironment := flag.Annotations[variablePrefix] != nil
		if headingOf(flag) == pastHeading && !fromEnvironment {
			err = cmp.Or(err, usagef("--%s needs --at or --diff", flag.Name))
		}
	})
	return err
}

// complete parses the times, and makes the client for the Prometheus of a hub.
func (o *pastOptions) complete(ctx context.Context, getenv func(string) string, of *hubOptions) error {
	if err := o.prefix.complete(getenv); err != nil {
		return err
	}
	if err := o.completeTimes(time.Now()); err != nil {
		return err
	}
	if of.demo {
		reader, err := demoPrometheus(ctx, o.prometheus.address, o.prometheus.configFile)
		if err == nil {
			o.client = reader.Client
		}
		return err
	}
	if o.prometheus.address == "" {
		return usagef("--at and --diff need --prometheus-url")
	}
	o.namespace = of.knownNamespace(getenv)
	var err error
	o.client, err = o.prometheus.client()
	return err
}

func (o *pastOptions) completeTimes(now time.Time) error {
	zone, err := parseZone(o.timezone)
	if err != nil {
		return err
	}
	for _, one := range []struct {
		flag, text string
		parsed     *time.Time
	}{{"--at", o.at, &o.when}, {"--diff", o.diff, &o.since}} {
		if one.text == "" {
			continue
		}
		if *one.parsed, err = report.ParseTime(one.text, zone); err != nil {
			return usagef("%s: %w", one.flag, err)
		}
		if one.parsed.After(now) {
			return usagef("%s is in the future, at %s", one.flag, momentIn(*one.parsed))
		}
	}
	if o.at != "" && o.diff != "" && !o.since.Before(o.when) {
		return usagef("--diff must be before --at: it is at %s, and --at is at %s", momentIn(o.since), momentIn(o.when))
	}
	return nil
}

// momentIn returns a time with its time zone.
func momentIn(t time.Time) string { return t.Format("2006-01-02 15:04 MST") }

// pointInTime is the memberships of a hub at one time.
type pointInTime struct {
	*membership.Snapshot
	notices []string
	// unclear has the users of whom only the pseudo-group for several groups is known.
	unclear map[string]bool
	// properties are those of the hub's groups. They are nil in the past, because Prometheus doesn't record them.
	properties groupmap.Properties
}

// now reads the memberships from the hub.
func (o *groupsOptions) now(ctx context.Context) (*pointInTime, error) {
	if o.hub.sample != nil && o.past.isSet() {
		for range demoChanges { // since the memberships were recorded
			o.hub.sample.Change(time.Now())
		}
	}
	snapshot, result, err := o.hub.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return &pointInTime{Snapshot: snapshot, notices: o.hub.notices(snapshot, result), properties: result.Properties}, nil
}

// recorded reads the memberships that Prometheus recorded at a time. The group map is applied with the properties that
// groups have now, if they are known.
func (o *groupsOptions) recorded(ctx context.Context, at time.Time, now groupmap.Properties) (*pointInTime, error) {
	rules := o.hub.rules
	record, err := history.ReadRecord(ctx, history.RecordOptions{
		Client: o.past.client, Queries: promql.Queries{Prefix: o.past.prefix.value, Hubs: o.past.prometheus.matchers}, Namespace: o.past.namespace, None: rules.NoneName, Multiple: rules.MultipleName,
	}, at)
	if err != nil {
		return nil, err
	}
	if record.Partial && o.hub.whole {
		return nil, fmt.Errorf("the exporter's token saw only part of the hub at %s", momentIn(at))
	}
	p := &pointInTime{unclear: map[string]bool{}}
	for user, groups := range record.Users {
		if slices.Equal(groups, []string{rules.MultipleName}) {
			p.unclear[user] = true
		}
	}
	mapped, err := o.hub.groupMap.recorded(record.Users, p.unclear, now)
	if err != nil {
		return nil, err
	}
	listing := membership.NewListing(at)
	for _, user := range slices.Sorted(maps.Keys(mapped)) {
		listing.Add(membership.User{Name: user, Groups: mapped[user]})
	}
	rules.Exempt = rules.MultipleName // --allow-group and --deny-group don't apply to groups that aren't known
	p.Snapshot = membership.New(record.Namespace, listing, rules)
	p.notices = o.hub.unmatched(p.Snapshot, "that was recorded at "+momentIn(at))
	if len(o.hub.groupMap.properties()) > 0 && now == nil {
		p.notices = append(p.notices, history.NoProperties)
	}
	if record.Partial {
		p.notices = append(p.notices, fmt.Sprintf("the exporter's token saw only part of the hub at %s, so users and memberships may be missing (--require-whole-hub makes this an error)", momentIn(at)))
	}
	if len(p.unclear) > 0 && o.past.diff == "" {
		p.notices = append(p.notices, fmt.Sprintf("the groups of %s weren't recorded, only %q, because serve has --multi-group multiple", plural(len(p.unclear), "user"), rules.MultipleName))
	}
	return p, nil
}
