package main

import (
	"cmp"
	"context"
	"io"
	"iter"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

const (
	defaultUsageInterval   = time.Minute
	defaultHomeDirInterval = time.Hour
)

// usageOptions are the flags of commands that publish usage.
type usageOptions struct {
	prometheus  prometheusOptions
	attribution usage.Attribution
	// The intervals are of serve.
	interval, homeDirInterval time.Duration

	// client is what complete makes of them, nil if no Prometheus is queried.
	client *usage.Client
}

func (o *usageOptions) addFlags(cmd *cobra.Command) {
	o.prometheus.addFlags(cmd, "publish usage by group too, from")
	addChoice(cmd, &o.attribution, "usage-attribution", "a user in several groups counts in each in full (the default), or by share, so that sums over groups are the whole", usage.Full, usage.Share)
}

func (o *usageOptions) addIntervals(cmd *cobra.Command) {
	cmd.Flags().Var(duration{&o.interval}, "usage-interval", "how often Prometheus is queried for the usage of pods (default 1m)")
	cmd.Flags().Var(duration{&o.homeDirInterval}, "usage-home-dir-interval", "how often Prometheus is queried for the sizes of home directories (default 1h)")
}

// complete makes the client for the pods of a namespace.
func (o *usageOptions) complete(namespace string) (err error) {
	if o.client, err = o.prometheus.client(namespace); err != nil {
		return err
	}
	if o.client == nil {
		switch {
		case o.attribution != "":
			return usagef("--usage-attribution needs --prometheus-url")
		case o.interval != 0:
			return usagef("--usage-interval needs --prometheus-url")
		case o.homeDirInterval != 0:
			return usagef("--usage-home-dir-interval needs --prometheus-url")
		}
		return nil
	}
	o.attribution = cmp.Or(o.attribution, usage.Full)
	o.interval = cmp.Or(o.interval, defaultUsageInterval)
	o.homeDirInterval = cmp.Or(o.homeDirInterval, defaultHomeDirInterval)
	return nil
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

// sayWhatIsMissing writes what is wrong with the series that usage is computed from.
func (o *usageOptions) sayWhatIsMissing(ctx context.Context, errOut io.Writer, namespace string) {
	if o.client == nil {
		return
	}
	sources, err := o.client.Sources(ctx)
	if err != nil {
		say(errOut, "which series Prometheus has is unknown, so usage may be too low: "+err.Error(), hint(err))
		return
	}
	for _, notice := range sourceNotices(sources, namespace) {
		say(errOut, notice, "")
	}
}
