package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// extra is a metric family that isn't published by default.
type extra string

const (
	withUserInfo extra = "user-info"
	withShare    extra = "share"
	withActivity extra = "activity"
)

func extras() []extra { return []extra{withUserInfo, withShare, withActivity} }

// usernames is whether the names of users are published.
type usernames string

const (
	includeUsernames usernames = "include"
	omitUsernames    usernames = "omit"
)

// prefixOption is the flag for the prefix of the hub's metrics.
type prefixOption struct{ value string }

func (o *prefixOption) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.value, "metrics-prefix", "", "`prefix` of metrics (default \"jupyterhub\")")
}

func (o *prefixOption) complete(getenv func(string) string) error {
	o.value = cmp.Or(o.value, getenv("JUPYTERHUB_METRICS_PREFIX"))
	if o.value != "" && !model.LegacyValidation.IsValidLabelName(o.value) { // a metric's name may also have colons, but only in rules
		return usagef("metrics can't begin with %q: use letters, digits and _, and no digit first", o.value)
	}
	return nil
}

// publishOptions are the flags that choose the metrics to publish.
type publishOptions struct {
	prefix    prefixOption
	with      []extra
	usernames usernames
	maxSeries int
	maxLabel  int // bytes; 0 for no limit
}

func (o *publishOptions) addFlags(cmd *cobra.Command) {
	o.usernames = includeUsernames
	o.prefix.addFlag(cmd)
	addChoices(cmd, &o.with, "with", "publish additional metrics", extras()...)
	cmd.Flags().IntVar(&o.maxSeries, "max-series", 1_000_000, "publish no more than `N` series")
	cmd.Flags().IntVar(&o.maxLabel, "max-label-length", 0, "leave out names with labels over `N` bytes")
	addChoice(cmd, &o.usernames, "usernames", "publish user names, or only groups", includeUsernames, omitUsernames)
	setHeading(cmd, "Metrics")
}

// complete checks the flags for a hub with a namespace.
func (o *publishOptions) complete(getenv func(string) string, namespace string) error {
	if err := o.prefix.complete(getenv); err != nil {
		return err
	}
	if o.maxSeries <= 0 {
		return usagef("--max-series must be more than 0")
	}
	if o.maxLabel != 0 && o.maxLabel < metrics.MinLabelLength {
		return usagef("--max-label-length must be %d or more", metrics.MinLabelLength)
	}
	if o.maxLabel > 0 && len(namespace) > o.maxLabel {
		return usagef("--namespace is longer than --max-label-length allows: nothing would be published")
	}
	if o.usernames == omitUsernames && (slices.Contains(o.with, withUserInfo) || slices.Contains(o.with, withShare)) {
		return usagef("--with user-info and share publish user names, which --usernames omit leaves out")
	}
	return nil
}

func (o *publishOptions) metrics() metrics.Options {
	return metrics.Options{
		Prefix:        o.prefix.value,
		UserInfo:      slices.Contains(o.with, withUserInfo),
		Share:         slices.Contains(o.with, withShare),
		Activity:      slices.Contains(o.with, withActivity),
		OmitUsernames: o.usernames == omitUsernames, MaxLabelLength: o.maxLabel,
	}
}

// notices returns notices about names and activity that can't be published.
func (o *publishOptions) notices(snapshot *membership.Snapshot) []string {
	return slices.Concat(o.lengthNotices(snapshot), o.activityNotices(snapshot))
}

// lengthNotices returns notices about users and groups with label values that are too long.
func (o *publishOptions) lengthNotices(snapshot *membership.Snapshot) []string {
	users, groups := metrics.TooLong(o.metrics(), snapshot)
	var notices []string
	for _, long := range []struct {
		what  string
		names []string
	}{{"user", users}, {"group", groups}} {
		if len(long.names) == 0 {
			continue
		}
		var short []string
		for _, name := range long.names {
			short = append(short, quote(cut(name, shortName)))
		}
		notices = append(notices, fmt.Sprintf("the series of %s %s are left out: a label value would be over %d bytes (--max-label-length)",
			noun(len(short), long.what), some(short), o.maxLabel))
	}
	return notices
}

// shortName is how many columns of a long name a notice shows.
const shortName = 20

// activityNotices returns a notice if --with activity can't publish everything.
func (o *publishOptions) activityNotices(snapshot *membership.Snapshot) []string {
	if !slices.Contains(o.with, withActivity) {
		return nil
	}
	var what []string
	var lack scopes.Lack
	for _, feature := range []struct {
		scopes.Feature
		published bool
	}{{scopes.ActiveUsers(), snapshot.HasActivity()}, {scopes.RunningServers(), snapshot.HasServers()}} {
		if !feature.published {
			what, lack.Missing = append(what, feature.Name), append(lack.Missing, feature.Scopes...)
		}
	}
	if len(what) == 0 {
		return nil
	}
	return []string{some(what) + " are not published: " + missingText(lack)}
}
