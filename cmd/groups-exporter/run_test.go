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

	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// failingOutput is a standard output that takes nothing.
type failingOutput struct{ err error }

func (o failingOutput) Write([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: o.err}
}

// Whatever a command prints: a reader that has seen enough is no failure, and a disk
// that is full is one, said once.
func TestEveryCommandNoticesThatItsOutputFails(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada"})
	h.Grant("x", "list:users", "read:users:groups")
	server := httptest.NewServer(h)
	defer server.Close()
	environment := func(name string) string {
		return map[string]string{"JUPYTERHUB_API_URL": server.URL, "JUPYTERHUB_API_TOKEN": "x"}[name]
	}
	commands := [][]string{{"--version"}, {"--help"}, {"help", "dump"}, {"completion", "bash"}, {"__complete", "rules", ""}}
	for _, command := range newRootCommand(environment).Commands() {
		args := []string{command.Name()}
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
			{syscall.ENOSPC, exitWorld, "groups-exporter: write /dev/stdout: no space left on device\n"},
		} {
			var errOut bytes.Buffer
			code := run(t.Context(), args, environment, strings.NewReader("ada\n"), failingOutput{c.err}, &errOut)
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
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada"})
	h.Grant("x", "list:users", "read:users:groups")
	server := httptest.NewServer(h)
	defer server.Close()
	environment := func(name string) string {
		return map[string]string{"JUPYTERHUB_API_URL": server.URL, "JUPYTERHUB_API_TOKEN": "x"}[name]
	}
	for _, command := range [][]string{{"dump"}, {"groups"}, {"escape", "ada"}} {
		ctx, cancel := context.WithCancel(t.Context())
		pipe := stuckPipe{make(chan struct{})}
		go func() { <-pipe.entered; cancel() }()
		var errOut bytes.Buffer
		code := run(ctx, command, environment, strings.NewReader(""), pipe, &errOut)
		if code != exitWorld || errOut.String() != "groups-exporter: interrupted\n" {
			t.Errorf("%s: exit code %d, error %q", command, code, &errOut)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	var out bytes.Buffer
	say(&out, "open a\nb\x1b[31m: no such file", "look\there")
	const want = "groups-exporter: open a\\nb\\x1b[31m: no such file\ngroups-exporter: hint: look\\there\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
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

// What is not said by a flag comes from the environment, then from the defaults.
func TestServeOptions(t *testing.T) {
	for _, c := range []struct {
		what, args, environment string
		want                    func(o serveOptions) bool
	}{
		{"defaults", "", "", func(o serveOptions) bool {
			return o.web.listenAddress == ":8100" && o.web.routePrefix == "/services/groups-exporter/" && o.web.telemetryPath == "/metrics" &&
				o.interval == 5*time.Minute && o.staleness(o.interval) == time.Hour && o.usage.client == nil && o.hub.namespace == "default" && o.hub.timeout == 30*time.Second &&
				o.hub.rules.MultiGroup == membership.Each
		}},
		{"staleness follows the interval", "--refresh-interval 1h", "", func(o serveOptions) bool { return o.staleness(o.interval) == 3*time.Hour }},
		{"a hub's environment", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:9000/x JUPYTERHUB_SERVICE_PREFIX=/b/services/n/ NAMESPACE=ns", func(o serveOptions) bool {
			return o.web.listenAddress == "127.0.0.1:9000" && o.web.routePrefix == "/b/services/n/" && o.hub.namespace == "ns"
		}},
		{"a service that anybody reaches", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:9000/ JUPYTERHUB_SERVICE_NAME=n", func(o serveOptions) bool {
			return o.web.auth == authHub && slices.Equal(o.web.enough, []string{"access:services", "access:services!service=n", "read:metrics"})
		}},
		{"the same at an address that can't be listened on", "", "JUPYTERHUB_SERVICE_URL=https://svc.example/", func(o serveOptions) bool { return o.web.auth == authHub && o.web.listenAddress == ":8100" }},
		{"at one with a name in it", "", "JUPYTERHUB_SERVICE_URL=http://user@127.0.0.1:9000/", func(o serveOptions) bool { return o.web.auth == authHub }},
		{"at one that is none", "", "JUPYTERHUB_SERVICE_URL=http://%zz", func(o serveOptions) bool { return o.web.auth == authHub }},
		{"a service without a url", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:0/", func(o serveOptions) bool { return o.web.auth == authNone }},
		{"beside a hub", "--auth hub --auth-scope read:hub", "", func(o serveOptions) bool {
			return slices.Equal(o.web.enough, []string{"access:services", "access:services!service=groups-exporter", "read:metrics", "read:hub"})
		}},
		{"a service without an address", "", "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:0/", func(o serveOptions) bool { return o.web.listenAddress == ":8100" }},
		{"flags are stronger", "--web.listen-address :1 --web.route-prefix /p --namespace n", "JUPYTERHUB_SERVICE_URL=http://h:2 JUPYTERHUB_SERVICE_PREFIX=/q NAMESPACE=m", func(o serveOptions) bool {
			return o.web.listenAddress == ":1" && o.web.routePrefix == "/p" && o.hub.namespace == "n"
		}},
		{"Kubernetes", "", "JUPYTERHUB_API_URL= HUB_SERVICE_HOST=10.0.0.1 HUB_SERVICE_PORT=8081", func(o serveOptions) bool { return o.hub.api.String() == "http://10.0.0.1:8081/hub/api" }},
		{"Kubernetes with IPv6", "", "JUPYTERHUB_API_URL= HUB_SERVICE_HOST=fd00::1", func(o serveOptions) bool { return o.hub.api.String() == "http://[fd00::1]:8081/hub/api" }},
		{"the Prometheus of the Python exporter", "--prometheus_host support --prometheus_port 80 --update_metrics_interval 15 --update_dirsize_interval 7200", "", func(o serveOptions) bool {
			return o.usage.prometheus.address == "http://support:80" && o.usage.interval == 15*time.Second && o.usage.homeDirInterval == 2*time.Hour &&
				o.usage.attribution == usage.Full && o.staleness(o.usage.homeDirInterval) == 6*time.Hour && len(o.python.warnings()) == 0
		}},
		{"its port and host have defaults", "--prometheus_port 80", "", func(o serveOptions) bool { return o.usage.prometheus.address == "http://localhost:80" }},
		{"as its chart renders them, unset", "--prometheus_host= --prometheus_port= --update_metrics_interval 15", "", func(o serveOptions) bool {
			return o.usage.client == nil && len(o.python.warnings()) == 1
		}},
		{"ours are stronger", "--prometheus-url https://p/x --usage-interval 30s --prometheus_host h --update_metrics_interval 15", "", func(o serveOptions) bool {
			return o.usage.prometheus.address == "https://p/x" && o.usage.interval == 30*time.Second && o.usage.homeDirInterval == time.Hour
		}},
		{"the token's flag of the Python exporter", "--hub_api_token t2", "", func(o serveOptions) bool { return o.hub.token.Reveal() == "t2" && o.python.tokenOnLine }},
	} {
		t.Run(c.what, func(t *testing.T) {
			environment := map[string]string{"JUPYTERHUB_API_URL": "http://hub", "JUPYTERHUB_API_TOKEN": "t"}
			for pair := range strings.FieldsSeq(c.environment) {
				name, value, _ := strings.Cut(pair, "=")
				environment[name] = value
			}
			var o serveOptions
			cmd := &cobra.Command{}
			cmd.SetGlobalNormalizationFunc(normalizeFlag)
			o.addFlags(cmd)
			if err := cmd.ParseFlags(strings.Fields(c.args)); err != nil {
				t.Fatal(err)
			}
			if err := o.complete(func(name string) string { return environment[name] }); err != nil {
				t.Fatal(err)
			}
			if !c.want(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

// refresher is an exporter of a made-up hub, which refreshes when it is told to.
type refresher struct {
	*exporter
	t   *testing.T
	log bytes.Buffer
}

func newRefresher(t *testing.T, h *fakehub.Hub) *refresher {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	api, err := hub.APIURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	e := &refresher{t: t}
	e.exporter = newExporter(serveOptions{
		publish: publishOptions{maxSeries: 100},
		hub:     hubOptions{api: api, token: hub.NewToken("x"), namespace: "n", timeout: time.Minute},
	}, slog.New(slog.NewTextHandler(&e.log, nil)))
	return e
}

// published refreshes, and returns the page.
func (e *refresher) published() *exposition.Page {
	e.t.Helper()
	snapshot, err := e.refresh(e.t.Context())
	if err == nil {
		_, err = e.replace(snapshot)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return e.state().Page
}

// A list that changes whenever it is read is published, and counted.
func TestAnInconsistentRefreshIsCounted(t *testing.T) {
	h := &fakehub.Hub{MaxLimit: 2}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		h.Update(func(users []fakehub.User) []fakehub.User {
			return append(slices.Clone(users), fakehub.User{Name: name})
		})
	}
	h.Grant("x", "list:users", "read:users:groups")
	h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("offset") == "2" {
			h.Update(func(users []fakehub.User) []fakehub.User { return slices.Clone(users[1:]) })
		}
		return false
	}
	e := newRefresher(t, h)
	if page := e.published(); page == nil || !strings.Contains(e.log.String(), "somebody may be missing") {
		t.Errorf("page %v, log %s", page, &e.log)
	}
	var told strings.Builder
	if _, err := e.state().Self.WriteTo(&told); err != nil {
		t.Fatal(err)
	}
	if want := "\ngroups_exporter_inconsistent_refreshes_total{namespace=\"n\"} 1\n"; !strings.Contains(told.String(), want) {
		t.Errorf("no %s in\n%s", want, &told)
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
		if !strings.Contains(log.String(), "something in between says 403 Forbidden: RBAC: access denied") {
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

// A hub of which the token shows a part is published and says so, or isn't published.
func TestAPartOfTheHub(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio", "chem"}}, fakehub.User{Name: "bob", Groups: []string{"bio"}})
	h.Grant("x", "list:users!group=chem", "read:users:groups")
	e := newRefresher(t, h)
	check := func(when string, partial int) {
		t.Helper()
		page := e.published()
		var self strings.Builder
		if _, err := e.state().Self.WriteTo(&self); err != nil || page == nil {
			t.Fatal(page, err)
		}
		if want := fmt.Sprintf("\ngroups_exporter_hub_partial{namespace=\"n\"} %d\n", partial); !strings.Contains(self.String(), want) {
			t.Errorf("%s: no %s in\n%s", when, want, &self)
		}
	}
	check("at first", 1)
	check("again", 1)
	if n := strings.Count(e.log.String(), "cover a part of the hub only"); n != 1 || !strings.Contains(e.log.String(), "list:users!group=chem") {
		t.Errorf("it is logged %d times: %s", n, &e.log)
	}
	h.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		broken := strings.HasSuffix(r.URL.Path, "/user")
		if broken {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return broken
	}
	check("while the scopes can't be read", 1)
	e.source.whole = true
	if _, err := e.refresh(t.Context()); reasonOf(err) != string(hub.Status) {
		t.Errorf("while the scopes can't be read: %v", err)
	}
	h.Intercept = nil
	_, err := e.refresh(t.Context())
	if hubErr, ok := errors.AsType[*hub.Error](err); !ok || reasonOf(err) != string(hub.Scope) || !slices.Equal(hubErr.Filtered, []string{"list:users!group=chem"}) {
		t.Errorf("got %v", err)
	}
	h.Grant("x", "list:users", "read:users:groups")
	check("with the whole hub", 0)
}

// What Prometheus told is published while there are memberships to join it to, each
// resource on its own.
func TestUsageComesAndGoes(t *testing.T) {
	e := newExporter(serveOptions{
		publish: publishOptions{maxSeries: 4},
		hub:     hubOptions{api: &url.URL{}, namespace: "n"},
		usage:   usageOptions{client: &usage.Client{}, attribution: usage.Full},
	}, slog.New(slog.DiscardHandler))
	check := func(when string, want ...string) {
		t.Helper()
		var page bytes.Buffer
		if _, err := e.state().Page.WriteTo(&page); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(page.String()) {
			if name, _, isSample := strings.Cut(line, "{"); isSample {
				got = append(got, strings.TrimPrefix(name, "jupyterhub_"))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	hubTells := func() {
		t.Helper()
		listing := membership.NewListing(time.Now(), membership.User{Name: "ada", Groups: []string{"bio"}})
		if _, err := e.replace(membership.New("n", listing, membership.Rules{})); err != nil {
			t.Fatal(err)
		}
	}
	prometheusTells := func(resource metrics.Resource) {
		t.Helper()
		if _, err := e.replaceUsage(&usage.Answer{Resource: resource, Values: map[string]float64{"ada": 1}}); err != nil {
			t.Fatal(err)
		}
	}
	prometheusTells(metrics.CPU)
	check("before the hub's first answer")
	hubTells()
	check("with it", "group_members", "user_group_info", "user_group_cpu_seconds")
	prometheusTells(metrics.HomeDir)
	// One series more than may be is not published, and leaves the others alone.
	var tooMany exposition.TooManySeries
	if _, err := e.replaceUsage(&usage.Answer{Resource: metrics.Memory, Values: map[string]float64{"ada": 1}}); !errors.As(err, &tooMany) {
		t.Errorf("more series than may be: %v", err)
	}
	check("at the limit", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_cpu_seconds")
	// Memberships go first, also where Prometheus told all that there is room for.
	e.publish.maxSeries = 1
	if _, err := e.replace(membership.New("n", membership.NewListing(time.Now(), membership.User{Name: "ada"}), membership.Rules{})); !errors.As(err, &tooMany) {
		t.Errorf("more memberships than may be: %v", err)
	}
	e.publish.maxSeries = 100
	prometheusTells(metrics.CPU)
	check("after a refresh that was refused, with what was told before it", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_cpu_seconds")
	e.publish.maxSeries = 2
	hubTells()
	check("with room for memberships alone", "group_members", "user_group_info")
	e.publish.maxSeries = 100
	hubTells()
	prometheusTells(metrics.HomeDir)
	prometheusTells(metrics.CPU)
	prometheusTells(metrics.Memory)
	check("with more", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_memory_bytes", "user_group_cpu_seconds")
	e.dropUsage(metrics.CPU)
	check("without what is too old", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_memory_bytes")
	e.drop()
	prometheusTells(metrics.CPU)
	check("without memberships")
	hubTells()
	e.dropUsage(metrics.HomeDir)
	check("again", "group_members", "user_group_info", "user_group_memory_bytes", "user_group_cpu_seconds")
}

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
		e := newExporter(o, slog.New(slog.DiscardHandler))
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			text := fmt.Sprintf(verb+verb+verb, o, o.hub.source(hub.Options{}), e.source)
			if strings.Contains(text, "hunter") || strings.Contains(text, "8tLgsz") {
				t.Errorf("%s with %s shows a secret: %s", args, verb, text)
			}
		}
	}
}

// A library logs what is wrong in a configuration in YAML's words, which quote it.
func TestTheLogHidesWhatIsQuoted(t *testing.T) {
	for _, format := range []logFormat{logfmtFormat, jsonFormat} {
		var log bytes.Buffer
		logger := (&logOptions{format: format}).logger(&log, new(secrets).redact)
		logger.Error("unable to parse", "err", "line 2: cannot unmarshal !!str `a hunter2` into map")
		logger.Error("unable to parse", "err", errors.New("line 2: `hunter3`"))
		if strings.Contains(log.String(), "hunter") || strings.Count(log.String(), "a value") != 2 {
			t.Errorf("%s: %s", format, &log)
		}
	}
}
