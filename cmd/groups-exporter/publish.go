package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// extra is a family that is published on demand.
type extra string

const (
	withUserInfo extra = "user-info"
	withShare    extra = "share"
	withActivity extra = "activity"
)

func extras() []extra { return []extra{withUserInfo, withShare, withActivity} }

// usernames says whether users' names are published.
type usernames string

const (
	includeUsernames usernames = "include"
	omitUsernames    usernames = "omit"
)

// prefixOption is the flag that says how the hub's metrics begin.
type prefixOption struct{ value string }

func (o *prefixOption) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.value, "metrics-prefix", "", "`prefix` of metrics (default \"jupyterhub\")")
}

func (o *prefixOption) complete(getenv func(string) string) error {
	o.value = cmp.Or(o.value, getenv("JUPYTERHUB_METRICS_PREFIX"))
	if o.value != "" && !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(o.value) {
		return usagef("metrics can't begin with %q: letters, digits and _ can, a digit not first", o.value)
	}
	return nil
}

// publishOptions are the flags that say which families are published.
type publishOptions struct {
	prefix    prefixOption
	with      []extra
	usernames usernames
	maxSeries int
	maxLabel  int // bytes; 0 for any
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

func (o *publishOptions) complete(getenv func(string) string) error {
	if err := o.prefix.complete(getenv); err != nil {
		return err
	}
	if o.maxSeries <= 0 {
		return usagef("--max-series has to be more than 0")
	}
	if o.maxLabel != 0 && o.maxLabel < metrics.MinLabelLength {
		return usagef("--max-label-length has to be %d or more", metrics.MinLabelLength)
	}
	if o.usernames == omitUsernames && (slices.Contains(o.with, withUserInfo) || slices.Contains(o.with, withShare)) {
		return usagef("user-info and share have users' names, which --usernames=omit leaves out")
	}
	return nil
}

// checkNamespace refuses a namespace that would leave out all series.
func (o *publishOptions) checkNamespace(namespace string) error {
	if o.maxLabel > 0 && len(namespace) > o.maxLabel {
		return usagef("--namespace is longer than --max-label-length allows: nothing would be published")
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

// notices returns texts about what can't be published, or what Prometheus may not store.
func (o *publishOptions) notices(snapshot *membership.Snapshot) []string {
	return slices.Concat(o.lengthNotices(snapshot), o.activityNotices(snapshot))
}

// azureLimit is the label_value_length_limit of Azure's managed Prometheus, in bytes.
const azureLimit = 1023

// lengthNotices name users and groups with long label values.
func (o *publishOptions) lengthNotices(snapshot *membership.Snapshot) []string {
	options, text := o.metrics(), "the series of %s %s are left out: a label value would be over %d bytes (--max-label-length)"
	if options.MaxLabelLength == 0 {
		options.MaxLabelLength = azureLimit - 1
		text = "%s %s: a label value is over %d bytes. If Prometheus has a label_value_length_limit, like the 1023 of Azure's, it may store no series at all: --max-label-length of serve and dump leaves these out"
	}
	users, groups := metrics.TooLong(options, snapshot)
	var notices []string
	for _, long := range []struct {
		one, many string
		names     []string
	}{{"user", "users", users}, {"group", "groups", groups}} {
		if len(long.names) == 0 {
			continue
		}
		what, short := long.many, make([]string, len(long.names))
		if len(short) == 1 {
			what = long.one
		}
		for i, name := range long.names {
			short[i] = quote(cut(name, shortName))
		}
		notices = append(notices, fmt.Sprintf(text, what, some(short), options.MaxLabelLength))
	}
	return notices
}

// shortName is how many columns of a long name are shown.
const shortName = 20

// activityNotices say which activity was asked for and can't be published.
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
