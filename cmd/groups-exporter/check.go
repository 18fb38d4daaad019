package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

// outputText is a report on lines, for people.
const outputText output = "text"

type checkOptions struct {
	hub        hubOptions
	prometheus readerOptions
	with       []extra
	output     output

	// Set by complete.
	service   string                  // the exporter's name as a service of the hub, or ""
	onlyUsage bool                    // there is a Prometheus to check, and no hub
	usage     *prometheus.UsageReader // nil if there is no Prometheus to check
}

func (o *checkOptions) addFlags(cmd *cobra.Command) {
	o.output = outputText
	addChoices(cmd, &o.with, "with", "also check the scopes for serve --with", extras()...)
	addOutput(cmd, &o.output, outputText, outputJSON)
	setHeading(cmd, mainHeading)
	o.prometheus.addFlags(cmd)
	setHeading(cmd, "Usage")
	o.hub.addFlags(cmd)
	// These have no effect, but the arguments of serve should work here.
	for _, name := range []string{"require-whole-hub", "multi-group", "allow-group", "deny-group", "none-name", "multiple-name"} {
		if err := cmd.Flags().MarkHidden(name); err != nil {
			panic(err) // it was just added
		}
	}
}

func (o *checkOptions) complete(getenv func(string) string) error {
	o.service = getenv("JUPYTERHUB_SERVICE_NAME")
	o.hub.completeNamespace(getenv)
	var err error
	if o.usage, err = o.prometheus.reader(o.hub.namespace); err != nil {
		return err
	}
	if o.onlyUsage = o.usage != nil && !o.hub.isKnown(getenv); o.onlyUsage {
		return nil
	}
	return o.hub.complete(getenv)
}

func newCheckCommand(getenv func(string) string) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the token's scopes and the series in Prometheus",
		Long: `Check that the token has the scopes it needs, in at most four small requests.
If a scope is missing, print what to add to the hub's configuration.

With --prometheus-url, also check that this Prometheus has the series that usage
is computed from, for the namespace that serve would publish. This works without
a hub.

With --group-map, also read the whole hub once, and list the lines of the map
that match nothing.

The exit code is 1 if something is missing that serve would need. A scope with a
filter, like list:users!group=bio, counts as missing: it shows only part of the
hub.

` + exitCodes,
		Example: `  groups-exporter check --hub-url http://127.0.0.1:8081 --hub-token-file token

  # before installation: which series does Prometheus have for the pods in prod?
  groups-exporter check --prometheus-url http://127.0.0.1:9090 --namespace prod`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			return runCheck(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runCheck(ctx context.Context, out io.Writer, o checkOptions) error {
	var r checkReport
	if !o.onlyUsage {
		found, err := hub.New(o.hub.client()).Inspect(ctx)
		if err != nil {
			return err
		}
		r.hubReport = o.report(found)
		if err := o.checkGroupMap(ctx, r.hubReport); err != nil {
			return err
		}
	}
	if o.usage != nil {
		var err error
		if r.Prometheus, err = checkPrometheus(ctx, o.usage, o.prometheus.address); err != nil {
			return err
		}
	}
	write := r.writeText
	if o.output == outputJSON {
		write = func(out io.Writer) error { return writeJSON(out, r) }
	}
	return cmp.Or(write(out), r.verdict())
}

// checkReport is the report about a hub and a Prometheus. One of them may be nil.
type checkReport struct {
	*hubReport
	Prometheus *prometheusReport `json:"prometheus,omitempty"`
}

// verdict returns an error if something required is missing.
func (r *checkReport) verdict() error {
	ofHub, ofPrometheus := r.hubReport.verdict(), r.Prometheus.verdict()
	if ofHub != nil && ofPrometheus != nil {
		return fmt.Errorf("%w; %w", ofHub, ofPrometheus)
	}
	return cmp.Or(ofHub, ofPrometheus)
}
