package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestPages lints and renders what the pages show as values of the chart, and looks at those of z2jh. The first line of a block
// says whose they are.
func TestPages(t *testing.T) {
	ours := 0
	for _, page := range []string{root + "/docs/how-to/kubernetes.md", chart + "/README.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
			t.Run(filepath.Base(page)+"/"+strconv.Itoa(i), func(t *testing.T) {
				if block[1] != "yaml" {
					return
				}
				whose, values, _ := strings.Cut(block[2], "\n")
				switch whose {
				case "# groups-exporter.yaml":
					ours++
					file := filepath.Join(t.TempDir(), "values.yaml")
					if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
						t.Fatal(err)
					}
					must(t, *helm, "lint", "--strict", "--kube-version", kubernetes, "--values", file, chart)
					pods(t, render(t, "--values", file))
				case "# jupyterhub.yaml":
					checkHubValues(t, values)
				default:
					t.Errorf("whose values are these?\n%s", block[2])
				}
			})
		}
	}
	if ours < 10 {
		t.Errorf("only %d blocks of values", ours)
	}
}

// TestNotes looks at the values for z2jh that the notes tell.
func TestNotes(t *testing.T) {
	for _, set := range []string{"replicaCount=1", "hub.serviceName=who,with={activity}"} {
		_, values, found := strings.Cut(notes(t, "--set", set), "with these values:\n\n")
		if !found {
			t.Errorf("%s: no values in the notes", set)
		}
		values, _, _ = strings.Cut(values, "\n\n")
		checkHubValues(t, values)
	}
}

// checkHubValues tells that each role is of a service that there is, and that the exporter's has what it needs.
func checkHubValues(t *testing.T, text string) {
	t.Helper()
	var values struct {
		Hub struct {
			Services  map[string]struct{} `json:"services"`
			LoadRoles map[string]struct {
				Services, Scopes []string
			} `json:"loadRoles"`
		} `json:"hub"`
	}
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	reads := false
	for name, role := range values.Hub.LoadRoles {
		if _, there := values.Hub.Services[name]; !there || len(role.Services) != 1 || role.Services[0] != name {
			t.Errorf("the role %s is of %q", name, role.Services)
		}
		reads = reads || strings.HasPrefix(strings.Join(role.Scopes, " "), "list:users read:users:groups")
	}
	if !reads {
		t.Errorf("nobody may read users and groups:\n%s", text)
	}
}
