package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/auth"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

const (
	defaultListenAddress = ":8100"
	defaultTelemetryPath = "/metrics"
	// defaultRoutePrefix is the Python exporter's: Prometheus jobs scrape it.
	defaultRoutePrefix = "/services/groups-exporter/"
)

// authMode is who may read.
type authMode string

const (
	authNone authMode = "none" // anyone
	authHub  authMode = "hub"  // callers with a token of the hub that has one of the scopes
)

// webOptions are the flags for serving HTTP.
type webOptions struct {
	listenOn      []string
	systemdSocket bool
	telemetryPath string
	routePrefix   string
	configFile    string
	lifecycle     bool
	pprof         bool
	auth          authMode
	authScopes    []string

	// Set by complete.
	addresses  []listenAddress // at least one
	byURL      bool            // the address is that of JUPYTERHUB_SERVICE_URL
	config     *webconfig.File // nil without configFile
	tls        *tlsFiles       // nil unless the hub's service serves https without configFile
	authReason string          // why auth has this value
	enough     []string        // a caller needs one of these scopes
}

func (o *webOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&o.listenOn, "web.listen-address", nil, "`address` to listen on, or unix:PATH (repeatable; default \""+defaultListenAddress+"\")")
	flags.BoolVar(&o.systemdSocket, "web.systemd-socket", false, "listen on the sockets from systemd")
	flags.StringVar(&o.telemetryPath, "web.telemetry-path", defaultTelemetryPath, "`path` of the metrics")
	flags.StringVar(&o.routePrefix, "web.route-prefix", "", "second `path` of the metrics, for the hub's proxy (default \""+defaultRoutePrefix+"\")")
	flags.StringVar(&o.configFile, "web.config.file", "", "`file` with TLS and basic auth (exporter-toolkit)")
	flags.BoolVar(&o.lifecycle, "web.enable-lifecycle", false, "refresh on POST /-/reload")
	flags.BoolVar(&o.pprof, "web.enable-pprof", false, "serve Go profiles at /debug/pprof/")
	addChoice(cmd, &o.auth, "auth", "who may read: anyone, or callers with a token of the hub (default hub for a hub service with a URL, otherwise none)", authNone, authHub)
	flags.StringArrayVar(&o.authScopes, "auth-scope", nil, "additional `scope` that lets a token in (repeatable)")
	setHeading(cmd, "Web")
}

func (o *webOptions) complete(getenv func(string) string) error {
	serviceURL := getenv("JUPYTERHUB_SERVICE_URL")
	if err := o.completeAddresses(serviceURL); err != nil {
		return err
	}
	o.routePrefix = cmp.Or(o.routePrefix, getenv("JUPYTERHUB_SERVICE_PREFIX"), defaultRoutePrefix)
	for _, given := range []struct{ name, path string }{
		{"--web.telemetry-path", o.telemetryPath},
		{"--web.route-prefix (or JUPYTERHUB_SERVICE_PREFIX)", o.routePrefix},
	} {
		if !strings.HasPrefix(given.path, "/") {
			return usagef("%s must begin with a slash: %q", given.name, given.path)
		}
	}
	if err := o.openConfig(); err != nil {
		return err
	}
	if err := o.completeTLS(getenv); err != nil {
		return err
	}
	return o.completeAuth(getenv)
}

// completeAuth finds out who may read.
func (o *webOptions) completeAuth(getenv func(string) string) error {
	passwords := o.demands(webconfig.Password)
	switch {
	case o.auth != "":
		o.authReason = "set by --auth"
	case passwords:
		o.auth, o.authReason = authNone, "--web.config.file requires passwords"
	case isPublic(getenv("JUPYTERHUB_SERVICE_URL")):
		o.auth, o.authReason = authHub, "running as a hub service with a URL, which anyone can reach"
	case o.demands(webconfig.VerifiedCertificate):
		o.auth, o.authReason = authNone, "--web.config.file requires client certificates"
	default:
		o.auth, o.authReason = authNone, "not running as a hub service with a URL"
	}
	if o.auth == authHub && passwords {
		return usagef("--auth hub and basic_auth_users in --web.config.file both need the header Authorization: choose one")
	}
	if o.auth == authNone && len(o.authScopes) > 0 {
		return usagef("--auth-scope needs --auth hub")
	}
	name := cmp.Or(getenv("JUPYTERHUB_SERVICE_NAME"), path.Base(o.routePrefix)) // a service's prefix ends in its name
	o.enough = append([]string{"access:services", "access:services!service=" + name, "read:metrics"}, o.authScopes...)
	return nil
}

// completeAddresses finds out where to listen.
func (o *webOptions) completeAddresses(serviceURL string) error {
	given := slices.DeleteFunc(slices.Clone(o.listenOn), func(text string) bool { return text == "" })
	if address := serviceAddress(serviceURL); len(given) == 0 && address != "" {
		given, o.byURL = []string{address}, true
	}
	if len(given) == 0 {
		given = []string{defaultListenAddress}
	}
	o.addresses = nil
	for _, text := range given {
		address, err := parseListenAddress(text)
		if err != nil {
			return err
		}
		o.addresses = append(o.addresses, address)
	}
	return nil
}

// openConfig reads the configuration file, if there is one.
func (o *webOptions) openConfig() error {
	if o.configFile == "" {
		return nil
	}
	var err error
	if o.config, err = webconfig.Open(o.configFile); err != nil {
		return fmt.Errorf("%s can't be used: %w", o.configFile, withoutValues(err))
	}
	return nil
}

// completeTLS finds out whether to serve https with the hub's certificate.
func (o *webOptions) completeTLS(getenv func(string) string) error {
	o.tls = serviceTLS(getenv)
	if o.tls == nil || o.demands(webconfig.TLS) {
		o.tls = nil
		return nil
	}
	if o.config != nil {
		return usagef("--web.config.file has no TLS, and the hub expects its service at an https address: add tls_server_config, for example with the files of JUPYTERHUB_SSL_CERTFILE and JUPYTERHUB_SSL_KEYFILE")
	}
	if err := o.tls.read(); err != nil {
		return fmt.Errorf("the hub's certificate for its service can't be used: %w", err)
	}
	return nil
}

// demands reports whether the configuration file, if there is one, demands something of callers.
func (o *webOptions) demands(demand webconfig.Demand) bool {
	return o.config != nil && o.config.Demands(demand)
}

// security returns how connections are secured. The toolkit's log is for exporter-toolkit.
func (o *webOptions) security(log, toolkit *slog.Logger) server.Security {
	if o.tls != nil {
		o.tls.logTo(log, "the service")
		return server.Security{TLS: o.tls.serverConfig()}
	}
	return server.Security{ConfigFile: o.configFile, Log: toolkit}
}

// check returns a function that checks callers, or nil if anyone may read. The grace is how long callers keep their
// access while the hub is down.
func (o *webOptions) check(client *hub.Client, grace time.Duration, log *slog.Logger) func(*http.Request) *server.Refusal {
	var checks []func(*http.Request) *server.Refusal
	if o.config != nil {
		checks = append(checks, o.checkConfig(log))
	}
	if o.auth == authHub {
		checks = append(checks, o.checkToken(client, grace, log))
	}
	if len(checks) == 0 {
		return nil
	}
	return func(r *http.Request) *server.Refusal {
		for _, check := range checks {
			if refusal := check(r); refusal != nil {
				return refusal
			}
		}
		return nil
	}
}

// checkConfig returns a function that refuses all callers while the configuration file demands less than at the start.
func (o *webOptions) checkConfig(log *slog.Logger) func(*http.Request) *server.Refusal {
	status := changes{log: log.With("file", o.configFile), failed: "--web.config.file can't be used: all callers are refused", mended: "--web.config.file can be used again"}
	o.config.Report = status.report
	return func(r *http.Request) *server.Refusal {
		if o.config.Check(r) == nil {
			return nil
		}
		return &server.Refusal{Status: http.StatusServiceUnavailable, Reason: "the exporter's configuration is being changed: try again later"}
	}
}

// checkToken returns a function that refuses callers without a token of the hub that has one of the scopes.
func (o *webOptions) checkToken(client *hub.Client, grace time.Duration, log *slog.Logger) func(*http.Request) *server.Refusal {
	gate := auth.NewGate(func(ctx context.Context, token string) ([]string, bool, error) {
		return client.ScopesOf(ctx, hub.NewToken(token))
	}, o.enough...)
	status := changes{log: log, failed: "the hub can't check callers' tokens", mended: "the hub can check callers' tokens again"}
	gate.Report, gate.Grace = status.report, grace
	return func(r *http.Request) *server.Refusal {
		err := gate.Check(r.Context(), r.Header.Get("Authorization"))
		if err == nil {
			return nil
		}
		status := http.StatusServiceUnavailable
		if refusal, ok := errors.AsType[*auth.Refusal](err); ok {
			switch refusal.Reason {
			case auth.NoToken, auth.BadToken:
				status = http.StatusUnauthorized
			case auth.NoScope:
				status = http.StatusForbidden
			}
		}
		return &server.Refusal{Status: status, Reason: err.Error()}
	}
}
