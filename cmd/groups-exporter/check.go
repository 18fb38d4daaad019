package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

// outputText is for eyes, and for a terminal of any width.
const outputText output = "text"

type checkOptions struct {
	hub        hubOptions
	prometheus prometheusOptions
	with       []extra
	output     output

	// What complete makes of the environment.
	service   string                  // our name as a service of the hub, if we are one
	onlyUsage bool                    // there is a Prometheus to check, and no hub
	namespace string                  // of the hub's pods, or empty for all
	usage     *prometheus.UsageReader // of the Prometheus, or nil
}

func (o *checkOptions) addFlags(cmd *cobra.Command) {
	o.output = outputText
	addChoices(cmd, &o.with, "with", "also check the scopes for serve --with", extras()...)
	outputs := []output{outputText, outputJSON}
	cmd.Flags().VarP(choice[output]{&o.output, outputs}, "output", "o", "format of the output")
	completeWords(cmd, "output", words(outputs))
	setHeading(cmd, mainHeading)
	o.prometheus.addFlags(cmd)
	setHeading(cmd, "Usage")
	o.hub.addFlags(cmd)
	// Taken, so that serve's arguments work here, but they only choose the groups whose long
	// names are reported.
	for _, name := range []string{"require-whole-hub", "multi-group", "allow-group", "deny-group", "none-name", "multiple-name"} {
		if err := cmd.Flags().MarkHidden(name); err != nil {
			panic(err) // it was just added
		}
	}
}

func (o *checkOptions) complete(getenv func(string) string) error {
	o.service = getenv("JUPYTERHUB_SERVICE_NAME")
	o.namespace = o.hub.knownNamespace(getenv)
	var err error
	if o.usage, err = o.prometheus.reader(o.namespace); err != nil {
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
is computed from. This works without a hub.

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
			return interruptible(cmd.Context(), func() error {
				return runCheck(cmd.Context(), cmd.OutOrStdout(), o)
			})
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
	}
	if o.usage != nil {
		var err error
		if r.Prometheus, err = checkPrometheus(ctx, o.usage, &o.prometheus, o.namespace); err != nil {
			return err
		}
	}
	write := r.writeText
	if o.output == outputJSON {
		write = func(out io.Writer) error { return writeJSON(out, r) }
	}
	if err := write(out); err != nil {
		return err
	}
	return r.verdict()
}

// checkReport is what is known of a hub and of a Prometheus. One of them may be nil.
type checkReport struct {
	*hubReport
	Prometheus *prometheusReport `json:"prometheus,omitempty"`
}

func (r *checkReport) verdict() error {
	var ofHub, ofPrometheus error
	if r.hubReport != nil {
		ofHub = r.hubReport.verdict()
	}
	if r.Prometheus != nil {
		ofPrometheus = r.Prometheus.verdict()
	}
	if ofHub != nil && ofPrometheus != nil {
		return fmt.Errorf("%w; %w", ofHub, ofPrometheus)
	}
	return cmp.Or(ofHub, ofPrometheus)
}

// success returns the last line of a report in which nothing required is missing.
func (r *checkReport) success() string {
	var has []string
	if r.hubReport != nil {
		has = append(has, "the hub token has every scope that serve needs")
	}
	if r.Prometheus != nil {
		has = append(has, "Prometheus has every series that usage needs")
	}
	return "ok: " + strings.Join(has, ", and ")
}
