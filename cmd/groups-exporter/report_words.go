package main

import (
	"errors"
	"fmt"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

// reportHint returns what to do about an error of report, or "".
func reportHint(err error) string {
	if errors.As(err, new(*coverageError)) {
		return "choose a period with data with --from and --to, or print the report anyway with --allow-gaps: its first lines then say what is missing"
	}
	if errors.As(err, new(*history.NoMemberships)) {
		return "check that Prometheus scrapes 'groups-exporter serve' with honor_labels. For a time before it did, use --memberships with the output of 'groups-exporter dump'"
	}
	if errors.As(err, new(*history.NoUsernames)) {
		return "'groups-exporter serve' runs with --usernames=omit, so Prometheus doesn't record who is in which group. For 'report', use --memberships with the output of 'groups-exporter dump'"
	}
	if errors.As(err, new(*history.NoSeries)) {
		return "'groups-exporter check --prometheus-url URL' shows which series are missing and how to get them"
	}
	if unknown, ok := errors.AsType[*history.NotRecorded](err); ok {
		return notRecordedHint(unknown)
	}
	if several, ok := errors.AsType[*history.SeveralHubs](err); ok {
		return "choose one with --namespace " + printable(several.Namespaces[0])
	}
	if mixed, ok := errors.AsType[*prometheus.MixedClusters](err); ok {
		return fmt.Sprintf("choose one with --prometheus-matcher 'cluster=%q'", mixed.Clusters[0])
	}
	return ""
}

// notRecordedHint returns what to do if there are no memberships at a time.
func notRecordedHint(err *history.NotRecorded) string {
	switch {
	case !err.Before.IsZero() || !err.After.IsZero():
		return "choose a time at which Prometheus scraped 'groups-exporter serve'"
	case err.Namespace != "":
		return "check that Prometheus scrapes 'groups-exporter serve' with honor_labels, and that --namespace is that of the hub"
	default:
		return "check that Prometheus scrapes 'groups-exporter serve' with honor_labels"
	}
}
