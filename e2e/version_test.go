//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
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
		version := outputOf(t, checkout, append(os.Environ(), "GOFLAGS=-buildvcs=auto"), "", "sh", "-c", command)
		report(t, command, contains("(revision "+commit+", ")(version))
	}
}
