package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/auth"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/server"
)

const (
	defaultListenAddress = ":8100"
	defaultTelemetryPath = "/metrics"
	// defaultRoutePrefix is the Python exporter's: Prometheus jobs scrape it.
	defaultRoutePrefix = "/services/groups-exporter/"
)

// authMode says who may read.
type authMode string

const (
	authNone authMode = "none" // whoever reaches the port
	authHub  authMode = "hub"  // who shows a hub's token that may read
)

// webOptions are the flags of what is served: where, and to whom.
type webOptions struct {
	listenAddress string
	systemdSocket bool
	telemetryPath string
	routePrefix   string
	configFile    string
	lifecycle     bool
	pprof         bool
	auth          authMode
	authScopes    []string

	// What complete makes of them.
	authReason string   // why auth is what it is
	enough     []string // scopes of which a caller needs one
}

func (o *webOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.listenAddress, "web.listen-address", "", "`address` to listen on (else that of $JUPYTERHUB_SERVICE_URL, else \""+defaultListenAddress+"\")")
	flags.BoolVar(&o.systemdSocket, "web.systemd-socket", false, "listen on the sockets that systemd passes instead")
	flags.StringVar(&o.telemetryPath, "web.telemetry-path", defaultTelemetryPath, "`path` of the metrics")
	flags.StringVar(&o.routePrefix, "web.route-prefix", "", "`path` where the metrics are too, for the hub's proxy (else $JUPYTERHUB_SERVICE_PREFIX, else \""+defaultRoutePrefix+"\")")
	flags.StringVar(&o.configFile, "web.config.file", "", "`file` with TLS, client certificates and basic auth, in the format of Prometheus' exporters")
	flags.BoolVar(&o.lifecycle, "web.enable-lifecycle", false, "refresh at once on POST /-/reload")
	flags.BoolVar(&o.pprof, "web.enable-pprof", false, "serve Go's profiles below /debug/pprof/")
	addChoice(cmd, &o.auth, "auth", "who may read: whoever reaches the port, or who shows a token of the hub (default hub as a hub's service with a url, else none)", authNone, authHub)
	flags.StringArrayVar(&o.authScopes, "auth-scope", nil, "with --auth hub, let in tokens with this `scope` too (repeatable)")
}

func (o *webOptions) complete(getenv func(string) string) error {
	serviceURL := getenv("JUPYTERHUB_SERVICE_URL")
	o.listenAddress = cmp.Or(o.listenAddress, serviceAddress(serviceURL), defaultListenAddress)
	o.routePrefix = cmp.Or(o.routePrefix, getenv("JUPYTERHUB_SERVICE_PREFIX"), defaultRoutePrefix)
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
	config, err := readWebConfig(o.configFile)
	if err != nil {
		return err
	}
	switch {
	case o.auth != "":
		o.authReason = "--auth says so"
	case config.passwords():
		o.auth, o.authReason = authNone, "--web.config.file asks for passwords"
	case isPublic(serviceURL):
		o.auth, o.authReason = authHub, "the hub's proxy lets anybody reach a service with a url"
	case config.certificates():
		o.auth, o.authReason = authNone, "--web.config.file asks for certificates"
	default:
		o.auth, o.authReason = authNone, "no service of the hub with a url"
	}
	if o.auth == authHub && config.passwords() {
		return usagef("--auth hub and basic_auth_users in --web.config.file both need the header Authorization: choose one")
	}
	if o.auth == authNone && len(o.authScopes) > 0 {
		return usagef("--auth-scope needs --auth hub")
	}
	// A service's prefix ends in its name.
	name := cmp.Or(getenv("JUPYTERHUB_SERVICE_NAME"), path.Base(o.routePrefix))
	o.enough = append([]string{"access:services", "access:services!service=" + name, "read:metrics"}, o.authScopes...)
	return nil
}

// webConfig is what a file in the format of Prometheus' exporters says of callers.
type webConfig struct {
	Users map[string]any `yaml:"basic_auth_users"`
	TLS   struct {
		ClientAuth string `yaml:"client_auth_type"`
	} `yaml:"tls_server_config"`
}

func (c *webConfig) passwords() bool    { return len(c.Users) > 0 }
func (c *webConfig) certificates() bool { return c.TLS.ClientAuth == "RequireAndVerifyClientCert" }

// readWebConfig checks the file, where there is one.
func readWebConfig(file string) (config webConfig, err error) {
	if file == "" {
		return config, nil
	}
	if err := web.Validate(file); err != nil {
		return config, fmt.Errorf("%s can't be used: %w", file, withoutValues(err))
	}
	data, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return config, err
	}
	return config, yaml.Unmarshal(data, &config)
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

// isPublic tells whether a hub forwards what it is asked for to us, wherever we
// listen. Port 0 is the hub's way to say that the service has no address.
func isPublic(serviceURL string) bool {
	u, err := url.Parse(serviceURL)
	return serviceURL != "" && (err != nil || u.Port() != "0")
}

// serviceAddress is where a hub expects its service to listen, or "".
func serviceAddress(serviceURL string) string {
	u, err := remote.ParseURL(serviceURL)
	if err != nil || u.Port() == "" || u.Port() == "0" {
		return ""
	}
	return u.Host
}

// listen opens what is listened on.
func (o *webOptions) listen() ([]net.Listener, error) {
	if o.systemdSocket {
		listeners, err := activation.Listeners()
		listeners = slices.DeleteFunc(listeners, func(l net.Listener) bool { return l == nil }) // of datagrams
		if err == nil && len(listeners) == 0 {
			err = errors.New("it passed none")
		}
		if err != nil {
			return nil, fmt.Errorf("the sockets of systemd can't be used: %w", err)
		}
		return listeners, nil
	}
	listener, err := net.Listen("tcp", o.listenAddress)
	if err != nil {
		return nil, fmt.Errorf("can't listen on %s: %w", o.listenAddress, remote.Cause(err))
	}
	return []net.Listener{listener}, nil
}

// check makes what lets callers in, nil where everybody may read.
func (o *webOptions) check(client *hub.Client) func(*http.Request) *server.Refusal {
	if o.auth == authNone {
		return nil
	}
	gate := auth.NewGate(func(ctx context.Context, token string) ([]string, bool, error) {
		return client.ScopesOf(ctx, hub.NewToken(token))
	}, o.enough...)
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

// browserAddress is what to open in a browser on this machine.
func browserAddress(listening net.Addr) string {
	host, port, _ := net.SplitHostPort(listening.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}
