package main

import (
	"context"
	"io"
	"iter"

	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// dumpFormat is the name of an exposition format.
type dumpFormat string

const (
	formatText        dumpFormat = "text"
	formatOpenMetrics dumpFormat = "openmetrics"
)

type dumpOptions struct {
	hub     hubOptions
	publish publishOptions
	usage   usageOptions
	format  dumpFormat
	output  string
}

func (o *dumpOptions) addFlags(cmd *cobra.Command) {
	o.format, o.hub.ignoring = formatText, true
	addChoice(cmd, &o.format, "format", "exposition format", formatText, formatOpenMetrics)
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "replace this `file` in one step; - is standard output")
	setHeading(cmd, mainHeading)
	o.publish.addFlags(cmd)
	o.usage.addFlags(cmd)
	o.hub.addFlags(cmd)
}

func (o *dumpOptions) complete(getenv func(string) string) error {
	if o.output == "-" {
		o.output = ""
	}
	if err := o.hub.complete(getenv); err != nil {
		return err
	}
	if err := o.publish.complete(getenv, o.hub.namespace); err != nil {
		return err
	}
	return o.usage.complete(o.hub.namespace)
}

func newDumpCommand(getenv func(string) string) *cobra.Command {
	var o dumpOptions
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print the metrics once",
		Long: `Read the hub once and print its metrics: what serve exposes, without the
exporter's own metrics. Nothing is printed unless everything could be read.

With --output, the file is replaced in one step, so the textfile collector of
node_exporter never reads half of it. Everybody can read a new file. An existing
file keeps its owner, group and permissions, or isn't replaced.

` + exitCodes,
		Example: `  groups-exporter dump --hub-url http://127.0.0.1:8081 --hub-token-file token

  # members of the group bio-lab
  groups-exporter dump | grep 'usergroup="bio-lab"'

  # for the textfile collector of node_exporter
  groups-exporter dump --output /var/lib/node_exporter/groups.prom`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			page, err := o.page(cmd.Context(), cmd.ErrOrStderr())
			switch {
			case err != nil:
				return err
			case o.output == "":
				_, err = page.WriteTo(cmd.OutOrStdout())
				return err
			default:
				return writeFile(cmd.Context(), o.output, page)
			}
		},
	}
	o.addFlags(cmd)
	completeRules(cmd, getenv, &o.hub)
	return cmd
}

// page reads the hub, and Prometheus if usage is published, and returns the exposition to print.
func (o *dumpOptions) page(ctx context.Context, errOut io.Writer) (io.WriterTo, error) {
	snapshot, result, err := o.hub.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	for _, notice := range append(o.hub.notices(snapshot, result), o.publish.notices(snapshot)...) {
		say(errOut, notice, "")
	}
	format := exposition.Text
	if o.format == formatOpenMetrics {
		format = exposition.OpenMetrics
	}
	used, err := o.usage.readAll(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	o.usage.sayWhatIsMissing(ctx, errOut, snapshot.Namespace())
	parts := []iter.Seq[*dto.MetricFamily]{metrics.Families(o.publish.metrics(), snapshot)}
	for _, u := range used {
		parts = append(parts, metrics.UsageFamily(o.publish.metrics(), u, o.usage.attribution))
	}
	return exposition.Encode(func(yield func(*dto.MetricFamily) bool) {
		for _, part := range parts {
			for family := range part {
				if !yield(family) {
					return
				}
			}
		}
	}, format, o.publish.maxSeries)
}
