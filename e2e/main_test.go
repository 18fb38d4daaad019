//go:build e2e

// Package e2e tests the built program against real versions of JupyterHub, kubespawner and Prometheus, which the script
// run installs. The tests use only the program's command line, output and HTTP responses.
package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// Set by the script run.
var (
	program      = os.Getenv("E2E_PROGRAM")
	versions     = strings.Fields(os.Getenv("E2E_HUBS"))
	hubPrefix    = os.Getenv("E2E_HUB_PREFIX")
	kubespawner  = os.Getenv("E2E_KUBESPAWNER")
	kubespawner6 = os.Getenv("E2E_KUBESPAWNER_6")
	ruamelYAML   = os.Getenv("E2E_RUAMEL_YAML")
	proxy        = os.Getenv("E2E_PROXY")

	prometheusVersions = strings.Fields(os.Getenv("E2E_PROMETHEUS_VERSIONS"))
	prometheusPrefix   = os.Getenv("E2E_PROMETHEUS_PREFIX")
)

// shared is a folder for what is built once for several tests.
var shared string

func TestMain(m *testing.M) {
	if len(versions) == 0 || len(prometheusVersions) == 0 {
		fmt.Fprintln(os.Stderr, "these tests are started by e2e/run, which installs what they need")
		os.Exit(1)
	}
	var err error
	if shared, err = os.MkdirTemp("", "groups-exporter-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(shared)
	os.Exit(code)
}

// onEach runs a parallel subtest for each version of JupyterHub or of Prometheus. It makes the test parallel, too.
func onEach(t *testing.T, versions []string, test func(t *testing.T, version string)) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// noError ends the test if there is an error.
func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// report reports an error, if there is one.
func report(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	noError(t, err)
	return string(text)
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	noError(t, os.WriteFile(name, []byte(text), mode))
}

// These ports are below the kernel's ephemeral ports, so that no outgoing connection takes one before it is used.
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
