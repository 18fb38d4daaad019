//go:build e2e

package e2e

import (
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Names that a shell could execute, expand or split. Executing one would create the file.
var shellTricks = []string{
	"$(touch pwned)", "`touch pwned`", "(touch pwned)", ";touch pwned;", "|touch pwned|", "&touch pwned&", "\ntouch pwned\n", ">pwned", "<(touch pwned)",
	"$IFS;touch pwned;", `";touch pwned;"`, "';touch pwned;'", `\`, "{a,b}", "*", "?", "[a]", "!touch", "~", "^touch^", "=touch", "%touch", "#", "\ttab", " space", "\x1b[31m", "\u202e", ",",
}

// trickyNames returns pairs of names that differ at the end, because a shell inserts their common prefix.
func trickyNames() (names, prefixes []string) {
	for i, trick := range shellTricks {
		prefix := fmt.Sprintf("y%02dy", i)
		prefixes = append(prefixes, prefix)
		names = append(names, prefix+trick+"a", prefix+trick+"b", "z"+trick)
	}
	return names, prefixes
}

// peopleNamed returns a user for each name, in a group with the same name.
func peopleNamed(names ...string) []user {
	var people []user
	for _, name := range names {
		people = append(people, user{Name: name, Groups: []string{name}})
	}
	return people
}

// Programs read back all names unchanged from all output formats, and a spreadsheet finds no formula.
func TestOddNames(t *testing.T) {
	t.Parallel()
	names, _ := trickyNames()
	names = append(names, oddGroups...)
	names = append(names, "=", "<<", "~", "yes", "NO", "null", "1e3", "0o7", "12:30:45", "2001-01-01", ".inf", "---", "- a", "a: b", "a #b", "&a", "*a", "!!int 1", "%TAG",
		"a\u2028\nb", "a\u0085\nb", "\u2029", "\x7f", "\u009b31m", "\ufeffa", "\ufffe", "\U000e0001", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1")
	slices.Sort(names)
	names = slices.Compact(names)
	h := startHub(t, versions[0], peopleNamed(names...), reader)
	env := h.of(token("reader"))

	type row struct {
		Group string
		Users []string
	}
	check := func(what string, rows []row) {
		t.Helper()
		var got []string
		for _, r := range rows {
			got = append(got, r.Group)
			if !slices.Equal(r.Users, []string{r.Group}) {
				t.Errorf("%s: group %q has users %q", what, r.Group, r.Users)
			}
		}
		slices.Sort(got)
		report(t, what, same(names, got))
	}
	check("json", decode[[]row](t, succeed(t, env, "groups", "--output=json")))
	yaml := succeed(t, env, "groups", "--output=yaml")
	for parser, python := range map[string][]string{
		"PyYAML":      {kubespawner + "/bin/python", "-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"},
		"ruamel.yaml": {ruamelYAML + "/bin/python", "-c", "import json, sys, ruamel.yaml; json.dump(ruamel.yaml.YAML(typ='safe', pure=True).load(sys.stdin), sys.stdout)"},
	} {
		cmd := exec.Command(python[0], python[1:]...)
		cmd.Env, cmd.Stdin, cmd.Stderr = environment("PYTHONUTF8=1"), strings.NewReader(yaml), os.Stderr
		read, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", parser, err)
		}
		check(parser, decode[[]row](t, string(read)))
	}

	// Go's CSV reader turns \r\n in a field into \n. None of these names contains \r\n.
	readCSV := func(what, text string) (rows []row) {
		t.Helper()
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, record := range records {
			rows = append(rows, row{record[0], record[1:]})
		}
		return rows
	}
	check("csv", readCSV("csv", succeed(t, env, "groups", "--output=csv"))[1:])

	marked := readCSV("the recipe for spreadsheets", spreadsheet(t, env))
	for i, r := range marked {
		for j, cell := range append([]string{r.Group}, r.Users...) {
			if strings.ContainsAny(cell[:1], "=+-@\t\r\n") || strings.HasPrefix(cell, "＝") {
				t.Errorf("a spreadsheet would evaluate %q", cell)
			}
			cell = strings.TrimPrefix(cell, "'")
			if j == 0 {
				marked[i].Group = cell
			} else {
				marked[i].Users[j-1] = cell
			}
		}
	}
	check("the recipe for spreadsheets", marked)
}

// spreadsheet runs the recipe on the page, and returns the file that it writes.
func spreadsheet(t *testing.T, env []string) string {
	t.Helper()
	for _, recipe := range blocks(t, recipesPage, "sh") {
		if strings.Contains(recipe.Text, "@csv") {
			cmd := exec.Command("bash", "-c", recipe.Text)
			cmd.Dir, cmd.Stderr = t.TempDir(), os.Stderr
			cmd.Env = slices.Concat(env, []string{"PATH=" + programFolder(t) + ":/usr/bin:/bin"})
			text, err := cmd.Output()
			noError(t, err)
			return string(text)
		}
	}
	t.Fatalf("%s has no recipe for spreadsheets", recipesPage)
	return ""
}

// programFolder returns a folder for $PATH with the program under its real name.
func programFolder(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	noError(t, os.Symlink(program, filepath.Join(bin, "groups-exporter")))
	return bin
}
