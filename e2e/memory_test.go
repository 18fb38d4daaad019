//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// In a container with a memory limit, GOMEMLIMIT is 90% of the limit.
func TestMemoryLimit(t *testing.T) {
	root, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(root); err != nil { // cgroup v2
		root, file = "/sys/fs/cgroup", "memory.max"
		writeFile(t, root+"/cgroup.subtree_control", "+memory", 0o600)
	}
	group := filepath.Join(root, fmt.Sprintf("groups-exporter-%d", os.Getpid()))
	noError(t, os.Mkdir(group, 0o755))
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	writeFile(t, filepath.Join(group, file), "209715200", 0o600)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	exporter := launch(t, t.TempDir(), environment(), "sh", "-ec", `echo $$ > "$0/cgroup.procs"; exec "$1" serve --demo --web.listen-address "$2"`, group, program, address)
	exporter.untilMetrics("the limit", "http://"+address, contains("\ngo_gc_gomemlimit_bytes 1.8874368e+08\n"))
	exporter.end(syscall.SIGTERM)
}
