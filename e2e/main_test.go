//go:build e2e

// Package e2e tests the built program against real JupyterHubs, kubespawner and Prometheus, which
// the script run beside it installs. It never looks inside the program: it has its command line,
// its output and its HTTP answers.
package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// Told by the script run.
var (
	program     = os.Getenv("E2E_PROGRAM")
	versions    = strings.Fields(os.Getenv("E2E_HUBS"))
	hubPrefix   = os.Getenv("E2E_HUB_PREFIX")
	kubespawner = os.Getenv("E2E_KUBESPAWNER")
	ruamelYAML  = os.Getenv("E2E_RUAMEL_YAML")
	proxy       = os.Getenv("E2E_PROXY")

	prometheusVersions = strings.Fields(os.Getenv("E2E_PROMETHEUS_VERSIONS"))
	prometheusPrefix   = os.Getenv("E2E_PROMETHEUS_PREFIX")
)

func TestMain(m *testing.M) {
	if len(versions) == 0 || len(prometheusVersions) == 0 {
		fmt.Fprintln(os.Stderr, "these tests are started by e2e/run, which installs what they need")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Below the kernel's own ephemeral ports, so that no outgoing connection takes a port between its
// choice and its use.
var lastPort atomic.Int32

func freePort(t *testing.T) int {
	t.Helper()
	lastPort.CompareAndSwap(0, int32(20000+os.Getpid()%8000))
	for range 1000 {
		port := int(lastPort.Add(1))
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
