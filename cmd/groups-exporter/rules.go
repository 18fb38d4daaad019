package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

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
	queries   queryOptions
	namespace string
	only      ruleKind
	interval  time.Duration
}

func (o *rulesOptions) addFlags(cmd *cobra.Command) {
	addChoice(cmd, &o.only, "only", "print only recording rules or only alerts", recordingRules, alertRules)
	cmd.Flags().StringVar(&o.namespace, "namespace", "", "only for the hub with this label `namespace`")
	cmd.Flags().Var(duration{&o.interval}, "interval", "evaluation interval (default Prometheus' own)")
	o.queries.addFlags(cmd)
}

func (o *rulesOptions) complete(getenv func(string) string) error {
	if o.interval%time.Millisecond != 0 {
		return usagef("--interval %s is not a whole number of milliseconds, which Prometheus requires", o.interval)
	}
	return o.queries.complete(getenv)
}

func newRulesCommand(getenv func(string) string) *cobra.Command {
	var o rulesOptions
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Print recording rules and alerts",
		Long: `Print a rule file for Prometheus. It records the usage of each user and group:
memory, CPU, requests for memory, CPU and GPUs, and home directories. Usage by
group is recorded in full, where users in several groups count in each, and by
share, where the sum over all groups is the total. Shares need serve --with
share. The alerts cover the exporter, the hub, and missing or stale series.

The command doesn't connect to anything.

` + exitCodes,
		Example: `  groups-exporter rules > /etc/prometheus/groups.yml
  groups-exporter rules --only alerts | promtool check rules /dev/stdin`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			return o.write(cmd.OutOrStdout())
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *rulesOptions) write(out io.Writer) error {
	queries := promql.Queries{Prefix: o.queries.prefix.value, MultipleName: o.queries.multipleName, Pods: o.queries.pods.value, Clusters: o.queries.clusters}
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
