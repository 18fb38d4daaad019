package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Every environment variable that the program reads, or that its help names, is in
// docs/reference/configuration.md, and that has no other.
func TestEveryVariableIsInTheReference(t *testing.T) {
	want := map[string]bool{
		// What Go, its proxies and systemd's sockets read by themselves.
		"HTTP_PROXY": true, "HTTPS_PROXY": true, "NO_PROXY": true, "SSL_CERT_FILE": true, "SSL_CERT_DIR": true, "GOMEMLIMIT": true, "LISTEN_PID": true, "LISTEN_FDS": true,
	}
	for _, name := range variablesRead(t, "../..") {
		want[name] = true
	}
	for _, command := range allCommands() {
		help := command.Long + command.Example
		command.Flags().VisitAll(func(flag *pflag.Flag) { help += "\n" + flag.Usage })
		for _, found := range regexp.MustCompile(`\$([A-Z][A-Z0-9_]*)|\b((?:JUPYTERHUB|HUB|GROUPS)_[A-Z0-9_]+)=?`).FindAllStringSubmatch(help, -1) {
			if name := found[1] + found[2]; !strings.HasPrefix(name, variablePrefix) { // these are in a rule of their own
				want[name] = true
			}
		}
	}

	_, section, _ := strings.Cut(readPage(t, "docs/reference/configuration.md"), "\n## Environment\n")
	section, _, _ = strings.Cut(section, "\n## ")
	got := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z][^|]*) \\|").FindAllStringSubmatch(section, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			got[strings.Trim(name, "`")] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-program +page:\n%s", diff)
	}
}

// variablesRead finds the names with which getenv is called.
func variablesRead(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	for _, folder := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok || !isGetenv(call.Fun) {
					return true
				}
				literal, ok := call.Args[0].(*ast.BasicLit)
				if !ok {
					if filepath.Base(name) != "environment.go" { // whose names are those of serve's flags
						t.Errorf("%s: the name of a variable that isn't a constant", name)
					}
					return true
				}
				variable, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Error(err)
				}
				names = append(names, variable)
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func isGetenv(function ast.Expr) bool {
	switch function := function.(type) {
	case *ast.Ident:
		return function.Name == "getenv"
	case *ast.SelectorExpr:
		return function.Sel.Name == "Getenv" || function.Sel.Name == "LookupEnv"
	}
	return false
}

func allCommands() []*cobra.Command {
	root := newRootCommand(func(string) string { return "" })
	root.InitDefaultVersionFlag()
	all := []*cobra.Command{root}
	for i := 0; i < len(all); i++ {
		all[i].InitDefaultHelpFlag()
		all = append(all, all[i].Commands()...)
	}
	return all
}

// A flag that a page names is one of the program, and what it says of names is what escape says.
func TestPagesTellTheTruth(t *testing.T) {
	flags := map[string]bool{
		// Of kube-state-metrics, node_exporter and Prometheus.
		"metric-annotations-allowlist": true, "metric-labels-allowlist": true,
		"collector.textfile.directory": true, "web.enable-remote-write-receiver": true,
		"storage.tsdb.retention.time": true,
		"no-run-if-empty":             true, // of xargs
	}
	for _, command := range allCommands() {
		command.Flags().VisitAll(func(flag *pflag.Flag) { flags[flag.Name] = true })
	}
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	named, shown := 0, 0
	for _, page := range pages {
		text := readPage(t, strings.TrimPrefix(page, "../../"))
		// On a line of their own after "groups-exporter COMMAND", or in code within a sentence.
		for _, found := range regexp.MustCompile("`(?:groups-exporter )?(?:[a-z]+ )?--([a-z][a-z_.-]*)").FindAllStringSubmatch(text, -1) {
			named++
			if !flags[string(normalizeFlag(nil, found[1]))] {
				t.Errorf("%s: there is no --%s", page, found[1])
			}
		}
		for _, found := range regexp.MustCompile(`username="([^"]+)",username_escaped="([^"]+)",username_safe="([^"]+)"`).FindAllStringSubmatch(text, -1) {
			shown++
			if got := []string{slug.Escape(found[1]), slug.Safe(found[1])}; !cmp.Equal(got, found[2:]) {
				t.Errorf("%s: of %s: %s", page, found[1], cmp.Diff(got, found[2:]))
			}
		}
	}
	if named < 50 || shown < 1 {
		t.Errorf("found %d flags and %d names: are the patterns right?", named, shown)
	}
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
