package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/config"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

const (
	defaultUsageInterval   = time.Minute
	defaultHomeDirInterval = time.Hour
	defaultUsageTimeout    = 30 * time.Second
)

// usageOptions are the flags of what asks a Prometheus for usage.
type usageOptions struct {
	address     string
	configFile  string
	timeout     time.Duration
	attribution usage.Attribution
	// The intervals are of serve.
	interval, homeDirInterval time.Duration

	// client is what complete makes of them, nil where no Prometheus is asked.
	client *usage.Client
}

func (o *usageOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.address, "prometheus-url", "", "publish usage by group too, asking the Prometheus at this `URL`")
	flags.StringVar(&o.configFile, "prometheus.config.file", "", "`file` with TLS, credentials and proxy for it, in Prometheus' own format (else proxies as in $HTTPS_PROXY, $NO_PROXY)")
	flags.Var(duration{&o.timeout}, "prometheus-timeout", "how long one of its answers may take (default "+defaultUsageTimeout.String()+")")
	addChoice(cmd, &o.attribution, "usage-attribution", "a user in several groups counts in each in full (the default), or by share, so that sums over groups are the whole", usage.Full, usage.Share)
}

func (o *usageOptions) addIntervals(cmd *cobra.Command) {
	cmd.Flags().Var(duration{&o.interval}, "usage-interval", "how often it is asked for the usage of pods (default 1m)")
	cmd.Flags().Var(duration{&o.homeDirInterval}, "usage-home-dir-interval", "how often it is asked for the sizes of home directories (default 1h)")
}

// complete makes the client for the pods of a namespace.
func (o *usageOptions) complete(namespace string) error {
	if o.address == "" {
		for _, flag := range []struct {
			name  string
			given bool
		}{
			{"--prometheus.config.file", o.configFile != ""},
			{"--prometheus-timeout", o.timeout != 0},
			{"--usage-attribution", o.attribution != ""},
			{"--usage-interval", o.interval != 0},
			{"--usage-home-dir-interval", o.homeDirInterval != 0},
		} {
			if flag.given {
				return usagef("%s needs --prometheus-url", flag.name)
			}
		}
		return nil
	}
	address, err := remote.ParseURL(o.address)
	if err != nil {
		return usagef("--prometheus-url is no Prometheus' address: %w", err)
	}
	o.timeout = cmp.Or(o.timeout, defaultUsageTimeout)
	o.attribution = cmp.Or(o.attribution, usage.Full)
	o.interval = cmp.Or(o.interval, defaultUsageInterval)
	o.homeDirInterval = cmp.Or(o.homeDirInterval, defaultHomeDirInterval)
	settings := config.DefaultHTTPClientConfig
	settings.ProxyFromEnvironment = true
	if o.configFile != "" {
		if settings, err = readHTTPConfig(o.configFile); err != nil {
			return err
		}
	}
	o.client, err = usage.New(usage.Options{
		URL: address, HTTP: settings, Namespace: namespace, Timeout: o.timeout, UserAgent: userAgent(),
	})
	if err != nil {
		return fmt.Errorf("what %s names can't be used: %w", o.configFile, err)
	}
	return nil
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

// intervalOf tells how often Prometheus is asked for a resource.
func (o *usageOptions) intervalOf(resource metrics.Resource) time.Duration {
	if resource == metrics.HomeDir {
		return o.homeDirInterval
	}
	return o.interval
}

// family yields the family of what the users in a snapshot use of a resource.
func (o *usageOptions) family(m metrics.Options, snapshot *membership.Snapshot, used *usage.Usage) iter.Seq[*dto.MetricFamily] {
	return metrics.UsageFamily(m, used.Resource, metrics.Usage{Namespace: snapshot.Namespace(), Rows: used.Rows(o.attribution)})
}

// readAll asks for all resources once.
func (o *usageOptions) readAll(ctx context.Context, snapshot *membership.Snapshot) ([]*usage.Usage, error) {
	if o.client == nil {
		return nil, nil
	}
	var all []*usage.Usage
	for _, resource := range metrics.Resources() {
		answer, err := o.client.Read(ctx, resource)
		if err != nil {
			return nil, err
		}
		all = append(all, usage.Join(answer, snapshot))
	}
	return all, nil
}
