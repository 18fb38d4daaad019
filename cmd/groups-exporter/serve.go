package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/server"
)

const (
	defaultRefreshInterval = 5 * time.Minute
	demoRefreshInterval    = 15 * time.Second
	// defaultStaleness is the least; it is three intervals where that is more.
	defaultStaleness = time.Hour
)

type serveOptions struct {
	hub          hubOptions
	publish      publishOptions
	usage        usageOptions
	log          logOptions
	python       pythonOptions
	web          webOptions
	interval     time.Duration
	maxStaleness time.Duration
	demo         bool
}

func (o *serveOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.demo, "demo", false, "run with a built-in sample hub, to try it out: needs no real one")
	o.web.addFlags(cmd)
	flags.Var(duration{&o.interval}, "refresh-interval", "how often the hub is asked, a tenth more or less; a refresh may take as long (default 5m; 15s with --demo)")
	flags.Var(duration{&o.maxStaleness}, "max-staleness", "how long the last good answer is published when asking fails (default 1h, or three intervals if that is more)")
	o.log.addFlags(cmd)
	o.publish.addFlags(cmd)
	o.usage.addFlags(cmd)
	o.usage.addIntervals(cmd)
	o.hub.addFlags(cmd)
	o.python.addFlags(cmd, o)
}

func (o *serveOptions) complete(getenv func(string) string) error {
	if o.demo {
		if cmp.Or(o.hub.address, o.hub.tokenFile, o.hub.caFile, o.hub.certFile, o.hub.keyFile, o.hub.token.Reveal()) != "" {
			return usagef("--demo has a hub of its own: it goes without --hub-url, a token and certificates")
		}
		o.interval = cmp.Or(o.interval, demoRefreshInterval)
	}
	o.interval = cmp.Or(o.interval, defaultRefreshInterval)
	if err := o.web.complete(getenv); err != nil {
		return err
	}
	if err := o.publish.complete(getenv); err != nil {
		return err
	}
	if err := o.completeHub(getenv); err != nil {
		return err
	}
	if err := o.publish.checkNamespace(o.hub.namespace); err != nil {
		return err
	}
	o.python.complete(&o.usage)
	if err := o.usage.complete(o.hub.namespace); err != nil {
		return err
	}
	return o.checkStaleness()
}

func (o *serveOptions) completeHub(getenv func(string) string) error {
	if o.demo {
		o.hub.namespace = cmp.Or(o.hub.namespace, "demo")
		return o.hub.checkRules()
	}
	return o.hub.complete(getenv)
}

// staleness is how long the last good answer of a source that is asked at an
// interval is published.
func (o *serveOptions) staleness(interval time.Duration) time.Duration {
	if o.maxStaleness == 0 {
		return max(defaultStaleness, 3*interval)
	}
	return o.maxStaleness
}

func (o *serveOptions) checkStaleness() error {
	for _, flag := range []struct {
		name     string
		interval time.Duration
	}{
		{"--refresh-interval", o.interval},
		{"--usage-interval", o.usage.interval},
		{"--usage-home-dir-interval", o.usage.homeDirInterval},
	} {
		if o.staleness(flag.interval) < 2*flag.interval {
			return usagef("--max-staleness has to be twice %s or more, or the metrics would come and go", flag.name)
		}
	}
	return nil
}

const serveName = "serve"

func newServeCommand(getenv func(string) string) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   serveName,
		Short: "Run the exporter",
		Long: `Ask the hub again and again who is in which group, and serve the answer to
Prometheus. It listens at once, also while the hub is away: until the first good
answer the metrics are about the exporter alone, and /-/ready says 503.

When the hub fails, the last good answer stays until it is too old.

With --prometheus-url it also asks a Prometheus what the users use, and
publishes memory, CPU, the requests for both, and the size of home directories
by group. Where the Prometheus can load rules, 'groups-exporter rules' is the
better way.

` + exitCodes + `
A stop by SIGINT or SIGTERM is 0.`,
		Example: `  # try it without a hub
  groups-exporter serve --demo

  # beside a hub
  groups-exporter serve --hub-url http://127.0.0.1:8081 --hub-token-file token

  # only courses, and users in several of them in one series
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
	return cmd
}

func runServe(ctx context.Context, errOut io.Writer, o serveOptions) error {
	o.hub.secrets = new(secrets)
	log := o.log.logger(errOut, o.hub.secrets.redact)
	listeners, err := o.web.listen(ctx, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.demo {
		if err := startDemo(ctx, &o.hub, log); err != nil {
			return err
		}
	}

	e := newExporter(o, log)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		e.run(ctx)
	}()
	stopHearing := reloadOnHangup(e.reload)
	defer stopHearing()
	log.Info("serving", "metrics", o.web.telemetryPath, "prefix", o.web.routePrefix, "auth", o.web.auth, "because", o.web.authReason)
	log.Info("asking", "hub", o.hub.api.String(), "namespace", o.hub.namespace, "every", o.interval.String())
	if o.usage.client != nil {
		log.Info("asking", "prometheus", o.usage.prometheus.address, "attribution", o.usage.attribution, "every", o.usage.interval.String(), "home_dirs_every", o.usage.homeDirInterval.String())
	}
	for _, warning := range o.python.warnings() {
		log.Warn(warning)
	}
	if o.demo {
		invite(errOut, log, o.log.format, browserAddress(listeners[0].Addr()))
	}
	err = server.Serve(ctx, listeners, e.handler(o), o.web.security(log), log)
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
