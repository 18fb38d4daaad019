package chart_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

const hubToken, prometheusToken = "the-token-of-the-exporter", "the-token-of-prometheus"

// secrets maps the names of a namespace's secrets and config maps to their data.
type secrets map[string]map[string]string

// with returns the secrets together with the config maps of a release.
func (s secrets) with(release objects) secrets {
	with := maps.Clone(s)
	for _, c := range all[*corev1.ConfigMap](release) {
		with[c.Name] = c.Data
	}
	return with
}

// namespaceSecrets returns the secrets that the sets of values name.
func namespaceSecrets(t *testing.T) secrets {
	t.Helper()
	certificate, key := newCertificate(t)
	const web = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"
	files := map[string]string{"web.yml": web, "config.yml": web, "tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
	client := "authorization: {credentials_file: password}\n"
	return secrets{
		"hub": {
			"hub.services.groups-exporter.apiToken": hubToken, "hub.services.prometheus.apiToken": prometheusToken,
			"hub.services.jupyterhub-groups-exporter.apiToken": hubToken, "values.yaml": "all values of the hub",
		},
		"other-hub":              {"hub.services.who.apiToken": hubToken, "hub.services.prometheus.apiToken": prometheusToken},
		"prometheus":             {"token": prometheusToken},
		"groups-exporter-token":  {"api-token": hubToken + "\n"},
		"prometheus-credentials": {"config.yml": client, "client.yml": client, "password": "open sesame"},
		"groups-exporter-web":    files,
		"who-web":                files,
	}
}

// newCertificate returns a certificate and its key.
func newCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	encoded, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// command returns the command that a kubelet would run for a pod: with the pod's volumes below a temporary folder, with
// expanded arguments, and with only the pod's environment.
func command(t *testing.T, pod corev1.PodSpec, in secrets) *exec.Cmd {
	t.Helper()
	folder, c := t.TempDir(), pod.Containers[0]
	for _, mount := range c.VolumeMounts {
		at := filepath.Join(folder, mount.MountPath)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		volume := pod.Volumes[slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })]
		var secret map[string]string
		var items []corev1.KeyToPath
		switch {
		case volume.Secret != nil:
			secret, items = in[volume.Secret.SecretName], volume.Secret.Items
		case volume.ConfigMap != nil:
			secret = in[volume.ConfigMap.Name]
		default:
			continue
		}
		if items == nil {
			for key := range secret {
				items = append(items, corev1.KeyToPath{Key: key, Path: key})
			}
		}
		for _, item := range items {
			content, exists := secret[item.Key]
			if !exists {
				t.Fatalf("volume %q has no key %q", volume.Name, item.Key)
			}
			if err := os.WriteFile(filepath.Join(at, item.Path), []byte(content), 0o440); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.namespace" {
			env[e.Name] = namespace
		}
		cmd.Env = append(cmd.Env, e.Name+"="+env[e.Name])
	}
	for _, arg := range c.Args {
		arg = expand(arg, env)
		for _, mount := range c.VolumeMounts {
			arg = strings.Replace(arg, "="+mount.MountPath+"/", "="+folder+mount.MountPath+"/", 1)
		}
		cmd.Args = append(cmd.Args, arg)
	}
	return cmd
}

// expand expands an argument like Kubernetes: $$ becomes $, and $(NAME) the variable's value if the variable exists.
func expand(arg string, env map[string]string) string {
	return regexp.MustCompile(`\$\$|\$\([^)]*\)`).ReplaceAllStringFunc(arg, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, exists := env[found[2:len(found)-1]]; exists {
			return value
		}
		return found
	})
}

// surroundings are the hub and the Prometheus of a release, on one server.
type surroundings struct {
	fakehub.Hub
	url string

	mu            sync.Mutex
	authorization []string // of the requests to Prometheus
}

func newSurroundings(t *testing.T) *surroundings {
	t.Helper()
	s := &surroundings{}
	s.SetUsers(
		fakehub.User{Name: "ada", Groups: []string{"bio-lab", "course-1"}},
		fakehub.User{Name: "bob", Groups: []string{"$(NAMESPACE) & sons"}},
		fakehub.User{Name: "eve"})
	s.Grant(hubToken, "list:users", "read:users:groups", "list:groups", "read:users:activity", "read:servers")
	s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		isPrometheus := strings.HasPrefix(r.URL.Path, "/api/v1/")
		if isPrometheus {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.authorization = append(s.authorization, r.Header.Get("Authorization"))
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
		}
		return isPrometheus
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// run runs the pods of a release: first the one that checks, then the one that serves, until its probes succeed. The hub's
// base URL and the exporter's service are those of the pods' arguments.
func (s *surroundings) run(t *testing.T, release objects, in secrets) *running {
	t.Helper()
	p := pods(t, release)
	hub, err := url.Parse(flagOf(t, p["serve"].Spec, "hub-url"))
	if err != nil {
		t.Fatal(err)
	}
	s.BaseURL = hub.Path
	s.Grant(prometheusToken, "access:services!service="+filepath.Base(flagOf(t, p["serve"].Spec, "web.route-prefix")))
	check := command(t, p["check"].Spec, in)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", check.Args, err, out)
	}
	pod := start(t, p["serve"].Spec, in)
	pod.waitFor(t, p["serve"].Spec.Containers[0].ReadinessProbe)
	pod.waitFor(t, p["serve"].Spec.Containers[0].LivenessProbe)
	// A TCP probe succeeds before there is data.
	pod.waitFor(t, &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/-/ready"}}})
	return pod
}

// flagOf returns the value of a flag in a pod's arguments.
func flagOf(t *testing.T, pod corev1.PodSpec, name string) string {
	t.Helper()
	for _, arg := range pod.Containers[0].Args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	t.Fatalf("no --%s in %q", name, pod.Containers[0].Args)
	return ""
}

// credentialsOf returns the Authorization header with which a release's monitor would scrape, or "" if it has none.
func credentialsOf(release objects, in secrets) string {
	for _, m := range all[*monitoringv1.ServiceMonitor](release) {
		if a := m.Spec.Endpoints[0].Authorization; a != nil {
			return "Bearer " + in[a.Credentials.Name][a.Credentials.Key]
		}
	}
	for _, m := range all[*podMonitoring](release) {
		if a := m.Spec.Endpoints[0].Authorization; a != nil {
			return "Bearer " + in[a.Credentials.Secret.Name][a.Credentials.Secret.Key]
		}
	}
	return ""
}

func TestRun(t *testing.T) {
	in := namespaceSecrets(t)
	series := map[string][]string{
		"existing-secret": {`jupyterhub_group_members{namespace="prod",usergroup="bio-lab"} 1`},
		"private": {
			`jupyterhub_group_members{namespace="jhub",usergroup="$(NAMESPACE) & sons"} 1`,
			`jupyterhub_group_members{namespace="jhub",usergroup="course-1"} 1`,
		},
		"everything": {
			`jupyterhub_user_group_info{namespace="prod",usergroup="multiple",username="ada"`,
			`jupyterhub_user_group_share{namespace="prod"`, `jupyterhub_user_info{namespace="prod"`, `jupyterhub_group_running_servers{namespace="prod"`,
			`groups_exporter_refresh_interval_seconds{namespace="prod"} 90`,
			`jupyterhub_group_members{namespace="prod",usergroup="course 1"} 0`, `groups_exporter_group_map_last_reload_successful{namespace="prod"} 1`,
		},
		"operator": {`jupyterhub_user_group_share{namespace="jhub",usergroup="bio-lab",username="ada"`, `jupyterhub_group_active_users{namespace="jhub"`},
	}
	for name, file := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSurroundings(t)
			args := []string{"--values", file, "--set", "hub.url=" + s.url}
			hasUsage := strings.Contains(read(t, file), "\nprometheus:")
			if hasUsage {
				args = append(args, "--set", "prometheus.url="+s.url)
			}
			release := render(t, args...)
			pod, authorization := s.run(t, release, in.with(release)), credentialsOf(release, in)
			if authorization != "" {
				if status, _, err := pod.get("/metrics", ""); status != http.StatusUnauthorized {
					t.Errorf("without a token: got status %d (error: %v), want 401", status, err)
				}
			}
			want := series[name]
			if want == nil {
				want = []string{`jupyterhub_user_group_info{namespace="jhub",usergroup="bio-lab",username="ada"`, `jupyterhub_group_members{namespace="jhub",usergroup="none"} 1`}
			}
			behindProxy := flagOf(t, pods(t, release)["serve"].Spec, "web.route-prefix") + "metrics"
			for _, path := range []string{"/metrics", behindProxy} {
				page := pod.scrape(t, path, authorization, want...)
				if name == "private" && strings.Contains(page, "username") {
					t.Errorf("got names of users in:\n%s", page)
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if hasUsage && (len(s.authorization) == 0 || s.authorization[0] != "Bearer open sesame") {
				t.Errorf("requests to Prometheus with %q, want the password of the secret", s.authorization)
			}
		})
	}
}

// The values on the page for users of the Python exporter's chart work with the hub's existing service and token.
func TestMigration(t *testing.T) {
	page := blocks(t, root+"/docs/how-to/migrate.md")
	values := page[slices.IndexFunc(page, func(b block) bool { return strings.HasPrefix(b.text, "# groups-exporter.yaml") })].text
	file, in := write(t, values), namespaceSecrets(t)
	for _, test := range []struct{ set, authorization, path string }{
		{"", "", "/services/groups-exporter/"},
		{",auth=hub,hub.serviceName=jupyterhub-groups-exporter,hub.existingSecret.key=", "Bearer " + prometheusToken, "/services/jupyterhub-groups-exporter/"},
	} {
		t.Run(test.path, func(t *testing.T) {
			s := newSurroundings(t)
			pod := s.run(t, render(t, "--values", file, "--set", "hub.url="+s.url+",prometheus.url="+s.url+test.set), in)
			for _, path := range []string{test.path, "/metrics"} {
				pod.scrape(t, path, test.authorization,
					`jupyterhub_user_group_info{namespace="jhub",usergroup="multiple",username="ada"`,
					`jupyterhub_user_group_info{namespace="jhub",usergroup="bio-lab",username="ada"`,
					`groups_exporter_refresh_interval_seconds{namespace="jhub"} 3600`,
					`groups_exporter_usage_interval_seconds{namespace="jhub",resource="cpu"} 15`,
					`groups_exporter_usage_interval_seconds{namespace="jhub",resource="home_dir"} 7200`)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.authorization) == 0 {
				t.Error("got no requests to Prometheus, want some")
			}
		})
	}
}

// running is a container that runs.
type running struct {
	cmd             *exec.Cmd
	log             string // path
	scheme, address string
}

// start runs a pod's container on a free port, because 8100 may be in use. The program uses the last of two flags.
func start(t *testing.T, pod corev1.PodSpec, in secrets) *running {
	t.Helper()
	r := &running{cmd: command(t, pod, in), scheme: "http"}
	if probe := pod.Containers[0].LivenessProbe; probe.HTTPGet != nil {
		r.scheme = strings.ToLower(string(probe.HTTPGet.Scheme))
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	r.log = log.Name()
	r.cmd.Args = append(r.cmd.Args, "--web.listen-address=127.0.0.1:0")
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Wait() // the end of the test's context ends it
		if log.Close(); t.Failed() {
			t.Logf("%q:\n%s", r.cmd.Args, read(t, r.log))
		}
	})
	return r
}

// waitFor waits until a probe succeeds.
func (r *running) waitFor(t *testing.T, probe *corev1.Probe) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for err := r.probe(t, probe); err != nil; err = r.probe(t, probe) {
		if time.Now().After(deadline) {
			t.Fatalf("the probe %+v fails: %v", probe.ProbeHandler, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *running) probe(t *testing.T, probe *corev1.Probe) error {
	listening := regexp.MustCompile(`listening.*address"?[=:]"?(127\.0\.0\.1:\d+)`).FindStringSubmatch(read(t, r.log))
	if listening == nil {
		return errors.New("not listening yet")
	}
	r.address = listening[1]
	if probe.TCPSocket != nil {
		connection, err := net.Dial("tcp", r.address)
		if err == nil {
			connection.Close()
		}
		return err
	}
	status, _, err := r.get(probe.HTTPGet.Path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return err
}

// scrape returns a page of metrics. It contains the wanted beginnings of lines.
func (r *running) scrape(t *testing.T, path, authorization string, wanted ...string) string {
	t.Helper()
	status, page, err := r.get(path, authorization)
	if status != http.StatusOK {
		t.Fatalf("%s: got status %d (error: %v), want 200", path, status, err)
	}
	for _, want := range wanted {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("%s: %s is missing in:\n%s", path, want, page)
		}
	}
	return page
}

func (r *running) get(path, authorization string) (status int, body string, err error) {
	request, err := http.NewRequest(http.MethodGet, r.scheme+"://"+r.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	// A kubelet doesn't verify the certificate either.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}
