package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/server"
)

const (
	defaultListenAddress = ":8100"
	defaultTelemetryPath = "/metrics"
	// defaultRoutePrefix is the Python exporter's: Prometheus jobs scrape it.
	defaultRoutePrefix     = "/services/groups-exporter/"
	defaultRefreshInterval = 5 * time.Minute
	demoRefreshInterval    = 15 * time.Second
	// defaultStaleness is the least; it is three intervals where that is more.
	defaultStaleness = time.Hour
)

type serveOptions struct {
	hub           hubOptions
	publish       publishOptions
	log           logOptions
	python        pythonOptions
	listenAddress string
	telemetryPath string
	routePrefix   string
	interval      time.Duration
	maxStaleness  time.Duration
	demo          bool
}

func (o *serveOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.demo, "demo", false, "run with a built-in sample hub, to try it out: needs no real one")
	flags.StringVar(&o.listenAddress, "web.listen-address", "", "`address` to listen on (else that of $JUPYTERHUB_SERVICE_URL,\nelse \""+defaultListenAddress+"\")")
	flags.StringVar(&o.telemetryPath, "web.telemetry-path", defaultTelemetryPath, "`path` of the metrics")
	flags.StringVar(&o.routePrefix, "web.route-prefix", "", "`path` where the metrics are too, for the hub's proxy\n(else $JUPYTERHUB_SERVICE_PREFIX, else \""+defaultRoutePrefix+"\")")
	flags.Var(duration{&o.interval}, "refresh-interval", "how often the hub is asked, a tenth more or less\n(default 5m; 15s with --demo)")
	flags.Var(duration{&o.maxStaleness}, "max-staleness", "how long the last good answer is published when the hub fails\n(default 1h, or three intervals if that is more)")
	o.log.addFlags(cmd)
	o.publish.addFlags(cmd)
	o.hub.addFlags(cmd)
	o.python.addFlags(cmd, o)
}

func (o *serveOptions) complete(getenv func(string) string) error {
	if o.demo {
		if firstSet(o.hub.address, o.hub.tokenFile, o.hub.caFile, o.hub.certFile, o.hub.keyFile, string(o.hub.token)) != "" {
			return usagef("--demo has a hub of its own: it goes without --hub-url, a token and certificates")
		}
		if o.interval == 0 {
			o.interval = demoRefreshInterval
		}
	}
	if o.interval == 0 {
		o.interval = defaultRefreshInterval
	}
	if o.maxStaleness == 0 {
		o.maxStaleness = max(defaultStaleness, 3*o.interval)
	}
	if o.maxStaleness < 2*o.interval {
		return usagef("--max-staleness has to be twice --refresh-interval or more, or the metrics would come and go")
	}
	o.listenAddress = firstSet(o.listenAddress, serviceAddress(getenv("JUPYTERHUB_SERVICE_URL")), defaultListenAddress)
	o.routePrefix = firstSet(o.routePrefix, getenv("JUPYTERHUB_SERVICE_PREFIX"), defaultRoutePrefix)
	if err := checkListenAddress(o.listenAddress); err != nil {
		return err
	}
	for _, given := range []struct{ name, path string }{
		{"--web.telemetry-path", o.telemetryPath},
		{"--web.route-prefix (or JUPYTERHUB_SERVICE_PREFIX)", o.routePrefix},
	} {
		if !strings.HasPrefix(given.path, "/") {
			return usagef("%s has to begin with a slash: %q", given.name, given.path)
		}
	}
	if err := o.publish.complete(getenv); err != nil {
		return err
	}
	if o.demo {
		o.hub.namespace = firstSet(o.hub.namespace, "demo")
		return o.hub.checkRules()
	}
	return o.hub.complete(getenv)
}

func checkListenAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return usagef("%q is no address to listen on, like :8100 or 127.0.0.1:8100", address)
	}
	return nil
}

// browserAddress is what to open in a browser on this machine.
func browserAddress(listening net.Addr) string {
	host, port, _ := net.SplitHostPort(listening.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// serviceAddress is where a hub expects its service, or "". Port 0 is the hub's
// way to say that the service has no address.
func serviceAddress(serviceURL string) string {
	u, err := url.Parse(serviceURL)
	if err != nil || u.Port() == "" || u.Port() == "0" {
		return ""
	}
	return u.Host
}

func newServeCommand(getenv func(string) string) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the exporter",
		Long: `Ask the hub again and again who is in which group, and serve the answer to
Prometheus. It listens at once, also while the hub is away: until the first good
answer the metrics are about the exporter alone, and /-/ready says 503.

When the hub fails, the last good answer stays until it is too old.

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
	log := o.log.logger(errOut)
	listener, err := net.Listen("tcp", o.listenAddress)
	if err != nil {
		return fmt.Errorf("can't listen on %s: %w", o.listenAddress, networkCause(err))
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
		e.poller.Run(ctx)
	}()
	log.Info("listening", "address", listener.Addr().String(), "metrics", o.telemetryPath, "prefix", o.routePrefix)
	log.Info("asking", "hub", o.hub.api.String(), "namespace", o.hub.namespace, "every", o.interval.String())
	for _, warning := range o.python.warnings() {
		log.Warn(warning)
	}
	if o.demo {
		say(errOut, "open "+browserAddress(listener.Addr())+" to look, press Ctrl-C to stop", "")
	}
	err = server.Serve(ctx, listener, e.handler(o), log)
	cancel()
	<-polled
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// networkCause is what went wrong, without the names of the system calls.
func networkCause(err error) error {
	if opErr, ok := errors.AsType[*net.OpError](err); ok {
		err = opErr.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// exporter is the way from a hub's answer to what is published.
type exporter struct {
	source  *source
	publish publishOptions
	self    *metrics.Self
	record  metrics.Hub
	log     *slog.Logger
	poller  server.Poller
	page    atomic.Pointer[exposition.Page]
	ready   atomic.Bool
	began   time.Time // when the refresh under way, or the last one, did
	// noticed are the notices of the last refresh: what was said is not said again.
	noticed map[string]bool
}

func newExporter(o serveOptions, log *slog.Logger) *exporter {
	e := &exporter{publish: o.publish, self: metrics.NewSelf(), log: log}
	e.record = e.self.Hub(o.hub.namespace, words(hub.Reasons())...)
	e.source = o.hub.source(e.record.Answered)
	e.poller = server.Poller{
		Refresh: e.refresh, Publish: e.replace, Drop: e.drop, RetryAfter: hub.RetryAfter, Interval: o.interval, MaxStaleness: o.maxStaleness, Log: log,
	}
	return e
}

// refresh asks the hub.
func (e *exporter) refresh(ctx context.Context) (*membership.Snapshot, error) {
	e.began = time.Now()
	snapshot, result, err := e.source.snapshot(ctx)
	if err != nil {
		e.record.Failed(time.Since(e.began), string(hub.ReasonOf(err)))
		if h := hint(err); h != "" {
			err = fmt.Errorf("%w; hint: %s", err, h)
		}
		return nil, err
	}
	if result.Inconsistent {
		e.record.Inconsistent()
	}
	e.notice(append(e.source.notices(snapshot, result), e.publish.notices(snapshot)...))
	return snapshot, nil
}

// replace changes what scrapes see.
func (e *exporter) replace(snapshot *membership.Snapshot) error {
	page, err := exposition.Encode(metrics.Families(e.publish.metrics(), snapshot), exposition.Text)
	if err != nil {
		e.record.Failed(time.Since(e.began), string(hub.Other))
		return fmt.Errorf("encoding: %w", err)
	}
	e.page.Store(page)
	e.ready.Store(true)
	e.record.Refreshed(time.Now(), time.Since(e.began), snapshot)
	return nil
}

// drop takes the hub's series away.
func (e *exporter) drop() {
	e.page.Store(nil)
	e.record.Dropped()
}

// notice logs what the refresh before did not say already.
func (e *exporter) notice(notices []string) {
	now := map[string]bool{}
	for _, notice := range notices {
		now[notice] = true
		if !e.noticed[notice] {
			e.log.Warn(notice)
		}
	}
	e.noticed = now
}

func (e *exporter) handler(o serveOptions) *server.Handler {
	return &server.Handler{
		Page: e.page.Load, Ready: e.ready.Load, Self: e.self.Registry,
		TelemetryPath: o.telemetryPath, RoutePrefix: o.routePrefix,
		Version: versionNumber(), Log: e.log,
	}
}
