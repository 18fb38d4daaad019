//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/cluster"
	"github.com/groups-exporter/groups-exporter/e2e/pages"
)

// Set by the script run.
var (
	kubernetesVersions = strings.Fields(os.Getenv("E2E_KUBERNETES_VERSIONS"))
	kubernetesPrefix   = os.Getenv("E2E_KUBERNETES_PREFIX")
	helm               = os.Getenv("E2E_HELM")

	kubernetesHubs      = strings.Fields(os.Getenv("E2E_KUBERNETES_HUBS")) // one for each version of Kubernetes
	kubernetesHubPrefix = os.Getenv("E2E_KUBERNETES_HUB_PREFIX")
)

// Environment variables for the test inside the sandbox: the archive with the image, and whether the docs are followed.
const (
	imageArchive = "E2E_IMAGE"
	followDocs   = "E2E_FOLLOW_DOCS"
)

// A kubernetes is a running cluster, seen from a test in its sandbox.
type kubernetes struct {
	*cluster.Cluster
	version string
	hub     string // version of JupyterHub
}

// TestKubernetes runs the tests that need a cluster, on each version of Kubernetes. The test starts itself again in a
// sandbox for each of them, one after another: a cluster keeps two cores busy. It isn't parallel, because it measures CPU,
// and probes have to be answered in time.
func TestKubernetes(t *testing.T) {
	if cluster.Inside() {
		onKubernetes(t, kubernetesVersions[0], kubernetesHubs[0])
		return
	}
	archive := buildImage(t)
	for i, version := range kubernetesVersions {
		t.Run(version, func(t *testing.T) {
			sandbox := &cluster.Sandbox{Dir: t.TempDir()}
			pattern := "^TestKubernetes$"
			if parts := strings.SplitN(flag.Lookup("test.run").Value.String(), "/", 3); len(parts) == 3 {
				pattern += "/" + parts[2] // as in e2e/run -run TestKubernetes/1.37.2/docs
			}
			cmd, err := sandbox.Command(os.Args[0], "-test.run="+pattern, "-test.v", "-test.parallel=4")
			noError(t, err)
			cmd.Env = append(cmd.Env, "E2E_KUBERNETES_VERSIONS="+version, "E2E_KUBERNETES_HUBS="+kubernetesHubs[i], imageArchive+"="+archive)
			if i == 0 {
				cmd.Env = append(cmd.Env, followDocs+"=1")
			}
			text, err := cmd.CombinedOutput()
			t.Logf("%s", text)
			report(t, "the tests in the sandbox", err)
			noError(t, sandbox.Remove())
			checkNothingLeft(t, sandbox)
		})
	}
}

func onKubernetes(t *testing.T, version, hub string) {
	start := time.Now()
	c, err := cluster.Start(t.Context(), kubernetesPrefix+version)
	noError(t, err)
	t.Logf("Kubernetes %s is up after %v", version, time.Since(start).Round(100*time.Millisecond))
	k := &kubernetes{c, version, hub}
	k.prepare(t)
	t.Run("chart", func(t *testing.T) {
		t.Parallel()
		chartOn(t, k)
	})
	t.Run("usage", func(t *testing.T) {
		t.Parallel()
		usageOnKubernetes(t, k)
	})
	if os.Getenv(followDocs) != "" {
		t.Run("docs", func(t *testing.T) {
			t.Parallel()
			all, err := pages.All(os.DirFS(".."))
			noError(t, err)
			readOnCluster(t, k, all)
		})
	}
}

// prepare adds what clusters with Zero to JupyterHub usually have: the image, and the operator's custom resources.
func (k *kubernetes) prepare(t *testing.T) {
	t.Helper()
	noError(t, k.Import(t.Context(), os.Getenv(imageArchive)))
	const address = "docker.io/groups-exporter/groups-exporter:"
	output(t, "/", "ctr", "--namespace=k8s.io", "images", "tag", address+chartVersion(t), "registry.example.org/groups-exporter:"+chartVersion(t))
	for folder := range strings.FieldsSeq(os.Getenv("E2E_CUSTOM_RESOURCES")) {
		_, err := k.Kubectl(t.Context(), "", "apply", "--server-side", "--filename="+folder)
		noError(t, err)
	}
}

// chartVersion is the version of the program in the chart.
func chartVersion(t *testing.T) string {
	t.Helper()
	version := regexp.MustCompile(`(?m)^appVersion: "?([^"\n]+)`).FindStringSubmatch(read(t, chart+"/Chart.yaml"))
	if version == nil {
		t.Fatal("the chart has no appVersion")
	}
	return version[1]
}

// apply creates or changes objects.
func (k *kubernetes) apply(t *testing.T, objects string) {
	t.Helper()
	_, err := k.Kubectl(t.Context(), objects, "apply", "--filename=-")
	noError(t, err)
}

// combined runs a command and returns all of its output.
func combined(command ...string) (string, error) {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return string(out), err
}

// checkNothingLeft checks that nothing of a sandbox is left on the machine.
func checkNothingLeft(t *testing.T, s *cluster.Sandbox) {
	t.Helper()
	for what, command := range map[string]string{
		"processes":      "grep -l E2E_CLUSTER=$0 /proc/[0-9]*/environ",
		"mounts":         "grep $0 /proc/[0-9]*/mountinfo",
		"files":          "ls -A $0",
		"folders":        "ls -d /run/containerd /run/netns /var/lib/kubelet /var/lib/containerd /var/log/pods",
		"interfaces":     "ip -brief link | grep -E '^(node|veth)'",
		"rules":          "nft list tables | grep kube-proxy",
		"control groups": "find /sys/fs/cgroup -name 'cluster-*' -path \"*$(basename $(dirname $0))*\"",
	} {
		if found, _ := exec.Command("sh", "-c", command, s.Dir).Output(); len(found) > 0 {
			t.Errorf("%s are left:\n%s", what, found)
		}
	}
}
