package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/dashboard"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// usageQueries says where the dashboard takes usage from.
type usageQueries string

const (
	recordedQueries usageQueries = "recorded"
	plainQueries    usageQueries = "plain"
)

type dashboardOptions struct {
	prefix       prefixOption
	multipleName string
	queries      usageQueries
	attribution  usage.Attribution
	pods         podsOption
	clusters     clusterOption
}

func (o *dashboardOptions) addFlags(cmd *cobra.Command) {
	o.queries, o.attribution = recordedQueries, usage.Full
	addChoice(cmd, &o.queries, "queries", "usage from recording rules, or without them", recordedQueries, plainQueries)
	addChoice(cmd, &o.attribution, "usage-attribution", "how a user in several groups counts", usage.Full, usage.Share)
	o.pods.addFlag(cmd)
	o.clusters.addFlag(cmd)
	addMultipleName(cmd, &o.multipleName)
	o.prefix.addFlag(cmd)
}

func (o *dashboardOptions) complete(getenv func(string) string) error {
	if err := o.pods.check(); err != nil {
		return err
	}
	if o.pods.value != "" && o.queries != plainQueries {
		return usagef("--pods needs --queries plain: recorded usage is narrowed by the --pods of 'rules'")
	}
	if err := o.clusters.check(); err != nil {
		return err
	}
	return o.prefix.complete(getenv)
}

func newDashboardCommand(getenv func(string) string) *cobra.Command {
	var o dashboardOptions
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Print a Grafana dashboard",
		Long: `Print a dashboard for Grafana 11 or later, as JSON to import. It shows the
members, activity and usage of each group. Data source, hub and group are
variables. The command doesn't connect to anything.

` + exitCodes,
		Example: `  groups-exporter dashboard > groups.json
  groups-exporter dashboard --queries plain --usage-attribution share`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			return interruptible(cmd.Context(), func() error { return runDashboard(cmd.OutOrStdout(), o) })
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runDashboard(out io.Writer, o dashboardOptions) error {
	return dashboard.Write(out, dashboard.Options{
		Prefix: o.prefix.value, MultipleName: o.multipleName, Pods: o.pods.value, Clusters: o.clusters.labels,
		Plain: o.queries == plainQueries, Share: o.attribution == usage.Share,
	})
}
