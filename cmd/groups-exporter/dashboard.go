package main

import (
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
	queries     queryOptions
	usage       usageQueries
	attribution usage.Attribution
}

func (o *dashboardOptions) addFlags(cmd *cobra.Command) {
	o.usage, o.attribution = recordedQueries, usage.Full
	addChoice(cmd, &o.usage, "queries", "usage from recording rules, or without them", recordedQueries, plainQueries)
	addChoice(cmd, &o.attribution, "usage-attribution", "how a user in several groups counts", usage.Full, usage.Share)
	o.queries.addFlags(cmd)
}

func (o *dashboardOptions) complete(getenv func(string) string) error {
	if o.queries.pods.value != "" && o.usage != plainQueries {
		return usagef("--pods needs --queries plain: for recorded usage, use the --pods of 'rules'")
	}
	return o.queries.complete(getenv)
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
			return dashboard.Write(cmd.OutOrStdout(), dashboard.Options{
				Prefix: o.queries.prefix.value, MultipleName: o.queries.multipleName, Pods: o.queries.pods.value, Clusters: o.queries.clusters,
				Plain: o.usage == plainQueries, Share: o.attribution == usage.Share,
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}
