//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A build in a git checkout contains the revision.
func TestVersionInCheckout(t *testing.T) {
	t.Parallel()
	checkout := filepath.Join(t.TempDir(), "groups-exporter")
	output(t, "..", "git", "clone", "--quiet", ".", checkout)
	commit := output(t, checkout, "git", "rev-parse", "HEAD")
	for _, command := range []string{
		"go build -o built ./cmd/groups-exporter && ./built version && rm built",
		"go run -buildvcs=true ./cmd/groups-exporter version",
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir, cmd.Env = checkout, append(os.Environ(), "GOFLAGS=-buildvcs=auto")
		version, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(version), "(revision "+commit+", ") {
			t.Errorf("%s printed %q (error: %v), want revision %s", command, version, err, commit)
		}
	}
}
