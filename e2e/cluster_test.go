//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/cluster"
)

// Set by the script run.
var (
	kubernetesVersions = strings.Fields(os.Getenv("E2E_KUBERNETES_VERSIONS"))
	kubernetesPrefix   = os.Getenv("E2E_KUBERNETES_PREFIX")
	helm               = os.Getenv("E2E_HELM")
)

// A kubernetes is a running cluster, seen from a test in its sandbox.
type kubernetes struct {
	*cluster.Cluster
	version string
}

// TestKubernetes runs the tests that need a cluster, on each version of Kubernetes. The test starts itself again in a
// sandbox for each of them.
func TestKubernetes(t *testing.T) {
	if cluster.Inside() {
		onKubernetes(t, kubernetesVersions[0])
		return
	}
	onEach(t, kubernetesVersions, func(t *testing.T, version string) {
		before := traces(t)
		sandbox := &cluster.Sandbox{Dir: t.TempDir()}
		cmd, err := sandbox.Command(os.Args[0], "-test.run=^TestKubernetes$", "-test.v", "-test.parallel=8")
		noError(t, err)
		cmd.Env = append(cmd.Env, "E2E_KUBERNETES_VERSIONS="+version)
		text, err := cmd.CombinedOutput()
		t.Logf("%s", text)
		report(t, "the tests in the sandbox", err)
		noError(t, sandbox.Remove())
		report(t, "what a cluster leaves behind", same(before, traces(t)))
	})
}

func onKubernetes(t *testing.T, version string) {
	start := time.Now()
	c, err := cluster.Start(t.Context(), kubernetesPrefix+version)
	noError(t, err)
	t.Logf("Kubernetes %s is up after %v", version, time.Since(start).Round(100*time.Millisecond))
	k := &kubernetes{c, version}
	_ = k
}

// traces lists what clusters must not leave on the machine.
func traces(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, command := range []string{
		"ip -brief link | cut -d ' ' -f 1",
		"nft list tables",
		"cut -d ' ' -f 5 /proc/self/mountinfo | sort",
		"ls -d /etc/cni /opt/cni /run/containerd /run/netns /var/lib/kubelet /var/lib/containerd /var/log/pods /sys/fs/cgroup/*/kubepods || true",
		"ps -e -o args | grep -E 'containerd|kubelet|kube-|etcd|jupyterhub-singleuser' | grep -v grep || true",
	} {
		found = append(found, fmt.Sprintf("%s:\n%s", command, output(t, "/", "sh", "-c", command+" 2>/dev/null")))
	}
	slices.Sort(found)
	return found
}
