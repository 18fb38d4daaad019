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

// The values and objects on the pages are valid. The first line of a block names the file that it belongs to.
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
					file := write(t, values)
					must(t, *helm, "lint", "--strict", "--kube-version", kubernetes, "--values", file, chart)
					pods(t, render(t, "--values", file))
				case "# jupyterhub.yaml":
					checkHubValues(t, values)
				case "# clusterpodmonitoring.yaml":
					checkClusterPodMonitoring(t, values)
				default:
					t.Errorf("unknown kind of file:\n%s", block.text)
				}
			})
		}
	}
	if ours < 10 {
		t.Errorf("got %d blocks of values, want at least 10", ours)
	}
}

// block is a code block of a page, with the line above it.
type block struct{ above, language, text string }

func blocks(t *testing.T, page string) []block {
	t.Helper()
	var found []block
	for _, b := range regexp.MustCompile("(?ms)^([^\n]*)\n```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(read(t, page), -1) {
		found = append(found, block{b[1], b[2], b[3]})
	}
	return found
}

// The chart's README gives the reason why its commands aren't tested, like all pages. It is published with the chart, so
// its links don't lead to other files of the repository.
func TestReadme(t *testing.T) {
	commands := 0
	for _, block := range blocks(t, chart+"/README.md") {
		if block.language != "sh" {
			continue
		}
		commands++
		if !regexp.MustCompile(`^<!-- not run: \S.* -->$`).MatchString(block.above) {
			t.Errorf("no comment above these commands gives the reason why they aren't tested:\n%s", block.text)
		}
	}
	if commands < 2 {
		t.Errorf("got %d blocks of commands, want at least 2", commands)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(read(t, chart+"/README.md"), -1) {
		if strings.HasPrefix(link[1], "https://") || strings.HasPrefix(link[1], "#") {
			continue
		}
		if _, err := os.Stat(filepath.Join(chart, link[1])); err != nil || strings.HasPrefix(link[1], "..") {
			t.Errorf("the link %s leads to a file that isn't in the chart", link[1])
		}
	}
}

// The notes contain valid values for Zero to JupyterHub.
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
		// Without a type, so that a number would remain one.
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

// checkHubValues checks that each role belongs to a service, and that one role has the scopes that the exporter needs.
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
			t.Errorf("the role %s belongs to %q, want the service of the same name", name, role.Services)
		}
		reads = reads || strings.HasPrefix(strings.Join(role.Scopes, " "), "list:users read:users:groups")
	}
	if !reads {
		t.Errorf("no role can read users and groups:\n%s", text)
	}
}
