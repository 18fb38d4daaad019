package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestPages lints and renders what the pages show as values of the chart, and looks at those of z2jh, and at an object
// of Google's. The first line of a block says whose they are.
func TestPages(t *testing.T) {
	ours := 0
	for _, page := range []string{root + "/docs/how-to/kubernetes.md", root + "/docs/how-to/migrate.md", chart + "/README.md"} {
		for i, block := range blocks(t, page) {
			t.Run(filepath.Base(page)+"/"+strconv.Itoa(i), func(t *testing.T) {
				if block.language != "yaml" {
					return
				}
				whose, values, _ := strings.Cut(block.text, "\n")
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
				case "# clusterpodmonitoring.yaml":
					checkClusterPodMonitoring(t, values)
				default:
					t.Errorf("whose values are these?\n%s", block.text)
				}
			})
		}
	}
	if ours < 10 {
		t.Errorf("only %d blocks of values", ours)
	}
}

// A block stands on a page, below a line.
type block struct{ above, language, text string }

func blocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	for _, b := range regexp.MustCompile("(?ms)^([^\n]*)\n```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, block{b[1], b[2], b[3]})
	}
	return found
}

// TestCommandsOfTheReadme tells that the chart's README says why nobody runs its commands, as pages do. And it leaves the
// repository with the chart, so what it points to has to go with it.
func TestCommandsOfTheReadme(t *testing.T) {
	commands := 0
	for _, block := range blocks(t, chart+"/README.md") {
		if block.language != "sh" {
			continue
		}
		commands++
		if !regexp.MustCompile(`^<!-- not run: \S.* -->$`).MatchString(block.above) {
			t.Errorf("not run, and no comment before it says why:\n%s", block.text)
		}
	}
	if commands < 2 {
		t.Errorf("only %d blocks of commands", commands)
	}
	text, err := os.ReadFile(chart + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(string(text), -1) {
		if strings.HasPrefix(link[1], "https://") || strings.HasPrefix(link[1], "#") {
			continue
		}
		if _, err := os.Stat(filepath.Join(chart, link[1])); err != nil || strings.HasPrefix(link[1], "..") {
			t.Errorf("%s isn't in the chart", link[1])
		}
	}
}

// TestNotes looks at the values for z2jh that the notes tell.
func TestNotes(t *testing.T) {
	for set, service := range map[string]string{
		"replicaCount=1": "groups-exporter", "hub.serviceName=who,with={activity}": "who", "hub.serviceName=1e3": "1e3",
	} {
		_, text, found := strings.Cut(notes(t, "--set", set), "with these values:\n\n")
		if !found {
			t.Errorf("%s: no values in the notes", set)
		}
		text, _, _ = strings.Cut(text, "\n\n")
		checkHubValues(t, text)
		// Into no type, so that a number stays one.
		var values map[string]map[string]map[string]any
		if err := yaml.Unmarshal([]byte(text), &values); err != nil {
			t.Fatal(err)
		}
		role, _ := values["hub"]["loadRoles"][service].(map[string]any)
		if d := cmp.Diff([]any{service}, role["services"]); d != "" {
			t.Errorf("%s, -want +got:\n%s", set, d)
		}
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
