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
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

const defaultPrometheusTimeout = 30 * time.Second

// prometheusOptions are the flags that say how to connect to a Prometheus.
type prometheusOptions struct {
	address    string
	configFile string
	timeout    time.Duration // the default if 0

	defaultTimeout time.Duration  // defaultPrometheusTimeout if 0
	flags          *pflag.FlagSet // of the command
}

func (o *prometheusOptions) addFlags(cmd *cobra.Command) {
	o.flags = cmd.Flags()
	o.flags.StringVar(&o.address, "prometheus-url", "", "`URL` of the Prometheus to query")
	o.flags.StringVar(&o.configFile, "prometheus.config.file", "", "YAML `file` with TLS, credentials and proxy")
	o.defaultTimeout = cmp.Or(o.defaultTimeout, defaultPrometheusTimeout)
	o.flags.Var(duration{&o.timeout}, "prometheus-timeout", "limit for one query (default "+duration{&o.defaultTimeout}.String()+")")
}

// client returns a client, or nil if no Prometheus is queried. Then no flag that depends on a Prometheus may be set.
func (o *prometheusOptions) client() (*prometheus.Client, error) {
	if o.address == "" {
		for _, name := range []string{"prometheus.config.file", "prometheus-timeout", "prometheus-matcher", "pods", "usage-attribution", "usage-interval", "usage-home-dir-interval"} {
			if flag := o.flags.Lookup(name); flag != nil && flag.Value.String() != flag.DefValue {
				return nil, usagef("--%s needs --prometheus-url", name)
			}
		}
		return nil, nil
	}
	address, err := prometheus.ServerURL(o.address)
	if err != nil {
		return nil, usagef("--prometheus-url is not the address of a Prometheus: %w", err)
	}
	o.address = address.String()
	settings := config.DefaultHTTPClientConfig
	settings.ProxyFromEnvironment = true
	if o.configFile != "" {
		read, _, err := config.LoadHTTPConfigFile(o.configFile)
		if err != nil {
			return nil, fmt.Errorf("%s can't be used: %w", o.configFile, withoutValues(err))
		}
		settings = *read
	}
	if settings.ProxyFromEnvironment {
		if err := checkProxy(address); err != nil {
			return nil, err
		}
	}
	client, err := prometheus.New(prometheus.Options{
		URL: address, HTTP: settings, Timeout: cmp.Or(o.timeout, o.defaultTimeout), UserAgent: userAgent(),
	})
	if err != nil {
		return nil, fmt.Errorf("a file that %s names can't be used: %w", o.configFile, err)
	}
	return client, nil
}

// matchedOptions are the flags that say which Prometheus to query, and for which series.
type matchedOptions struct {
	prometheusOptions
	matchers []string
}

func (o *matchedOptions) addFlags(cmd *cobra.Command) {
	o.prometheusOptions.addFlags(cmd)
	cmd.Flags().StringArrayVar(&o.matchers, "prometheus-matcher", nil, "query only series that match (repeatable `matcher`)")
}

// client returns a client, or nil if no Prometheus is queried.
func (o *matchedOptions) client() (*prometheus.Client, error) {
	client, err := o.prometheusOptions.client()
	if err != nil || client == nil {
		return nil, err
	}
	for _, matcher := range o.matchers {
		if err := checkMatcher(matcher); err != nil {
			return nil, usagef("--prometheus-matcher %q: %w", matcher, err)
		}
	}
	return client, nil
}

// reader returns a reader for what isn't about pods in the namespace of a hub, or nil if no Prometheus is queried.
func (o *matchedOptions) reader(namespace string) (*prometheus.UsageReader, error) {
	client, err := o.client()
	if err != nil || client == nil {
		return nil, err
	}
	return &prometheus.UsageReader{Client: client, Queries: promql.Queries{Hubs: o.matchers}, Namespace: namespace}, nil
}

// readerOptions are the flags that say which series of a Prometheus to query for usage.
type readerOptions struct {
	matchedOptions
	pods podsOption
}

func (o *readerOptions) addFlags(cmd *cobra.Command) {
	o.matchedOptions.addFlags(cmd)
	o.pods.addFlag(cmd)
}

// reader returns the reader of the usage of the hub in a namespace, or nil if no Prometheus is queried.
func (o *readerOptions) reader(namespace string) (*prometheus.UsageReader, error) {
	reader, err := o.matchedOptions.reader(namespace)
	if err != nil || reader == nil {
		return nil, err
	}
	reader.Queries.Pods = o.pods.value
	return reader, o.pods.check()
}

var matcherForm = regexp.MustCompile(`(?s)^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=|!=|=~|!~)\s*(".*")\s*$`)

// checkMatcher returns an error unless a text is a matcher of PromQL, like cluster="east".
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

// withoutValues returns the error of a configuration file without the values that it quotes, which may be passwords.
func withoutValues(err error) error { return errors.New(hideValues(err.Error())) }

func hideValues(text string) string {
	return regexp.MustCompile("(?s)`.*`|\".*\"").ReplaceAllString(text, "a value")
}

// podsOption is the flag that limits usage to some pods.
type podsOption struct{ value string }

func (o *podsOption) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.value, "pods", "", "count only pods whose whole name matches `regexp`")
}

func (o *podsOption) check() error {
	if _, err := regexp.Compile(o.value); err != nil {
		return usagef("--pods is not a regular expression: %w", err)
	}
	return nil
}

// queryOptions are the flags of commands that print queries.
type queryOptions struct {
	prefix       prefixOption
	multipleName string
	pods         podsOption
	clusters     []string
}

func (o *queryOptions) addFlags(cmd *cobra.Command) {
	o.pods.addFlag(cmd)
	cmd.Flags().StringArrayVar(&o.clusters, "cluster-label", nil, "`label` that identifies a cluster (repeatable)")
	cmd.Flags().StringVar(&o.multipleName, "multiple-name", membership.DefaultMultipleName, "`name` that serve has for --multiple-name")
	o.prefix.addFlag(cmd)
}

func (o *queryOptions) complete(getenv func(string) string) error {
	if err := o.pods.check(); err != nil {
		return err
	}
	taken := []string{
		metrics.LabelNamespace, metrics.LabelUsergroup, metrics.LabelUsername, metrics.LabelEscaped, metrics.LabelSafe, metrics.LabelLabel,
		metrics.LabelReason, metrics.LabelResource, metrics.LabelSeries, promql.Owner, promql.Directory, promql.PodsNamespace, "pod", "container", "uid", "id", "name", "phase",
	}
	for i, label := range o.clusters {
		switch {
		case !model.LegacyValidation.IsValidLabelName(label):
			return usagef("--cluster-label %q is not supported: only names of letters, digits and _ are, because PromQL has to quote others", label)
		case slices.Contains(taken, label):
			return usagef("--cluster-label %s can't identify a cluster: the queries use this label", label)
		case slices.Contains(o.clusters[:i], label):
			return usagef("--cluster-label %s is given twice", label)
		}
	}
	return o.prefix.complete(getenv)
}
