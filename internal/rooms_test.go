// Package internal holds the rooms. This test holds the arrows between them.
package internal

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/groups-exporter/groups-exporter/"

// rooms says what each room may import beside the standard library: other rooms
// of ours, and modules by the start of their path. docs/architecture.md shows the
// same as a table.
func rooms() map[string][]string {
	return map[string][]string{
		"membership": {},
		"slug":       {},
		"fakehub":    {},
		"remote":     {},
		"clock":      {},
		"scopes":     {},
		"hub":        {"membership", "remote", "scopes", "github.com/cenkalti/backoff/"},
		"metrics":    {"membership", "slug", "github.com/prometheus/client_golang/", "github.com/prometheus/client_model/"},
		"exposition": {"github.com/prometheus/client_model/", "github.com/prometheus/common/expfmt", "github.com/klauspost/compress/"},
		"promql":     {"membership", "metrics"},
		"rules":      {"metrics", "promql", "github.com/prometheus/common/model", "go.yaml.in/yaml/"},
		"dashboard":  {"metrics", "promql", "github.com/grafana/grafana-foundation-sdk/"},
		"usage":      {"membership", "slug", "metrics", "promql", "remote", "github.com/prometheus/client_golang/api", "github.com/prometheus/common/"},
		"auth":       {"clock", "remote", "github.com/hashicorp/golang-lru/", "golang.org/x/sync/"},
		"webconfig":  {"github.com/prometheus/exporter-toolkit/web", "github.com/hashicorp/golang-lru/", "go.yaml.in/yaml/", "golang.org/x/crypto/bcrypt"},
		"server":     {"clock", "exposition", "github.com/prometheus/exporter-toolkit/web", "github.com/prometheus/client_golang/", "github.com/prometheus/common/expfmt", "golang.org/x/time/rate"},
	}
}

// pure are the rooms between the two ends, without input or output of their own.
func pure() []string {
	return []string{"membership", "slug", "scopes", "metrics", "exposition", "promql", "rules", "dashboard"}
}

// impure are what those must not import.
func impure() []string { return []string{"net", "net/http", "os", "os/exec", "log", "log/slog"} }

// onlyInCmd are modules for the command line, which no room may import.
func onlyInCmd() []string {
	return []string{"github.com/spf13/", "github.com/olekukonko/", "golang.org/x/term"}
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestArrowsBetweenRooms(t *testing.T) {
	packages := list(t)
	seen := map[string]bool{}
	for _, p := range packages {
		room := strings.TrimPrefix(p.ImportPath, module+"internal/")
		allowed, known := rooms()[room]
		if !known {
			if p.ImportPath != module+"internal" {
				t.Errorf("the room %s is in no list", room)
			}
			continue
		}
		seen[room] = true
		for _, imported := range p.Imports {
			standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
			if slices.Contains(pure(), room) && slices.Contains(impure(), imported) {
				t.Errorf("%s imports %s", room, imported)
			}
			own, isOwn := strings.CutPrefix(imported, module+"internal/")
			switch {
			case isOwn && slices.Contains(allowed, own):
			case !isOwn && (standard || slices.ContainsFunc(allowed, func(prefix string) bool { return strings.HasPrefix(imported, prefix) })):
			default:
				t.Errorf("%s imports %s", room, imported)
			}
		}
		for _, dependency := range p.Deps {
			if (room == "membership" || room == "slug") && (dependency == "net/http" || dependency == "log") {
				t.Errorf("%s reaches %s", room, dependency)
			}
			if slices.ContainsFunc(onlyInCmd(), func(prefix string) bool { return strings.HasPrefix(dependency, prefix) }) {
				t.Errorf("%s reaches %s, which belongs to cmd", room, dependency)
			}
		}
	}
	for room := range rooms() {
		if !seen[room] {
			t.Errorf("there is no room %s", room)
		}
	}
}

// list asks the go command for the packages and all that they depend on.
func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
