package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
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
	cmd.Flags().StringVar(&o.value, "metrics-prefix", "", "`prefix` of the hub's metrics (else $JUPYTERHUB_METRICS_PREFIX, else \"jupyterhub\")")
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
}

func (o *publishOptions) addFlags(cmd *cobra.Command) {
	o.usernames = includeUsernames
	o.prefix.addFlag(cmd)
	addChoices(cmd, &o.with, "with", "publish more: a series for each user, each membership's share of the user, or activity and servers by group", extras()...)
	cmd.Flags().IntVar(&o.maxSeries, "max-series", 1_000_000, "publish nothing new where it would be more series than `N`")
	addChoice(cmd, &o.usernames, "usernames", "omit leaves out users' names: no metrics by user, and usage summed by group", includeUsernames, omitUsernames)
}

func (o *publishOptions) complete(getenv func(string) string) error {
	if err := o.prefix.complete(getenv); err != nil {
		return err
	}
	if o.maxSeries <= 0 {
		return usagef("--max-series has to be more than 0")
	}
	if o.usernames == omitUsernames && (slices.Contains(o.with, withUserInfo) || slices.Contains(o.with, withShare)) {
		return usagef("user-info and share have users' names, which --usernames=omit leaves out")
	}
	return nil
}

func (o *publishOptions) metrics() metrics.Options {
	return metrics.Options{
		Prefix:        o.prefix.value,
		UserInfo:      slices.Contains(o.with, withUserInfo),
		Share:         slices.Contains(o.with, withShare),
		Activity:      slices.Contains(o.with, withActivity),
		OmitUsernames: o.usernames == omitUsernames,
	}
}

// notices say what was asked for and can't be published.
func (o *publishOptions) notices(snapshot *membership.Snapshot) []string {
	if !slices.Contains(o.with, withActivity) {
		return nil
	}
	var what, scopes []string
	if !snapshot.HasActivity() {
		what, scopes = append(what, "active users"), append(scopes, "read:users:activity")
	}
	if !snapshot.HasServers() {
		what, scopes = append(what, "running servers"), append(scopes, "read:servers")
	}
	if len(what) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s are not published: the token lacks %s", strings.Join(what, " and "), strings.Join(scopes, " and "))}
}
