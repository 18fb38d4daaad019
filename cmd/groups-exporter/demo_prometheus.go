package main

import (
	"context"
	"net/url"
	"time"

	"github.com/prometheus/common/config"

	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
)

// demoPrometheus returns a reader of the sample Prometheus, which is in memory and has scraped the sample hub.
func demoPrometheus(ctx context.Context, given ...string) (*prometheus.UsageReader, error) {
	for _, value := range given {
		if value != "" {
			return nil, usagef("--demo has its own Prometheus: remove --prometheus-url and --prometheus.config.file")
		}
	}
	o := hubOptions{namespace: "demo", timeout: time.Minute, rules: membership.Rules{MultiGroup: membership.Each}}
	if err := o.completeDemo(); err != nil {
		return nil, err
	}
	snapshot, _, err := o.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	memberships := map[string][]string{}
	for row := range snapshot.Rows() {
		memberships[row.User] = append(memberships[row.User], row.Group)
	}
	client, err := prometheus.New(prometheus.Options{
		URL: &url.URL{Scheme: "http", Host: "prometheus.invalid"}, HTTP: config.DefaultHTTPClientConfig, Timeout: defaultPrometheusTimeout,
		UserAgent: userAgent(), Transport: fakeprometheus.New(o.namespace, memberships),
	})
	return &prometheus.UsageReader{Client: client}, err
}
