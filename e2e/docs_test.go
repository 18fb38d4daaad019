//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/pages"
)

// Environment variables for the test inside the sandbox.
const (
	sandboxPage     = "E2E_DOCS_PAGE"
	sandboxWay      = "E2E_DOCS_WAY"
	sandboxCheckout = "E2E_DOCS_CHECKOUT"

	prometheusConfig = "/etc/prometheus/prometheus.yml"
)

// installing returns the pages that start without the program. The others assume that it is installed.
func installing() []string { return []string{"README.md", "CONTRIBUTING.md", "docs/how-to/install.md"} }

// TestDocs follows the instructions of each page in order. It runs as root in a sandbox with its own mounts, network and
// processes, where a hub and a Prometheus use their default ports. The test binary runs itself in the sandbox, once per
// page. If a page has alternatives, each starts in a clean sandbox.
func TestDocs(t *testing.T) {
	t.Parallel()
	all, err := pages.All(os.DirFS(".."))
	noError(t, err)
	if name := os.Getenv(sandboxPage); name != "" {
		i := slices.IndexFunc(all, func(page *pages.Page) bool { return page.Name == name })
		readInSandbox(t, all[i], os.Getenv(sandboxWay))
		return
	}
	checkout := filepath.Join(t.TempDir(), "groups-exporter")
	output(t, "..", "git", "clone", "--quiet", ".", checkout)
	output(t, checkout, "go", "list", "-deps", "-test", "./...") // the sandbox has no network
	env := append(os.Environ(), "GOPROXY=off",
		"GOFLAGS=-buildvcs=false -trimpath", // with which clones in different folders share what they compile
		"GOCACHE="+output(t, "..", "go", "env", "GOCACHE"), "GOMODCACHE="+output(t, "..", "go", "env", "GOMODCACHE"))
	for _, page := range all {
		if !page.Executed() || page.Name == kubernetesPage {
			continue
		}
		for way, walk := range page.Walks() {
			if !slices.ContainsFunc(walk, func(b pages.Block) bool {
				return b.Way == way && b.NotRun == "" && slices.Contains([]string{"sh", "python", "yaml", "ini"}, b.Info)
			}) {
				continue
			}
			hubs, prometheuses := versions[:1], prometheusVersions[:1]
			if configuresHub(walk) {
				hubs = versions // the configuration may differ by version
			}
			if needsPrometheus(walk) {
				prometheuses = prometheusVersions
			}
			for i := range max(len(hubs), len(prometheuses)) { // each version of both, but not all combinations
				hub, prometheus := hubs[i%len(hubs)], prometheuses[i%len(prometheuses)]
				t.Run(path.Join(page.Name, way, hub, "Prometheus "+prometheus), func(t *testing.T) {
					t.Parallel()
					own := filepath.Join(t.TempDir(), "groups-exporter")
					output(t, "..", "git", "clone", "--quiet", checkout, own)
					cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
						os.Args[0], "-test.run=^TestDocs$", "-test.v")
					cmd.Env = append(slices.Clone(env), sandboxPage+"="+page.Name, sandboxWay+"="+way, sandboxCheckout+"="+own,
						"E2E_HUBS="+hub, "E2E_PROMETHEUS_VERSIONS="+prometheus, "TMPDIR="+t.TempDir())
					if text, err := cmd.CombinedOutput(); err != nil || testing.Verbose() {
						t.Logf("%s", text)
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
	}
}

// configuresHub reports whether any block configures a hub.
func configuresHub(walk []pages.Block) bool {
	return slices.ContainsFunc(walk, func(b pages.Block) bool { return b.Info == "python" && b.NotRun == "" })
}

// output runs a command that must succeed, and returns its output.
func output(t *testing.T, dir string, command ...string) string {
	t.Helper()
	return outputOf(t, dir, os.Environ(), "", command...)
}

// outputOf is like output, with an environment and an input.
func outputOf(t *testing.T, dir string, env []string, stdin string, command ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = dir, env, strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// readers returns the users of the hub in the pages.
func readers() []user {
	return []user{{Name: "ada@uni.example", Groups: []string{"bio-lab", "chem"}}, {Name: "bob", Groups: []string{"bio-lab"}}, {Name: "dan"}}
}

// pageReader follows the instructions of one alternative of a page.
type pageReader struct {
	t     *testing.T
	page  *pages.Page
	walk  []pages.Block
	dir   string   // a checkout
	env   []string // environment of the shell
	state string   // file with the shell state between blocks
	bash  string   // shell output of the last block

	hub        *hub
	config     string // jupyterhub_config.py so far
	serving    *process
	prometheus *process
	signal     syscall.Signal // signal that stops serving
	codes      []int          // exit codes that serving may then end with
}

func readInSandbox(t *testing.T, page *pages.Page, way string) {
	home := t.TempDir()
	r := &pageReader{t: t, page: page, walk: page.Walks()[way], dir: os.Getenv(sandboxCheckout), state: filepath.Join(home, ".state")}
	r.mountFolders()
	r.env = []string{
		"HOME=" + home, "PATH=/usr/local/bin:" + prometheusPrefix + prometheusVersions[0] + ":" + os.Getenv("PATH"), "LANG=C.UTF-8",
		"GOCACHE=" + os.Getenv("GOCACHE"), "GOMODCACHE=" + os.Getenv("GOMODCACHE"), "GOPROXY=off", "GOFLAGS=" + os.Getenv("GOFLAGS"),
	}
	r.prepareHub()
	if !configuresHub(r.walk) && !slices.Contains(installing(), page.Name) {
		r.startHub()
	}
	r.startPrometheus()
	if page.Name == "docs/how-to/prometheus.md" {
		r.serve(pages.Block{Text: "groups-exporter serve"}) // target for Prometheus
	}
	if page.Name == "docs/how-to/textfile.md" {
		launch(t, "/", r.env, "prometheus-node-exporter", "--collector.textfile.directory=/var/lib/prometheus/node-exporter")
	}
	for _, b := range r.walk {
		r.read(b)
		if t.Failed() {
			break // later blocks depend on this one
		}
	}
	r.stopServing()
	if r.hub.process != nil {
		r.hub.stop()
	}
}

// mountFolders mounts private copies of the folders that a page may write to, and enables loopback.
func (r *pageReader) mountFolders() {
	r.t.Helper()
	output(r.t, "/", "ip", "link", "set", "lo", "up")
	scratch := r.t.TempDir()
	mount := func(source, target, kind, data string) {
		if err := syscall.Mount(source, target, kind, 0, data); err != nil {
			r.t.Fatalf("mounting %s: %v", target, err)
		}
	}
	mount("tmpfs", scratch, "tmpfs", "")
	r.t.Cleanup(func() { syscall.Unmount(scratch, syscall.MNT_DETACH) })
	for _, folder := range []string{"/etc", "/usr/local", "/var", "/home"} {
		upper := filepath.Join(scratch, strings.ReplaceAll(folder, "/", "_"))
		r.mkdir(upper, upper+".work")
		mount("overlay", folder, "overlay", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s.work", folder, upper, upper))
		r.t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	}
	name, err := os.Hostname()
	noError(r.t, err)
	r.write("/etc/hosts", "127.0.0.1 localhost prometheus "+name+"\n")
	r.mkdir("/etc/prometheus", "/etc/groups-exporter", "/etc/bash_completion.d", "/etc/systemd/system",
		"/var/lib/prometheus/node-exporter", "/home/ada-uni-example---5b41514d", "/home/bob")
	switch r.page.Name {
	case "docs/how-to/kubespawner7.md":
		noError(r.t, os.Rename("/home/ada-uni-example---5b41514d", "/home/ada-40uni-2eexample"))
	case "docs/how-to/homes.md":
		r.mkdir("/home/eve-40uni-2eexample")
	}
	os.Remove("/usr/local/bin/groups-exporter")
	if !slices.Contains(installing(), r.page.Name) {
		output(r.t, "/", "install", program, "/usr/local/bin/groups-exporter")
	}
}

func (r *pageReader) mkdir(names ...string) {
	r.t.Helper()
	for _, name := range names {
		noError(r.t, os.MkdirAll(name, 0o755))
	}
}

func (r *pageReader) write(name, text string) {
	r.t.Helper()
	writeFile(r.t, name, text, 0o644)
}

// prepareHub prepares a freshly installed hub without starting it.
func (r *pageReader) prepareHub() {
	r.hub = &hub{t: r.t, dir: r.t.TempDir(), python: hubPrefix + versions[0], version: versions[0], public: "http://127.0.0.1:8000/", api: "http://127.0.0.1:8081/hub/api"}
	r.config = fmt.Sprintf("c = get_config()\nc.JupyterHub.authenticator_class = 'dummy'\nc.JupyterHub.spawner_class = 'simple'\nc.ConfigurableHTTPProxy.command = [%q]\n", proxy)
	r.hub.load(readers())
	r.t.Cleanup(r.hub.sweep)
}

// startHub starts a hub with a token for the exporter, for pages that assume one.
func (r *pageReader) startHub() {
	r.t.Helper()
	r.write("/etc/groups-exporter.token", token(reader.name)+"\n")
	r.env = append(r.env, "JUPYTERHUB_API_URL=http://127.0.0.1:8081", "JUPYTERHUB_API_TOKEN="+token(reader.name))
	r.configure(fmt.Sprintf(`
c.JupyterHub.services = [{"name": "groups-exporter", "api_token": %q}]
c.JupyterHub.load_roles = [{"name": "groups-exporter", "scopes": ["list:users", "read:users:groups"], "services": ["groups-exporter"]}]
`, token(reader.name)))
}

// configure extends the configuration of the hub, and restarts it.
func (r *pageReader) configure(more string) {
	r.t.Helper()
	r.stopServing()
	if r.hub.process != nil {
		r.hub.stop()
	}
	r.config += more
	r.write(filepath.Join(r.hub.dir, "jupyterhub_config.py"), r.config)
	r.hub.startWith("jupyterhub_config.py")
	if strings.Contains(r.config[strings.LastIndex(r.config, "JupyterHub.services = "):], `"command"`) {
		r.hub.process.untilReady("http://127.0.0.1:8100")
	}
}

// needsPrometheus reports whether any block needs a Prometheus.
func needsPrometheus(walk []pages.Block) bool {
	return slices.ContainsFunc(walk, func(b pages.Block) bool {
		return strings.Contains(b.Text, "/etc/prometheus") || strings.Contains(b.Text, "//prometheus:")
	})
}

// startPrometheus starts a Prometheus with an empty configuration, and a second one that the page must not affect.
func (r *pageReader) startPrometheus() {
	r.t.Helper()
	if !needsPrometheus(r.walk) {
		return
	}
	program := prometheusPrefix + prometheusVersions[0] + "/prometheus"
	r.write(prometheusConfig, "scrape_configs: []\n")
	other := filepath.Join(r.t.TempDir(), "prometheus.yml")
	r.write(other, "scrape_configs: []\n")
	launch(r.t, r.t.TempDir(), r.env, program, "--config.file="+other, "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:9091")
	r.prometheus = launch(r.t, r.t.TempDir(), r.env, program, "--config.file="+prometheusConfig, "--storage.tsdb.path=data")
	r.prometheus.untilReady("http://127.0.0.1:9090")
}

// read executes a block.
func (r *pageReader) read(b pages.Block) {
	r.t.Helper()
	if b.NotRun != "" {
		r.t.Logf("line %d isn't run: %s", b.Line, b.NotRun)
		return
	}
	r.t.Logf("line %d: %s", b.Line, b.Info)
	if b.File != "" {
		text := b.Text
		if b.File == prometheusConfig {
			text = "global: {scrape_interval: 1s}\n" + text // so that the test needn't wait for a minute
		}
		r.write(b.File, text)
	}
	switch b.Info {
	case "sh":
		if regexp.MustCompile(`(?m)^[^#\n]*groups-exporter serve\b`).MatchString(b.Text) {
			r.serve(b)
		} else {
			r.run(b)
		}
	case "output":
		if !matches(b.Text, r.bash) {
			r.t.Errorf("%s:%d: got the output\n%s\nwant\n%s", r.page.Name, b.Line, r.bash, b.Text)
		}
	case "python":
		r.configure(b.Text)
	case "yaml":
		r.yaml(b)
	case "ini":
		r.ini(b)
	case "promql":
		r.query(b)
	}
}

// matches reports whether an output matches what a page shows. An ellipsis (…) matches any text within a line, or any
// lines if it is on a line of its own.
func matches(shown, text string) bool {
	pattern := regexp.QuoteMeta(strings.TrimSpace(shown))
	pattern = regexp.MustCompile(`(?m)^…$\n?`).ReplaceAllString(pattern, "(?s:.*)")
	return regexp.MustCompile("^" + strings.ReplaceAll(pattern, "…", ".*") + "$").MatchString(strings.TrimSpace(text))
}

// run executes a block of commands, in a shell with the state of the previous one.
func (r *pageReader) run(b pages.Block) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", r.script(b)+"\n{ export -p; printf 'cd %q\\n' \"$PWD\"; } > "+r.state)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, &out, &out
	err := cmd.Run()
	r.bash = out.String()
	if err != nil {
		r.t.Errorf("%s:%d: %v\n%s\n%s", r.page.Name, b.Line, err, b.Text, r.bash)
	}
}

func (r *pageReader) script(b pages.Block) string {
	return fmt.Sprintf("set -eo pipefail; [[ ! -e %[1]s ]] || . %[1]s\n%[2]s", r.state, b.Text)
}

// serve stops the previous server and starts a command that runs until it is stopped.
func (r *pageReader) serve(b pages.Block) {
	r.t.Helper()
	r.stopServing()
	address := "127.0.0.1:8100"
	if given := regexp.MustCompile(`--web\.listen-address[= ](\S+)`).FindStringSubmatch(b.Text); given != nil {
		address = given[1]
	}
	r.signal, r.codes = syscall.SIGTERM, []int{0}
	if strings.Contains(b.Text, "go run") {
		// Like Ctrl-C. The go command then ends with 1, or with the exit code of the program if that ends first.
		r.signal, r.codes = syscall.SIGINT, []int{0, 1}
	}
	// With the trap, the shell waits for its command and returns its exit code.
	r.serving = launch(r.t, r.dir, r.env, "bash", "-c", "trap : TERM INT\n"+r.script(b))
	r.t.Cleanup(r.stopServing)
	r.serving.untilReady("http://" + address)
}

func (r *pageReader) stopServing() {
	r.t.Helper()
	if r.serving == nil {
		return
	}
	syscall.Kill(-r.serving.cmd.Process.Pid, r.signal)
	select {
	case <-r.serving.done:
	case <-time.After(20 * time.Second):
	}
	if code := r.serving.stop(syscall.SIGKILL); !slices.Contains(r.codes, code) || !strings.Contains(r.serving.output(), "msg=stopped") {
		r.t.Errorf("%s: serve ended with %d\n%s", r.page.Name, code, r.serving.tail())
	}
	r.serving = nil
}

// yaml passes a block to the program that it configures, with the files that it names.
func (r *pageReader) yaml(b pages.Block) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "block.yml")
	r.write(file, b.Text)
	var command []string
	switch {
	case regexp.MustCompile(`(?m)^(scrape_configs|rule_files):`).MatchString(b.Text):
		command = []string{"promtool", "check", "config", file}
	case regexp.MustCompile(`(?m)^(basic_auth|authorization):`).MatchString(b.Text):
		command = []string{"groups-exporter", "dump", "--prometheus-url=http://prometheus:9090", "--prometheus.config.file=" + file}
	default:
		return // the tests of the package pages parse it
	}
	for _, named := range regexp.MustCompile(`_file: (/\S+)`).FindAllStringSubmatch(b.Text, -1) {
		text := "secret\n"
		if strings.HasSuffix(named[1], ".pem") {
			text = output(r.t, "/", "cat", "/etc/ssl/certs/ca-certificates.crt")
		}
		r.write(named[1], text)
	}
	r.run(pages.Block{Line: b.Line, Text: strings.Join(command, " ")})
}

// query checks that a query has a result, if the page has configured a Prometheus. Other tests cover the queries of
// other pages.
func (r *pageReader) query(b pages.Block) {
	r.t.Helper()
	if config, err := os.ReadFile(prometheusConfig); err != nil || !strings.Contains(string(config), "groups-exporter") {
		return
	}
	r.prometheus.until(fmt.Sprintf("there is an answer to line %d", b.Line), time.Minute, func() error {
		body, err := get("http://127.0.0.1:9090/api/v1/query?query=" + url.QueryEscape(b.Text))
		if err == nil && !strings.Contains(body, `"value":[`) {
			err = errors.New(body)
		}
		return err
	})
}

// ini verifies a systemd unit and runs its command, or checks an environment file.
func (r *pageReader) ini(b pages.Block) {
	r.t.Helper()
	if !strings.HasPrefix(b.Text, "[") {
		for line := range strings.Lines(b.Text) {
			if !regexp.MustCompile(`^[A-Z_]+=("[^"]*"|[^" ]*)\n$`).MatchString(line) {
				r.t.Errorf("%s:%d: not a line of an environment file: %s", r.page.Name, b.Line, line)
			}
		}
		return
	}
	// systemd-analyze only warns about unknown settings.
	r.run(pages.Block{Line: b.Line, Text: "systemd-analyze verify " + b.File})
	if strings.Contains(r.bash, b.File+":") {
		r.t.Errorf("%s:%d: %s", r.page.Name, b.Line, r.bash)
	}
	for _, start := range regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindAllStringSubmatch(b.Text, -1) {
		r.run(pages.Block{Line: b.Line, Text: start[1]})
	}
}

// Every path on the configuration page is served.
func TestDocsPaths(t *testing.T) {
	t.Parallel()
	exporter, address := serve(t, environment(), "--demo", "--web.enable-lifecycle", "--web.enable-pprof")
	exporter.untilReady(address)
	text := read(t, "../docs/reference/configuration.md")
	_, table, _ := strings.Cut(text, "\n## Paths\n")
	got := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(/[^`]*)` \\|").FindAllStringSubmatch(table, -1) {
		_, err := get(address + row[1])
		got[row[1]] = statusOf(err)
	}
	report(t, "paths", same(map[string]int{
		"/": 200, "/metrics": 200, "/services/groups-exporter/": 200, "/services/groups-exporter/metrics": 200,
		"/-/healthy": 200, "/-/ready": 200, "/-/reload": 405, "/debug/pprof/": 200,
	}, got))
}

// matches compares the output on a page with the real one.
func TestDocsMatch(t *testing.T) {
	for _, row := range []struct {
		shown, text string
		want        bool
	}{
		{"a\nb\n", "a\nb", true},
		{"a\n", "a\nb\n", false},
		{"a … c\n", "a b c\n", true},
		{"a…c\n", "a\nc\n", false},
		{"a\n…\nc\n", "a\nb\nb\nc\n", true},
		{"a.c\n", "abc\n", false},
	} {
		if matches(row.shown, row.text) != row.want {
			t.Errorf("matches(%q, %q): want %v", row.shown, row.text, row.want)
		}
	}
}
