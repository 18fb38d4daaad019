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
}

func (o *dashboardOptions) addFlags(cmd *cobra.Command) {
	o.queries, o.attribution = recordedQueries, usage.Full
	addChoice(cmd, &o.queries, "queries", "take usage from the recording rules that 'rules' prints, or from queries that need no rules", recordedQueries, plainQueries)
	addChoice(cmd, &o.attribution, "usage-attribution", "a user in several groups counts in each in full, or by share (needs serve --with share)", usage.Full, usage.Share)
	addMultipleName(cmd, &o.multipleName)
	o.prefix.addFlag(cmd)
}

func newDashboardCommand(getenv func(string) string) *cobra.Command {
	var o dashboardOptions
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Print a Grafana dashboard: groups, and what they use",
		Long: `Print a dashboard for Grafana 11 or later, as JSON to import: members and active
users by group; memory, CPU, the requests for both, and storage by group, now
and over time; how many users are in several groups; how fresh all that is. It
lets one choose the data source, the hub and the group.

This asks no hub, no Prometheus and no Grafana.

` + exitCodes,
		Example: `  groups-exporter dashboard > groups.json
  groups-exporter dashboard --queries plain --usage-attribution share`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.prefix.complete(getenv); err != nil {
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
		Prefix: o.prefix.value, MultipleName: o.multipleName,
		Plain: o.queries == plainQueries, Share: o.attribution == usage.Share,
	})
}
