package main

import (
	"cmp"
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// usageOptions are the flags of commands that publish usage.
type usageOptions struct {
	prometheus  readerOptions
	attribution usage.Attribution

	reader *prometheus.UsageReader // set by complete, nil if no Prometheus is queried
}

func (o *usageOptions) addFlags(cmd *cobra.Command) {
	o.prometheus.addFlags(cmd)
	addChoice(cmd, &o.attribution, "usage-attribution", "how a user in several groups counts (default full)", usage.Full, usage.Share)
	setHeading(cmd, "Usage")
}

// complete makes the reader for the pods of a namespace.
func (o *usageOptions) complete(namespace string) (err error) {
	if o.reader, err = o.prometheus.reader(namespace); err != nil {
		return err
	}
	o.attribution = cmp.Or(o.attribution, usage.Full)
	return nil
}

// exported returns how the exporter reads and publishes usage, or nil if no Prometheus is queried.
func (o *usageOptions) exported(schedules *scheduleOptions) *exporter.Usage {
	if o.reader == nil {
		return nil
	}
	u := &exporter.Usage{
		Reader: o.reader, Attribution: o.attribution, Sources: schedules.schedule(sourcesInterval),
		Schedules: map[usage.Resource]exporter.Schedule{},
	}
	for _, resource := range usage.Resources() {
		u.Schedules[resource] = schedules.schedule(schedules.usage)
	}
	u.Schedules[usage.HomeDir] = schedules.schedule(schedules.homeDirs)
	return u
}

// readAll queries the usage of all resources once.
func (o *usageOptions) readAll(ctx context.Context, snapshot *membership.Snapshot) ([]*usage.Usage, error) {
	if o.reader == nil {
		return nil, nil
	}
	var all []*usage.Usage
	for _, resource := range usage.Resources() {
		answer, err := o.reader.Read(ctx, resource)
		if err != nil {
			return nil, err
		}
		all = append(all, usage.Join(answer, snapshot))
	}
	return all, nil
}

// sayWhatIsMissing writes notices about the series that usage is computed from.
func (o *usageOptions) sayWhatIsMissing(ctx context.Context, errOut io.Writer, namespace string) {
	if o.reader == nil {
		return
	}
	sources, err := o.reader.Sources(ctx)
	if err != nil {
		say(errOut, "the series in Prometheus can't be looked up, so usage may be too low: "+err.Error(), hint(err))
		return
	}
	for _, notice := range sourceNotices(sources, namespace) {
		say(errOut, notice, "")
	}
}
