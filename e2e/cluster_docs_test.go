//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/e2e/pages"
	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
)

// kubernetesPage is the page that is followed on a cluster, and not by TestDocs.
const kubernetesPage = "docs/how-to/kubernetes.md"

// A clusterReader follows a page on a cluster. kubectl and helm are real. The chart of Zero to JupyterHub can't be had, so
// its reader does with a hub what that chart does with its values.
type clusterReader struct {
	*pageReader
	*installation
	hub       *hub
	hubValues string // jupyterhub.yaml
}

// readOnCluster follows the page on Kubernetes, and the blocks of other pages that are run here.
func readOnCluster(t *testing.T, k *kubernetes, all []*pages.Page) {
	h := k.prepareHub(t)
	h.start()
	r := &clusterReader{installation: k.namespaceWith(t, "jhub", h.api, "not yet"), hub: h}
	home := t.TempDir()
	r.pageReader = &pageReader{t: t, dir: filepath.Join(home, "checkout"), state: filepath.Join(home, ".state"), env: []string{
		"HOME=" + home, "KUBECONFIG=" + k.Kubeconfig, "LANG=C.UTF-8",
		"PATH=" + strings.Join([]string{filepath.Join(home, "bin"), k.Programs, os.Getenv("PATH")}, ":"),
	}}
	r.mkdir(filepath.Join(home, "bin"))
	noError(t, os.Symlink(program, filepath.Join(home, "bin/groups-exporter")))
	noError(t, os.Symlink(helm, filepath.Join(home, "bin/helm")))
	output(t, "..", "git", "clone", "--quiet", ".", r.dir)
	output(t, r.dir, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=groups-exporter.jhub.svc",
		"-addext", "subjectAltName=DNS:groups-exporter.jhub.svc", "-keyout", "tls.key", "-out", "tls.crt")
	r.monitor()

	for _, page := range all {
		if r.page = page; page.Name == kubernetesPage {
			for i, b := range page.Blocks {
				r.block(b, i+1 < len(page.Blocks) && strings.Contains(page.Blocks[i+1].Text, "--values groups-exporter.yaml"))
			}
		}
	}
	r.kubectl("create", "namespace", "prod")
	r.env = append(r.env, "JUPYTERHUB_API_URL="+h.api, "JUPYTERHUB_API_TOKEN="+r.token("groups-exporter"))
	for _, page := range all {
		for _, b := range page.Blocks {
			if strings.Contains(b.NotRun, "TestKubernetes runs it") {
				r.page = page
				r.helm("uninstall", "groups-exporter", "--ignore-not-found")
				r.run(b)
			}
		}
	}
}

// monitor adds a Prometheus in the namespace monitoring, and a volume for reports.
func (r *clusterReader) monitor() {
	t := r.installation.t
	t.Helper()
	memberships := map[string][]string{}
	for _, u := range readers() {
		memberships[u.Name] = u.Groups
	}
	server := serveOnNode(t, fakeprometheus.New("jhub", memberships))
	reports := filepath.Join(r.dir, "reports")
	noError(t, os.Mkdir(reports, 0o777))
	noError(t, os.Chmod(reports, 0o777))
	r.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: monitoring}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: reports}
spec:
  storageClassName: ""
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  claimRef: {namespace: jhub, name: reports}
  hostPath: {path: %q}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: reports, namespace: jhub}
spec: {storageClassName: "", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`, reports)+endpointOnNode("prometheus-server", "monitoring", "80", server.Port()))
}

// block follows a block. Values are installed here unless the next block does it.
func (r *clusterReader) block(b pages.Block, installed bool) {
	t := r.installation.t
	t.Helper()
	if b.NotRun != "" || t.Failed() {
		return
	}
	t.Logf("line %d: %s", b.Line, b.Info)
	file, _, _ := strings.Cut(b.Text, "\n")
	switch {
	case b.Info == "output":
		r.read(b)
	case b.Info == "sh":
		r.commands(b)
	case file == "# jupyterhub.yaml":
		r.hubValues = b.Text
		r.upgradeHub()
	case file == "# groups-exporter.yaml":
		r.write(filepath.Join(r.dir, "groups-exporter.yaml"), b.Text)
		if !installed {
			r.run(pages.Block{Line: b.Line, Text: "helm upgrade --install groups-exporter deploy/helm/groups-exporter --namespace jhub --values groups-exporter.yaml"})
		}
	case b.Info == "yaml":
		r.write(filepath.Join(r.dir, "objects.yaml"), b.Text)
		r.run(pages.Block{Line: b.Line, Text: "kubectl apply --filename objects.yaml"})
	}
}

// commands runs a block of commands, and waits for what they have started.
func (r *clusterReader) commands(b pages.Block) {
	t := r.installation.t
	t.Helper()
	const upgradeHub = "helm upgrade jupyterhub jupyterhub/jupyterhub --namespace jhub --values jupyterhub.yaml\n"
	own, upgradesHub := strings.CutSuffix(b.Text, upgradeHub)
	b.Text = own
	r.run(b)
	if upgradesHub {
		r.upgradeHub()
	}
	if strings.Contains(own, "helm upgrade") || strings.Contains(own, "rollout restart") {
		r.kubectl("rollout", "status", "deployment/groups-exporter", "--timeout=90s")
	}
	if strings.Contains(own, "create job") {
		r.kubectl("wait", "--for=condition=complete", "--timeout=90s", "job/report-now")
		written, err := filepath.Glob(filepath.Join(r.dir, "reports/*-20*"))
		if err != nil || len(written) != 3 {
			t.Errorf("the job has written %q (%v), want three reports", written, err)
		}
	}
	if upgradesHub {
		r.untilToken(r.token("groups-exporter"))
	}
}

// upgradeHub does with the hub what Zero to JupyterHub does with its values: each service has a token in the secret "hub",
// which stays if it is there.
func (r *clusterReader) upgradeHub() {
	t := r.installation.t
	t.Helper()
	var values struct {
		Hub struct {
			Services  map[string]struct{}
			LoadRoles map[string]struct{ Services, Scopes []string } `yaml:"loadRoles"`
		}
	}
	noError(t, yaml.Unmarshal([]byte(r.hubValues), &values))
	var services, roles []object
	for name := range values.Hub.Services {
		if old := r.token(name); old == "" || old == "not yet" {
			r.kubectl("patch", "secret", "hub", "--patch="+fmt.Sprintf(`{"stringData": {"hub.services.%s.apiToken": "token-%d"}}`, name, time.Now().UnixNano()))
		}
		services = append(services, object{"name": name, "api_token": r.token(name)})
	}
	for name, role := range values.Hub.LoadRoles {
		roles = append(roles, object{"name": name, "services": role.Services, "scopes": role.Scopes})
	}
	if len(services) == 0 || len(roles) == 0 {
		t.Error("no services or roles in:\n" + r.hubValues)
	}
	r.hub.stop()
	r.hub.config["JupyterHub"]["services"], r.hub.config["JupyterHub"]["load_roles"] = services, roles
	r.hub.start()
}

// token returns the token of a service in the secret "hub", or "".
func (r *clusterReader) token(service string) string {
	r.installation.t.Helper()
	return r.kubectl("get", "secret", "hub", `--output=go-template={{with index .data "hub.services.`+service+`.apiToken"}}{{. | base64decode}}{{end}}`)
}

// The blocks of the page on Kubernetes run on a cluster. Only building and pushing an image are left.
func TestKubernetesPage(t *testing.T) {
	t.Parallel()
	all, err := pages.All(os.DirFS(".."))
	noError(t, err)
	for _, page := range all {
		for _, b := range page.Blocks {
			if page.Name == kubernetesPage && b.NotRun != "" && !slices.Contains(strings.Fields(b.Text), "docker") {
				t.Errorf("%s:%d isn't run: %s", page.Name, b.Line, b.NotRun)
			}
		}
	}
}
