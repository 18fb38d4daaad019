// Package chart_test tests the Helm chart: it renders the chart with Helm, decodes the objects with Kubernetes' types, and
// runs the program with the arguments and the files that a pod would have.
package chart_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:generate go test -run TestGenerated|TestRendered -update .

const (
	chart = "../groups-exporter"
	root  = "../../.."
	// A release in the namespace of JupyterHub.
	releaseName, namespace = "groups-exporter", "jhub"
	// The oldest version that the chart supports.
	kubernetes = "1.30.0"
)

var (
	update = flag.Bool("update", false, "write the files that the tests compare with")
	helm   = flag.String("helm", "", "the helm to test with instead of the one in go.mod (Helm 3 shows no notes without a cluster)")
	// program is the path of groups-exporter, built from this checkout.
	program string
)

func TestMain(m *testing.M) {
	flag.Parse()
	folder, err := os.MkdirTemp("", "groups-exporter-chart")
	if err == nil {
		err = prepare(folder)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

// prepare builds the program and Helm, and hides the developer's own Helm settings and clusters from Helm.
func prepare(folder string) error {
	program = filepath.Join(folder, "groups-exporter")
	build := exec.Command("go", "build", "-o", program, "./cmd/groups-exporter")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if *helm == "" {
		out, err := exec.Command("go", "tool", "-n", "helm").Output()
		if err != nil {
			return fmt.Errorf("go tool -n helm: %w", err)
		}
		*helm = strings.TrimSpace(string(out))
	}
	for _, name := range []string{"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECONFIG"} {
		if err := os.Setenv(name, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// output runs a command and returns its standard output. An error contains all output.
func output(command string, args ...string) (string, error) {
	var out, errOut bytes.Buffer
	cmd := exec.Command(command, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), errors.New(errOut.String() + out.String())
	}
	return out.String(), nil
}

func must(t *testing.T, command string, args ...string) string {
	t.Helper()
	out, err := output(command, args...)
	if err != nil {
		t.Fatalf("%s %s:\n%v", filepath.Base(command), strings.Join(args, " "), err)
	}
	return out
}

// template renders the chart for a release.
func template(release string, args ...string) (string, error) {
	return output(*helm, append([]string{"template", release, chart, "--namespace", namespace, "--kube-version", kubernetes}, args...)...)
}

// sets returns the files of values in the chart's ci folder by name.
func sets(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(files) < 9 {
		t.Fatalf("got %d files of values in %s/ci (error: %v), want at least 9", len(files), chart, err)
	}
	all := map[string]string{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = file
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// write writes a file in a temporary folder and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// compare compares a file with the wanted content. With -update, it writes the content to the file first.
func compare(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := diff(want, read(t, file)); d != "" {
		t.Errorf("%s is out of date (go generate ./... updates it), -want +got:\n%s", file, d)
	}
}
