package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

// prometheusReport is the report about a Prometheus.
type prometheusReport struct {
	URL       string         `json:"url"`
	Namespace string         `json:"namespace"`
	Series    []seriesReport `json:"series"`
	Clusters  []string       `json:"clusters"`
	Warnings  []string       `json:"warnings"`
}

// seriesReport is the report about a kind of series that usage is computed from.
type seriesReport struct {
	Metric   string   `json:"metric"`
	Needed   []string `json:"needed_for"`
	Optional bool     `json:"optional"`
	OK       bool     `json:"ok"`
	Remedy   string   `json:"remedy"` // empty if OK

	purpose string
}

// checkPrometheus looks up which series the Prometheus at an address has for the reader's namespace.
func checkPrometheus(ctx context.Context, reader *prometheus.UsageReader, address string) (*prometheusReport, error) {
	sources, err := reader.Sources(ctx)
	if err != nil {
		return nil, err
	}
	r := &prometheusReport{
		URL: address, Namespace: reader.Namespace,
		Clusters: append([]string{}, sources.Clusters...),
		Warnings: append([]string{}, sourceWarnings(sources, reader.Namespace)...),
	}
	for _, found := range sources.Found {
		series := seriesReport{Metric: found.Metric, Optional: found.Optional, OK: found.OK}
		for _, resource := range found.Of {
			series.Needed = append(series.Needed, string(resource))
		}
		series.purpose, _ = sourceWords(found.Source)
		if !found.OK {
			series.Remedy = remedy(found, sources, reader.Namespace)
		}
		r.Series = append(r.Series, series)
	}
	return r, nil
}

// writeText writes the report line by line, with a mark before each.
func (r *prometheusReport) writeText(out io.Writer, width int, sign marks) {
	line := func(mark, what, note string) { writeLine(out, width, mark, what, note) }
	line("prometheus  ", printable(r.URL), "")
	line("namespace   ", printable(r.Namespace), "")
	line("", "", "")
	for _, series := range r.Series {
		mark, note := sign.missing, series.Metric+": "+oneLine(series.Remedy)
		switch {
		case series.OK:
			mark, note = sign.ok, series.Metric
		case series.Optional:
			mark = sign.optional
		}
		line(mark, series.purpose, note)
	}
	if len(r.Warnings) > 0 {
		line("", "", "")
	}
	for _, notice := range r.Warnings {
		line(sign.warning, oneLine(notice), "")
	}
}

// verdict returns an error if usage would be incomplete, or that of several clusters.
func (r *prometheusReport) verdict() error {
	if r == nil {
		return nil
	}
	var missing []string
	for _, series := range r.Series {
		if !series.OK && !series.Optional && !slices.Contains(missing, series.Metric) {
			missing = append(missing, series.Metric)
		}
	}
	switch {
	case len(missing) > 0:
		return errors.New("usage can't be computed: in the last day, Prometheus had no " + some(missing))
	case len(r.Clusters) > 0:
		return errors.New("usage can't be computed: Prometheus has pods of several clusters in one namespace")
	}
	return nil
}
