package main

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/config"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

const defaultPrometheusTimeout = 30 * time.Second

// prometheusOptions are the flags that say which Prometheus to query, and which of its
// series.
type prometheusOptions struct {
	address    string
	configFile string
	timeout    time.Duration
	matchers   []string
	pods       podsOption
}

func (o *prometheusOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.address, "prometheus-url", "", "`URL` of the Prometheus to query")
	flags.StringVar(&o.configFile, "prometheus.config.file", "", "`file` with TLS, credentials and proxy")
	flags.Var(duration{&o.timeout}, "prometheus-timeout", "limit for one query (default "+defaultPrometheusTimeout.String()+")")
	flags.StringArrayVar(&o.matchers, "prometheus-matcher", nil, "query only series that match (repeatable `matcher`)")
	o.pods.addFlag(cmd)
}

// given returns the flags that were given and need --prometheus-url.
func (o *prometheusOptions) given() []string {
	var names []string
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"--prometheus.config.file", o.configFile != ""},
		{"--prometheus-timeout", o.timeout != 0},
		{"--prometheus-matcher", len(o.matchers) > 0},
		{"--pods", o.pods.value != ""},
	} {
		if flag.given {
			names = append(names, flag.name)
		}
	}
	return names
}

// reader returns what reads the usage of the hub in a namespace, or of all hubs if it is
// empty. It returns nil if no Prometheus is queried.
func (o *prometheusOptions) reader(namespace string) (*prometheus.UsageReader, error) {
	if o.address == "" {
		if names := o.given(); len(names) > 0 {
			return nil, usagef("%s needs --prometheus-url", names[0])
		}
		return nil, nil
	}
	address, err := prometheus.ServerURL(o.address)
	if err != nil {
		return nil, usagef("--prometheus-url is no Prometheus' address: %w", err)
	}
	o.address = address.String()
	matchers := slices.Clone(o.matchers)
	for _, matcher := range matchers {
		if err := checkMatcher(matcher); err != nil {
			return nil, usagef("--prometheus-matcher %q: %w", matcher, err)
		}
	}
	if err := o.pods.check(); err != nil {
		return nil, err
	}
	settings := config.DefaultHTTPClientConfig
	settings.ProxyFromEnvironment = true
	if o.configFile != "" {
		if settings, err = readHTTPConfig(o.configFile); err != nil {
			return nil, err
		}
	}
	if settings.ProxyFromEnvironment {
		if err := checkProxy(address); err != nil {
			return nil, err
		}
	}
	client, err := prometheus.New(prometheus.Options{
		URL: address, HTTP: settings, Timeout: cmp.Or(o.timeout, defaultPrometheusTimeout), UserAgent: userAgent(),
	})
	if err != nil {
		return nil, fmt.Errorf("what %s names can't be used: %w", o.configFile, err)
	}
	return &prometheus.UsageReader{Client: client, Queries: promql.Queries{Hubs: matchers, Pods: o.pods.value}, Namespace: namespace}, nil
}

var matcherForm = regexp.MustCompile(`(?s)^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=|!=|=~|!~)\s*(".*")\s*$`)

// checkMatcher reports what is wrong with a matcher of PromQL, like cluster="east".
func checkMatcher(text string) error {
	parts := matcherForm.FindStringSubmatch(text)
	if parts == nil {
		return errors.New(`it has to look like cluster="east", with =, !=, =~ or !~ and a value in double quotes`)
	}
	value, err := strconv.Unquote(parts[3])
	if err != nil {
		return errors.New("its value isn't quoted correctly")
	}
	if parts[2] == "=~" || parts[2] == "!~" {
		_, err = regexp.Compile(value)
	}
	return err
}

func readHTTPConfig(file string) (config.HTTPClientConfig, error) {
	settings, _, err := config.LoadHTTPConfigFile(file)
	if err != nil {
		return config.HTTPClientConfig{}, fmt.Errorf("%s can't be used: %w", file, withoutValues(err))
	}
	return *settings, nil
}

// withoutValues is an error of a configuration without what it quotes, which may be a
// password.
func withoutValues(err error) error { return errors.New(hideValues(err.Error())) }

func hideValues(text string) string {
	return regexp.MustCompile("(?s)`.*`|\".*\"").ReplaceAllString(text, "a value")
}

// podsOption is the flag that narrows usage to some pods.
type podsOption struct{ value string }

func (o *podsOption) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.value, "pods", "", "count only pods whose whole name matches `regexp`")
}

func (o *podsOption) check() error {
	if _, err := regexp.Compile(o.value); err != nil {
		return usagef("--pods is no regular expression: %w", err)
	}
	return nil
}

// clusterOption is the flag for stores that hold several clusters.
type clusterOption struct{ labels []string }

func (o *clusterOption) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.labels, "cluster-label", nil, "`label` that identifies a cluster (repeatable)")
}

// check reports labels that can't identify a cluster, or that the queries have already.
func (o *clusterOption) check() error {
	taken := []string{
		metrics.LabelNamespace, metrics.LabelUsergroup, metrics.LabelUsername, metrics.LabelEscaped, metrics.LabelSafe, metrics.LabelLabel,
		metrics.LabelReason, metrics.LabelResource, metrics.LabelSeries, promql.Owner, promql.Directory, promql.PodsNamespace, "pod", "container", "uid", "id", "name", "phase",
	}
	seen := map[string]bool{}
	for _, label := range o.labels {
		switch {
		case !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(label):
			return usagef("--cluster-label %q is no name of a label", label)
		case slices.Contains(taken, label):
			return usagef("--cluster-label %s can't identify a cluster: the queries use that label", label)
		case seen[label]:
			return usagef("--cluster-label %s is given twice", label)
		}
		seen[label] = true
	}
	return nil
}
