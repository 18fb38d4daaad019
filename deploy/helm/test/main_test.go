// Package chart_test tests the Helm chart: it renders the chart as Helm does, reads the result as Kubernetes does, and
// starts the program as the pod would.
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
	// A release beside z2jh.
	releaseName, namespace = "groups-exporter", "jhub"
	// The oldest that the chart says it is for.
	kubernetes = "1.27.0"
)

var (
	update = flag.Bool("update", false, "write the files that the tests compare with")
	helm   = flag.String("helm", "", "test with this helm, in place of the one in go.mod; Helm 3 tells its notes to nobody without a cluster")
	// program is groups-exporter, as this checkout has it.
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

// prepare builds what the tests run, and keeps the settings of whoever runs them away from Helm.
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
	for _, name := range []string{"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} {
		if err := os.Setenv(name, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return os.Setenv("KUBECONFIG", filepath.Join(folder, "there-is-none"))
}

// output runs a command; an error says what it printed.
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

// template is what the chart becomes with values.
func template(args ...string) (string, error) {
	return output(*helm, append([]string{"template", releaseName, chart, "--namespace", namespace, "--kube-version", kubernetes}, args...)...)
}

// sets are the files of values in the chart's ci folder, by name.
func sets(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files of values in %s/ci, error: %v", len(files), chart, err)
	}
	all := map[string]string{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = file
	}
	return all
}

// same compares a file with what it has to hold, and writes it with -update.
func same(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want, string(got)); d != "" {
		t.Errorf("%s is old (go generate ./... writes it), -want +got:\n%s", file, d)
	}
}
