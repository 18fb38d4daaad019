package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/rules"
)

// ruleKind is a kind of rules.
type ruleKind string

const (
	recordingRules ruleKind = "recording"
	alertRules     ruleKind = "alerts"
)

type rulesOptions struct {
	prefix       prefixOption
	multipleName string
	namespace    string
	pods         podsOption
	clusters     clusterOption
	only         ruleKind
	interval     time.Duration
}

func (o *rulesOptions) addFlags(cmd *cobra.Command) {
	addChoice(cmd, &o.only, "only", "print only rules of this kind (else both)", recordingRules, alertRules)
	cmd.Flags().StringVar(&o.namespace, "namespace", "", "only of the hub with this `name` in the label namespace (else of all)")
	cmd.Flags().Var(duration{&o.interval}, "interval", "how often the rules are evaluated (else as Prometheus is configured)")
	o.pods.addFlag(cmd)
	o.clusters.addFlag(cmd)
	addMultipleName(cmd, &o.multipleName)
	o.prefix.addFlag(cmd)
}

func (o *rulesOptions) complete(getenv func(string) string) error {
	if err := o.pods.check(); err != nil {
		return err
	}
	if err := o.clusters.check(); err != nil {
		return err
	}
	return o.prefix.complete(getenv)
}

func newRulesCommand(getenv func(string) string) *cobra.Command {
	var o rulesOptions
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Print Prometheus rules: usage by group, and alerts",
		Long: `Print a rule file for Prometheus. It records memory, CPU, the requests for
memory, CPU and GPUs, and the size of home directories, by user and by group.
By group it records each in full, so that a user in several groups counts in
each, and by share, so that the sum over the groups is the whole. The shares
need serve --with share.

The alerts fire when the exporter or the hub is down, when memberships or usage
are too old, when refreshes fail, when the token lacks a scope, when the metrics
are nearly too large for VictoriaMetrics, when series are missing that usage is
made of, and when the pods are in another namespace than the exporter publishes.

This asks no hub and no Prometheus.

` + exitCodes,
		Example: `  groups-exporter rules > /etc/prometheus/groups.yml
  groups-exporter rules --only alerts | promtool check rules /dev/stdin`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			if o.interval%time.Millisecond != 0 {
				return usagef("--interval %s is not a whole number of milliseconds, and Prometheus takes nothing shorter", o.interval)
			}
			return interruptible(cmd.Context(), func() error { return runRules(cmd.OutOrStdout(), o) })
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runRules(out io.Writer, o rulesOptions) error {
	queries := promql.Queries{Prefix: o.prefix.value, MultipleName: o.multipleName, Pods: o.pods.value, Clusters: o.clusters.labels}
	if o.namespace != "" {
		queries.Hubs = []string{promql.Is(metrics.LabelNamespace, o.namespace)}
	}
	var groups []rules.Group
	if o.only != alertRules {
		groups = append(groups, rules.Recording(queries))
	}
	if o.only != recordingRules {
		groups = append(groups, rules.Alerts(queries))
	}
	return rules.Write(out, o.interval, groups...)
}

// addMultipleName adds the flag of serve to a command that writes queries.
func addMultipleName(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "multiple-name", membership.DefaultMultipleName, "`name` that serve gives to the pseudo-group for users in several groups")
}
