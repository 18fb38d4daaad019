package chart_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
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
	"sigs.k8s.io/yaml"
)

// secrets are what the namespace holds.
type secrets map[string]map[string]string

const hubToken, prometheusToken = "the-token-of-the-exporter", "the-token-of-prometheus"

func namespaceSecrets(t *testing.T) secrets {
	t.Helper()
	certificate, key := newCertificate(t)
	const web = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"
	files := map[string]string{"web.yml": web, "config.yml": web, "tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
	client := "authorization: {credentials_file: password}\n"
	return secrets{
		"hub": {
			"hub.services.groups-exporter.apiToken": hubToken, "hub.services.prometheus.apiToken": prometheusToken,
			"values.yaml": "all values of the hub",
		},
		"other-hub":              {"hub.services.who.apiToken": hubToken, "hub.services.prometheus.apiToken": prometheusToken},
		"prometheus":             {"token": prometheusToken},
		"groups-exporter-token":  {"api-token": hubToken + "\n"},
		"prometheus-credentials": {"config.yml": client, "client.yml": client, "password": "open sesame"},
		"groups-exporter-web":    files,
		"who-web":                files,
	}
}

// fakeHub lists its users to the exporter's token, and says what tokens may.
func fakeHub(base, service string) http.Handler {
	answer := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	person := func(name string, groups ...string) any {
		return map[string]any{"kind": "user", "name": name, "groups": append([]string{}, groups...), "last_activity": nil, "servers": map[string]any{}}
	}
	scopes := map[string][]string{
		"token " + hubToken:         {"list:users", "read:users:groups", "list:groups", "read:users:activity", "read:servers"},
		"token " + prometheusToken:  {"access:services!service=" + service},
		"Bearer " + prometheusToken: {"access:services!service=" + service},
	}
	page := func(w http.ResponseWriter, items ...any) {
		answer(w, map[string]any{"items": append([]any{}, items...), "_pagination": map[string]any{"offset": 0, "limit": 200, "total": len(items), "next": nil}})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-JupyterHub-Version", "5.5.1")
		path, api := strings.CutPrefix(r.URL.Path, base+"/hub/api/")
		may, known := scopes[r.Header.Get("Authorization")]
		switch {
		case !api:
			http.NotFound(w, r)
		case path == "":
			answer(w, map[string]string{"version": "5.5.1"})
		case !known || (path != "user" && len(may) == 1):
			w.WriteHeader(http.StatusForbidden)
			answer(w, map[string]any{"status": 403, "message": "Missing or invalid credentials."})
		case path == "user":
			answer(w, map[string]any{"kind": "service", "name": service, "admin": false, "scopes": may})
		case path == "users":
			page(w, person("ada", "bio-lab", "course-1"), person("bob", "$(NAMESPACE) & sons"), person("eve"))
		case path == "groups":
			page(w)
		default:
			http.NotFound(w, r)
		}
	})
}

// fakePrometheus knows of no usage, and remembers what it was shown.
type fakePrometheus struct {
	mu    sync.Mutex
	shown []string
}

func (p *fakePrometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.shown = append(p.shown, r.Header.Get("Authorization"))
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
}

// command is what a kubelet would run for a pod's container: its volumes below a folder, its arguments expanded, and nothing
// in the environment but what the pod says.
func command(t *testing.T, pod corev1.PodSpec, in secrets) *exec.Cmd {
	t.Helper()
	folder := t.TempDir()
	c := pod.Containers[0]
	for _, mount := range c.VolumeMounts {
		at := filepath.Join(folder, mount.MountPath)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		volume := pod.Volumes[slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })]
		if volume.Secret == nil {
			continue
		}
		secret, exists := in[volume.Secret.SecretName]
		if !exists {
			t.Fatalf("FailedMount: secret %q not found", volume.Secret.SecretName)
		}
		items := volume.Secret.Items
		if items == nil {
			for key := range secret {
				items = append(items, corev1.KeyToPath{Key: key, Path: key})
			}
		}
		for _, item := range items {
			content, exists := secret[item.Key]
			if !exists {
				t.Fatalf("FailedMount: secret %q has no key %q", volume.Secret.SecretName, item.Key)
			}
			if err := os.WriteFile(filepath.Join(at, item.Path), []byte(content), 0o440); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.namespace" {
			env[e.Name] = namespace
		}
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
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

// expand is what Kubernetes does to an argument: $$ is $, and $(NAME) a variable where there is one.
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

// TestRun starts the program as each set's pods would, beside a hub, until its probes are content; then it reads the metrics
// as a monitor would, and lets the pod that checks have a look.
func TestRun(t *testing.T) {
	in := namespaceSecrets(t)
	for name, file := range sets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := struct {
				Hub struct {
					BaseURL     string `json:"baseUrl"`
					ServiceName string `json:"serviceName"`
				} `json:"hub"`
				Prometheus struct {
					URL string `json:"url"`
				} `json:"prometheus"`
			}{}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(data, &given); err != nil {
				t.Fatal(err)
			}
			service := given.Hub.ServiceName
			if service == "" {
				service = "groups-exporter"
			}
			hub := httptest.NewServer(fakeHub(strings.TrimRight(given.Hub.BaseURL, "/"), service))
			defer hub.Close()
			args := []string{"--values", file, "--set", "hub.url=" + hub.URL}
			usage := &fakePrometheus{}
			if given.Prometheus.URL != "" {
				prometheus := httptest.NewServer(usage)
				defer prometheus.Close()
				args = append(args, "--set", "prometheus.url="+prometheus.URL)
			}
			release := render(t, args...)

			p := pods(t, release)
			check := command(t, p["check"].Spec, in)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%q: %v\n%s", check.Args, err, out)
			}

			pod := start(t, p["serve"].Spec, in)
			pod.until(t, p["serve"].Spec.Containers[0].ReadinessProbe)
			pod.until(t, p["serve"].Spec.Containers[0].LivenessProbe)
			// A probe by TCP is content before there is data.
			pod.until(t, &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/-/ready"}}})

			authorization := ""
			for _, m := range all[*monitoringv1.ServiceMonitor](release) {
				if a := m.Spec.Endpoints[0].Authorization; a != nil {
					authorization = "Bearer " + in[a.Credentials.Name][a.Credentials.Key]
				}
			}
			for _, m := range all[*podMonitoring](release) {
				if a := m.Spec.Endpoints[0].Authorization; a != nil {
					authorization = "Bearer " + in[a.Credentials.Secret.Name][a.Credentials.Secret.Key]
				}
			}
			if authorization != "" {
				if status, _, err := pod.get("/metrics", ""); status != http.StatusUnauthorized {
					t.Errorf("without a token: %d, error: %v", status, err)
				}
			}
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
				},
				"operator": {`jupyterhub_user_group_share{namespace="jhub",usergroup="bio-lab",username="ada"`, `jupyterhub_group_active_users{namespace="jhub"`},
			}[name]
			if series == nil {
				series = []string{`jupyterhub_user_group_info{namespace="jhub",usergroup="bio-lab",username="ada"`, `jupyterhub_group_members{namespace="jhub",usergroup="none"} 1`}
			}
			behindProxy := strings.TrimRight(given.Hub.BaseURL, "/") + "/services/" + service + "/metrics"
			for _, path := range []string{"/metrics", behindProxy} {
				status, body, err := pod.get(path, authorization)
				if status != http.StatusOK {
					t.Fatalf("%s: %d, error: %v", path, status, err)
				}
				for _, want := range series {
					if !strings.Contains(body, "\n"+want) {
						t.Errorf("%s has no %s in:\n%s", path, want, body)
					}
				}
				if name == "private" && strings.Contains(body, "username") {
					t.Errorf("names in:\n%s", body)
				}
			}
			if given.Prometheus.URL != "" {
				usage.mu.Lock()
				defer usage.mu.Unlock()
				if len(usage.shown) == 0 || usage.shown[0] != "Bearer open sesame" {
					t.Errorf("Prometheus was shown %q", usage.shown)
				}
			}
		})
	}
}

// TestMigration starts the program with the values that the page for users of the Python program's chart has. The hub is told
// nothing new: the service, and the key of its token, are as they were.
func TestMigration(t *testing.T) {
	const key = "hub.services.jupyterhub-groups-exporter.apiToken"
	in := secrets{"hub": {key: hubToken, "hub.services.prometheus.apiToken": prometheusToken}}
	usage := &fakePrometheus{}
	prometheus := httptest.NewServer(usage)
	defer prometheus.Close()
	hub := httptest.NewServer(fakeHub("", "jupyterhub-groups-exporter"))
	defer hub.Close()
	page := blocks(t, root+"/docs/how-to/migrate.md")
	values := page[slices.IndexFunc(page, func(b block) bool { return strings.Contains(b.text, key) })].text
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, set, authorization string
		paths                    []string
	}{
		{"as it was", "", "", []string{"/services/groups-exporter/", "/metrics"}},
		{
			"with tokens", ",auth=hub,hub.serviceName=jupyterhub-groups-exporter,hub.existingSecret.key=", "Bearer " + prometheusToken,
			[]string{"/services/jupyterhub-groups-exporter/", "/metrics"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			release := render(t, "--values", file, "--set", "hub.url="+hub.URL+",prometheus.url="+prometheus.URL+test.set)
			p := pods(t, release)
			check := command(t, p["check"].Spec, in)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%q: %v\n%s", check.Args, err, out)
			}
			pod := start(t, p["serve"].Spec, in)
			pod.until(t, p["serve"].Spec.Containers[0].ReadinessProbe)
			for _, path := range test.paths {
				status, body, err := pod.get(path, test.authorization)
				if status != http.StatusOK {
					t.Fatalf("%s: %d, error: %v", path, status, err)
				}
				for _, want := range []string{
					`jupyterhub_user_group_info{namespace="jhub",usergroup="multiple",username="ada"`,
					`jupyterhub_user_group_info{namespace="jhub",usergroup="bio-lab",username="ada"`,
					`groups_exporter_refresh_interval_seconds{namespace="jhub"} 3600`,
					`groups_exporter_usage_interval_seconds{namespace="jhub",resource="cpu"} 15`,
					`groups_exporter_usage_interval_seconds{namespace="jhub",resource="home_dir"} 7200`,
				} {
					if !strings.Contains(body, "\n"+want) {
						t.Errorf("%s has no %s in:\n%s", path, want, body)
					}
				}
			}
		})
	}
	usage.mu.Lock()
	defer usage.mu.Unlock()
	if len(usage.shown) == 0 {
		t.Error("nobody asked Prometheus for usage")
	}
}

// running is a container.
type running struct {
	cmd     *exec.Cmd
	scheme  string
	exited  chan struct{}
	log     *lockedBuffer
	address string // where it says that it listens
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// start runs the pod's container at a port that is free, since 8100 may be taken here: the last of two flags counts.
func start(t *testing.T, pod corev1.PodSpec, in secrets) *running {
	t.Helper()
	r := &running{cmd: command(t, pod, in), scheme: "http", exited: make(chan struct{}), log: &lockedBuffer{}}
	if probe := pod.Containers[0].LivenessProbe; probe.HTTPGet != nil {
		r.scheme = strings.ToLower(string(probe.HTTPGet.Scheme))
	}
	r.cmd.Args = append(r.cmd.Args, "--web.listen-address=127.0.0.1:0")
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.exited)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.exited
		if t.Failed() {
			t.Logf("%q:\n%s", r.cmd.Args, r.log)
		}
	})
	return r
}

// until waits for a probe to be content.
func (r *running) until(t *testing.T, probe *corev1.Probe) {
	t.Helper()
	problem := errors.New("it was never asked")
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-r.exited:
			t.Fatalf("it exited with code %d: %s", r.cmd.ProcessState.ExitCode(), r.log)
		default:
		}
		if problem = r.probe(probe); problem == nil {
			return
		}
	}
	t.Fatalf("the probe %+v is not content: %v", probe.ProbeHandler, problem)
}

func (r *running) probe(probe *corev1.Probe) error {
	listening := regexp.MustCompile(`listening.*address"?[=:]"?(127\.0\.0\.1:\d+)`).FindStringSubmatch(r.log.String())
	if listening == nil {
		return errors.New("it doesn't listen yet")
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
		err = fmt.Errorf("it says %d", status)
	}
	return err
}

func (r *running) get(path, authorization string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.scheme+"://"+r.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	// A kubelet doesn't look at the certificate either.
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

func newCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"groups-exporter"}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}
