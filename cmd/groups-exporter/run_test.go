package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// failingOutput is a standard output that takes nothing.
type failingOutput struct{ err error }

func (o failingOutput) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: o.err}
}

// Whatever a command prints: a reader that has seen enough is no failure, and a disk that is full is one, said once.
func TestEveryCommandNoticesThatItsOutputFails(t *testing.T) {
	environment := hubWith(t, fakehub.User{Name: "ada"})
	commands := [][]string{{"--version"}, {"--help"}, {"help", "dump"}, {"completion", "bash"}, {"__complete", "rules", ""}}
	for _, command := range newRootCommand(environment).Commands() {
		args := []string{command.Name()}
		if command.Name() == "report" {
			args = append(args, "--demo", "--last", "1d")
		}
		if command.Name() == "homes" { // ada's is u-ada
			args = append(args, "--directories", "-", "--directory-template", "u-{username}", "--only", "orphan")
		}
		commands = append(commands, []string{command.Name(), "--help"})
		switch {
		case command.Name() == "serve" || command.Name() == "healthcheck":
			continue // they print nothing
		case command.Flags().Lookup("output") == nil || command.Name() == "dump":
			commands = append(commands, args)
		default:
			for output := range strings.SplitSeq(command.Flags().Lookup("output").Value.Type(), "|") {
				commands = append(commands, append(args, "--output", output))
			}
		}
	}
	for _, args := range commands {
		for _, c := range []struct {
			err  error
			code int
			want string
		}{
			{syscall.EPIPE, exitOK, ""},
			{syscall.ENOSPC, exitFailure, "groups-exporter: write /dev/stdout: no space left on device\n"},
		} {
			var errOut bytes.Buffer
			code := run(t.Context(), args, environment, nil, strings.NewReader("ada\n"), failingOutput{c.err}, &errOut)
			if code != c.code || errOut.String() != c.want {
				t.Errorf("%q, %v: exit code %d, error %q", args, c.err, code, &errOut)
			}
		}
	}
}

// stuckPipe is an output whose reader doesn't read.
type stuckPipe struct{ entered chan struct{} }

func (p stuckPipe) Write([]byte) (int, error) {
	close(p.entered)
	select {}
}

func TestAStuckPipeCanBeInterrupted(t *testing.T) {
	environment := hubWith(t, fakehub.User{Name: "ada"})
	for _, command := range [][]string{{"dump"}, {"groups"}, {"escape", "ada"}} {
		ctx, cancel := context.WithCancel(t.Context())
		pipe := stuckPipe{make(chan struct{})}
		go func() { <-pipe.entered; cancel() }()
		var errOut bytes.Buffer
		code := run(ctx, command, environment, nil, strings.NewReader(""), pipe, &errOut)
		if code != exitFailure || errOut.String() != "groups-exporter: interrupted\n" {
			t.Errorf("%s: exit code %d, error %q", command, code, &errOut)
		}
	}
}

func TestSpreadAllowedGroups(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"serve --allowed_groups a b --port 1", "serve --allowed-groups=a --allowed-groups=b --port 1"},
		{"serve --allowed_groups --port 1", "serve --port 1"},
		{"serve --port 1 --allowed_groups", "serve --port 1"},
		{"serve --allowed_groups=a b", "serve --allowed_groups=a b"},
		{"serve --allowed-groups a -- b", "serve --allowed-groups=a -- b"},
		{"escape -- --allowed_groups a", "escape -- --allowed_groups a"},
		{"escape a b", "escape a b"},
	} {
		if diff := cmp.Diff(strings.Fields(c.want), spreadAllowedGroups(strings.Fields(c.args))); diff != "" {
			t.Errorf("%s: %s", c.args, diff)
		}
	}
}

// A flag is stronger than its own variable, that is stronger than the hub's variables, and those are stronger than
// the defaults.
func TestServeOptions(t *testing.T) {
	for _, c := range []struct {
		what, args, environment string
		want                    func(o serveOptions) bool
	}{
		{"defaults", "", "", func(o serveOptions) bool {
			return fmt.Sprint(o.web.addresses) == "[:8100]" && o.web.routePrefix == "/services/groups-exporter/" && o.web.telemetryPath == "/metrics" &&
				o.schedules.schedule(o.schedules.hub) == exporter.Schedule{Interval: 5 * time.Minute, MaxStaleness: time.Hour} && o.usage.reader == nil && o.hub.namespace == "default" && o.hub.timeout == 30*time.Second &&
				o.hub.rules.MultiGroup == membership.Each
		}},
		{"staleness follows the interval", "--refresh-interval 1h", "", func(o serveOptions) bool { return o.schedules.schedule(o.schedules.hub).MaxStaleness == 3*time.Hour }},
		{"a hub's environment", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:9000/x JUPYTERHUB_SERVICE_PREFIX=/b/services/n/ NAMESPACE=ns", func(o serveOptions) bool {
			return fmt.Sprint(o.web.addresses) == "[127.0.0.1:9000]" && o.web.routePrefix == "/b/services/n/" && o.hub.namespace == "ns"
		}},
		{"a service that anybody reaches", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:9000/ JUPYTERHUB_SERVICE_NAME=n", func(o serveOptions) bool {
			return o.web.auth == authHub && slices.Equal(o.web.enough, []string{"access:services", "access:services!service=n", "read:metrics"})
		}},
		{"the same at an address that can't be listened on", "", "JUPYTERHUB_SERVICE_URL=https://svc.example/", func(o serveOptions) bool { return o.web.auth == authHub && fmt.Sprint(o.web.addresses) == "[:8100]" }},
		{"at one with a name in it", "", "JUPYTERHUB_SERVICE_URL=http://user@127.0.0.1:9000/", func(o serveOptions) bool { return o.web.auth == authHub }},
		{"at one that is none", "", "JUPYTERHUB_SERVICE_URL=http://%zz", func(o serveOptions) bool { return o.web.auth == authHub }},
		{"a service without a url", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:0/", func(o serveOptions) bool { return o.web.auth == authNone }},
		{"beside a hub", "--auth hub --auth-scope read:hub", "", func(o serveOptions) bool {
			return slices.Equal(o.web.enough, []string{"access:services", "access:services!service=groups-exporter", "read:metrics", "read:hub"})
		}},
		{"a service without an address", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:0/", func(o serveOptions) bool { return fmt.Sprint(o.web.addresses) == "[:8100]" }},
		{"flags are stronger", "--web.listen-address :1 --web.route-prefix /p --namespace n", "JUPYTERHUB_SERVICE_URL=http://h:2 JUPYTERHUB_SERVICE_PREFIX=/q NAMESPACE=m", func(o serveOptions) bool {
			return fmt.Sprint(o.web.addresses) == "[:1]" && o.web.routePrefix == "/p" && o.hub.namespace == "n"
		}},
		{"several addresses", "--web.listen-address= --web.listen-address :1 --web.listen-address unix:/run//x.sock", "", func(o serveOptions) bool {
			return slices.Equal(o.web.addresses, []listenAddress{{"tcp", ":1"}, {"unix", "/run/x.sock"}})
		}},
		{"several addresses of a variable", "", "GROUPS_EXPORTER_WEB_LISTEN_ADDRESS=:1|unix:///run/x.sock", func(o serveOptions) bool {
			return slices.Equal(o.web.addresses, []listenAddress{{"tcp", ":1"}, {"unix", "/run/x.sock"}})
		}},
		{"a hub on a Unix socket", "", "JUPYTERHUB_API_URL=http+unix://%2Frun%2Fhub.sock/hub/api", func(o serveOptions) bool {
			return o.hub.api.String() == "http+unix://%2Frun%2Fhub.sock/hub/api"
		}},
		{"Kubernetes", "", "JUPYTERHUB_API_URL= HUB_SERVICE_HOST=10.0.0.1 HUB_SERVICE_PORT=8081", func(o serveOptions) bool { return o.hub.api.String() == "http://10.0.0.1:8081/hub/api" }},
		{"Kubernetes with IPv6", "", "JUPYTERHUB_API_URL= HUB_SERVICE_HOST=fd00::1", func(o serveOptions) bool { return o.hub.api.String() == "http://[fd00::1]:8081/hub/api" }},
		{"the Prometheus of the Python exporter", "--prometheus_host support --prometheus_port 80 --update_metrics_interval 15 --update_dirsize_interval 7200", "", func(o serveOptions) bool {
			return o.usage.prometheus.address == "http://support:80" && o.schedules.usage == 15*time.Second && o.schedules.homeDirs == 2*time.Hour &&
				o.usage.attribution == usage.Full && o.schedules.schedule(o.schedules.homeDirs).MaxStaleness == 6*time.Hour && len(o.python.warnings()) == 0
		}},
		{"its port and host have defaults", "--prometheus_port 80", "", func(o serveOptions) bool { return o.usage.prometheus.address == "http://localhost:80" }},
		{"as its chart renders them, unset", "--prometheus_host= --prometheus_port= --update_metrics_interval 15", "", func(o serveOptions) bool {
			return o.usage.reader == nil && len(o.python.warnings()) == 1
		}},
		{"ours are stronger", "--prometheus-url https://p/x --usage-interval 30s --prometheus_host h --update_metrics_interval 15", "", func(o serveOptions) bool {
			return o.usage.prometheus.address == "https://p/x" && o.schedules.usage == 30*time.Second && o.schedules.homeDirs == time.Hour
		}},
		{"variables of flags are stronger than the hub's", "", "GROUPS_EXPORTER_WEB_LISTEN_ADDRESS=:1 GROUPS_EXPORTER_WEB_ROUTE_PREFIX=/p GROUPS_EXPORTER_NAMESPACE=n GROUPS_EXPORTER_HUB_URL=http://h GROUPS_EXPORTER_METRICS_PREFIX=p " +
			"JUPYTERHUB_SERVICE_URL=http://h:2 JUPYTERHUB_SERVICE_PREFIX=/q NAMESPACE=m JUPYTERHUB_METRICS_PREFIX=q", func(o serveOptions) bool {
			return fmt.Sprint(o.web.addresses) == "[:1]" && o.web.routePrefix == "/p" && o.hub.namespace == "n" && o.hub.api.Host == "h" && o.publish.prefix.value == "p" && o.web.auth == authHub
		}},
		{"flags are stronger than their variables, whatever those say", "--refresh-interval 1m --namespace n --allow-group a --with share --web.enable-pprof=false --max-series 7",
			"GROUPS_EXPORTER_REFRESH_INTERVAL=soon GROUPS_EXPORTER_NAMESPACE=m GROUPS_EXPORTER_ALLOW_GROUP=b GROUPS_EXPORTER_WITH=activity GROUPS_EXPORTER_WEB_ENABLE_PPROF=true GROUPS_EXPORTER_MAX_SERIES=x", func(o serveOptions) bool {
				return o.schedules.hub == time.Minute && o.hub.namespace == "n" && slices.Equal(o.hub.rules.Allow, []string{"a"}) && slices.Equal(o.publish.with, []extra{withShare}) && !o.web.pprof && o.publish.maxSeries == 7
			}},
		{"so are the Python exporter's", "--port 9 --double_count true --hub_api_token t2 --prometheus_host h --prometheus_port 80 --update_metrics_interval 15 --update_dirsize_interval 7200 --allowed_groups=a --update_info_interval 60",
			"GROUPS_EXPORTER_WEB_LISTEN_ADDRESS=:1 GROUPS_EXPORTER_MULTI_GROUP=each GROUPS_EXPORTER_HUB_TOKEN_FILE=/nonexistent GROUPS_EXPORTER_PROMETHEUS_URL=http://p GROUPS_EXPORTER_USAGE_INTERVAL=30s GROUPS_EXPORTER_USAGE_HOME_DIR_INTERVAL=3h GROUPS_EXPORTER_ALLOW_GROUP=b GROUPS_EXPORTER_REFRESH_INTERVAL=2m", func(o serveOptions) bool {
				return fmt.Sprint(o.web.addresses) == "[:9]" && o.hub.rules.MultiGroup == membership.Both && o.hub.token.Reveal() == "t2" && o.usage.prometheus.address == "http://h:80" &&
					o.schedules.usage == 15*time.Second && o.schedules.homeDirs == 2*time.Hour && slices.Equal(o.hub.rules.Allow, []string{"a"}) && o.schedules.hub == time.Minute
			}},
		{"but not where its chart renders them unset", "--prometheus_host= --prometheus_port=", "GROUPS_EXPORTER_PROMETHEUS_URL=http://p", func(o serveOptions) bool { return o.usage.prometheus.address == "http://p" }},
		{"the Python exporter's have no variables", "", "GROUPS_EXPORTER_PORT=tcp://10.0.0.1:8100 GROUPS_EXPORTER_HUB_API_TOKEN=t2 GROUPS_EXPORTER_PROMETHEUS_PORT=tcp://10.0.0.1:9090 GROUPS_EXPORTER_PROMETHEUS_HOST=h GROUPS_EXPORTER_DOUBLE_COUNT=true", func(o serveOptions) bool {
			return fmt.Sprint(o.web.addresses) == "[:8100]" && o.hub.token.Reveal() == "t" && o.usage.reader == nil && o.hub.rules.MultiGroup == membership.Each
		}},
		{"the token's flag of the Python exporter", "--hub_api_token t2", "", func(o serveOptions) bool { return o.hub.token.Reveal() == "t2" && o.python.tokenOnLine }},
	} {
		t.Run(c.what, func(t *testing.T) {
			environment := map[string]string{"JUPYTERHUB_API_URL": "http://hub", "JUPYTERHUB_API_TOKEN": "t"}
			for pair := range strings.FieldsSeq(c.environment) {
				name, value, _ := strings.Cut(pair, "=")
				environment[name] = strings.ReplaceAll(value, "|", "\n")
			}
			var o serveOptions
			cmd := &cobra.Command{}
			cmd.SetGlobalNormalizationFunc(normalizeFlag)
			o.addFlags(cmd)
			if err := cmd.ParseFlags(strings.Fields(c.args)); err != nil {
				t.Fatal(err)
			}
			getenv := func(name string) string { return environment[name] }
			if err := setFlags(cmd.Flags(), cmd.Flags(), getenv); err != nil {
				t.Fatal(err)
			}
			if err := o.complete(getenv); err != nil {
				t.Fatal(err)
			}
			if !c.want(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

// What refuses a question about a caller, and isn't the hub, locks nobody out who was let in.
func TestAMeshThatRefusesLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakehub.Hub{}
		h.Grant("prometheus", "read:metrics")
		mesh := false
		client := hub.New(hub.Options{API: &url.URL{Scheme: "http", Host: "hub.test", Path: "/hub/api"}, Timeout: time.Minute, Transport: roundTrip(func(r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); mesh {
				w = httptest.NewRecorder()
				http.Error(w, "RBAC: access denied", http.StatusForbidden)
			}
			return w.Result()
		})})
		var log bytes.Buffer
		check := (&webOptions{enough: []string{"read:metrics"}}).checkToken(client, time.Hour, slog.New(slog.NewTextHandler(&log, nil)))
		status := func(token string) int {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			if refusal := check(r); refusal != nil {
				return refusal.Status
			}
			return http.StatusOK
		}
		if known, unknown := status("prometheus"), status("nobody"); known != http.StatusOK || unknown != http.StatusUnauthorized {
			t.Errorf("at first: %d and %d", known, unknown)
		}
		mesh = true
		time.Sleep(30 * time.Minute)
		if known, unknown := status("prometheus"), status("nobody"); known != http.StatusOK || unknown != http.StatusServiceUnavailable {
			t.Errorf("while the mesh refuses: %d and %d", known, unknown)
		}
		if !strings.Contains(log.String(), "answered 403 Forbidden: RBAC: access denied") {
			t.Errorf("log: %s", &log)
		}
		mesh = false
		h.Revoke("prometheus")
		if known := status("prometheus"); known != http.StatusUnauthorized {
			t.Errorf("when the hub refuses it: %d", known)
		}
	})
}

// roundTrip answers requests without a network.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// Whoever prints the options, in a log or a panic, prints no secret.
func TestNoSecretIsFormatted(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"token": "hunter-file", "prometheus.yml": "basic_auth: {username: ada, password: hunter2}", "web.yml": "basic_auth_users: {ada: $2a$04$8tLgszoIUBvUr0mkI8ihduZLiv93EAZS2xwAeDQlIYo8VOylsCIPa}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{
		"--hub_api_token hunter-line",
		"--hub-token-file " + dir + "/token",
		"--prometheus-url http://p --prometheus.config.file " + dir + "/prometheus.yml --web.config.file " + dir + "/web.yml",
	} {
		var o serveOptions
		cmd := &cobra.Command{}
		cmd.SetGlobalNormalizationFunc(normalizeFlag)
		o.addFlags(cmd)
		if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		environment := map[string]string{"JUPYTERHUB_API_URL": "http://hub", "JUPYTERHUB_API_TOKEN": "hunter-env"}
		if err := o.complete(func(name string) string { return environment[name] }); err != nil {
			t.Fatal(err)
		}
		e := o.exporter(slog.New(slog.DiscardHandler))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(verb+verb+verb, o, o.hub.client(), e)
			if strings.Contains(text, "hunter") || strings.Contains(text, "8tLgsz") {
				t.Errorf("%s with %s shows a secret: %s", args, verb, text)
			}
		}
	}
}

// exporter-toolkit logs what is wrong in its configuration in the words of YAML, which quote it. Quotes in other
// errors stay.
func TestTheLogOfTheToolkitHidesQuotes(t *testing.T) {
	for _, format := range []logFormat{logfmtFormat, jsonFormat} {
		var log bytes.Buffer
		o := &logOptions{format: format}
		logger := o.logger(&log, new(secrets).redact)
		toolkit := o.toolkitLogger(&log, new(secrets).redact)
		toolkit.Info("TLS is disabled.")
		toolkit.Error("unable to parse", "err", "line 2: cannot unmarshal !!str `a hunter2` into map")
		toolkit.Error("unable to parse", "err", errors.New("line 2: `hunter3`"))
		if text := log.String(); strings.Contains(text, "hunter") || strings.Contains(text, "TLS") || strings.Count(text, "a value") != 2 {
			t.Errorf("%s: %s", format, text)
		}
		log.Reset()
		logger.Error("refresh failed", "err", errors.New("the hub answered 302 Found to http://x/`y`"))
		if !strings.Contains(log.String(), "http://x/`y`") {
			t.Errorf("%s: an address is cut: %s", format, &log)
		}
	}
}
