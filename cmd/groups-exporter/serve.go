package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/server"
)

type serveOptions struct {
	hub       hubOptions
	publish   publishOptions
	usage     usageOptions
	schedules scheduleOptions
	log       logOptions
	python    pythonOptions
	web       webOptions
}

func (o *serveOptions) addFlags(cmd *cobra.Command) {
	o.hub.addFlags(cmd)
	o.publish.addFlags(cmd)
	o.schedules.addFlags(cmd)
	o.usage.addFlags(cmd)
	o.web.addFlags(cmd)
	o.log.addFlags(cmd)
	o.python.addFlags(cmd, o)
}

func (o *serveOptions) complete(getenv func(string) string) error {
	if err := o.web.complete(getenv); err != nil {
		return err
	}
	if err := o.hub.complete(getenv); err != nil {
		return err
	}
	if err := o.publish.complete(getenv, o.hub.namespace); err != nil {
		return err
	}
	o.python.complete(&o.usage, &o.schedules)
	if err := o.usage.complete(o.hub.namespace); err != nil {
		return err
	}
	return o.schedules.complete(o.hub.demo, o.usage.reader != nil)
}

// exporter returns an exporter that isn't running yet.
func (o *serveOptions) exporter(log *slog.Logger) *exporter.Exporter {
	return exporter.New(exporter.Options{
		Hub: o.hub.client(), Namespace: o.hub.namespace, GroupMap: o.hub.groupMap.Map, LoadGroupMap: o.hub.groupMap.load, Rules: o.hub.rules, Schedule: o.schedules.schedule(o.schedules.hub),
		Metrics: o.publish.metrics(), MaxSeries: o.publish.maxSeries, Usage: o.usage.exported(&o.schedules),
		Version: versionNumber(), Log: log,
		Words: exporter.Words{
			Explain: withHint,
			Hub: func(snapshot *membership.Snapshot, result hub.Result) []string {
				return append(o.hub.notices(snapshot, result), o.publish.notices(snapshot)...)
			},
			Sources: func(sources *prometheus.Sources) []string { return sourceNotices(sources, o.hub.namespace) },
		},
	})
}

// withHint adds the hint, if there is one, to an error.
func withHint(err error) error {
	if h := hint(err); h != "" {
		return fmt.Errorf("%w; hint: %s", err, h)
	}
	return err
}

// handler returns the handler for HTTP requests to the exporter.
func (o *serveOptions) handler(e *exporter.Exporter, log *slog.Logger) *server.Handler {
	h := &server.Handler{
		State: e.State, Redact: o.hub.secrets.redact, TelemetryPath: o.web.telemetryPath, RoutePrefix: o.web.routePrefix,
		Check: o.web.check(e.Client(), o.schedules.schedule(o.schedules.hub).MaxStaleness, log), Pprof: o.web.pprof, Log: log,
	}
	if o.web.lifecycle {
		h.Reload = e.Reload
	}
	return h
}

const serveName = "serve"

func newServeCommand(getenv func(string) string) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   serveName,
		Short: "Run the exporter",
		Long: `Poll JupyterHub for group memberships and expose them to Prometheus. With
--prometheus-url, also query Prometheus and expose the usage of each group.

The server starts listening at once, even while the hub is down. If the hub
fails, the last good answer stays published until it is too old.

Each flag can be set by an environment variable: --hub-url by
GROUPS_EXPORTER_HUB_URL, --web.listen-address by
GROUPS_EXPORTER_WEB_LISTEN_ADDRESS.

` + exitCodes,
		Example: `  # try it without a hub
  groups-exporter serve --demo

  # run it next to a hub
  groups-exporter serve --hub-url http://127.0.0.1:8081 --hub-token-file token

  # export only courses, and one series for users in several of them
  groups-exporter serve --allow-group 'course-*' --multi-group multiple`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			return runServe(cmd.Context(), cmd.ErrOrStderr(), o)
		},
	}
	o.addFlags(cmd)
	completeRules(cmd, getenv, &o.hub)
	return cmd
}

func runServe(ctx context.Context, errOut io.Writer, o serveOptions) error {
	o.hub.secrets = new(secrets)
	log := o.log.logger(errOut, o.hub.secrets.redact)
	if o.hub.tls != nil {
		o.hub.tls.logTo(log, "the hub")
	}
	listeners, err := o.web.listen(ctx, log)
	if err != nil {
		return err
	}
	defer closeAll(listeners) // removes Unix sockets, even if nothing was served
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.hub.sample != nil {
		go changeDemo(ctx, o.hub.sample, log)
	}

	e := o.exporter(log)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		e.Run(ctx)
	}()
	defer reloadOnHangup(e.Reload)()
	o.web.logListening(listeners, o.hub.demo, log)
	log.Info("polling the hub", "url", o.hub.api.String(), "namespace", o.hub.namespace, "interval", o.schedules.hub.String())
	if o.usage.reader != nil {
		log.Info("querying Prometheus", "url", o.usage.prometheus.address, "attribution", o.usage.attribution, "interval", o.schedules.usage.String(), "home_dir_interval", o.schedules.homeDirs.String())
	}
	for _, warning := range o.python.warnings() {
		log.Warn(warning)
	}
	if address := browserAddress(listeners); o.hub.sample != nil && address != "" {
		log.Info("open this page in a browser, press Ctrl-C to stop", "url", address)
	}
	err = server.Serve(ctx, listeners, o.handler(e, log), o.web.security(log, o.log.toolkitLogger(errOut, o.hub.secrets.redact)), log)
	cancel()
	<-polled
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// reloadOnHangup calls reload on each SIGHUP, until it is stopped.
func reloadOnHangup(reload func()) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			reload()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
	}
}
