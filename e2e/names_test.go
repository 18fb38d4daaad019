//go:build e2e

package e2e

import (
	"encoding/csv"
	"fmt"
	"os"
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

	checkNames(t, "json", names, decode[[]namedRow](t, succeed(t, env, "groups", "--output=json")))
	yaml := succeed(t, env, "groups", "--output=yaml")
	for parser, python := range map[string][]string{
		"PyYAML":      {kubespawner + "/bin/python", "-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"},
		"ruamel.yaml": {ruamelYAML + "/bin/python", "-c", "import json, sys, ruamel.yaml; json.dump(ruamel.yaml.YAML(typ='safe', pure=True).load(sys.stdin), sys.stdout)"},
	} {
		checkNames(t, parser, names, decode[[]namedRow](t, outputOf(t, "", environment("PYTHONUTF8=1"), yaml, python...)))
	}
	checkNames(t, "csv", names, readCSV(t, succeed(t, env, "groups", "--output=csv"))[1:])
	cells := readCSV(t, spreadsheet(t, env))
	for i := range cells {
		for _, cell := range []*string{&cells[i].Group, &cells[i].Users[0]} {
			if strings.ContainsAny((*cell)[:1], "=+-@\t\r\n") || strings.HasPrefix(*cell, "＝") {
				t.Errorf("a spreadsheet would evaluate %q", *cell)
			}
			*cell = strings.TrimPrefix(*cell, "'")
		}
	}
	checkNames(t, "the recipe for spreadsheets", names, cells)
}

type namedRow struct {
	Group string
	Users []string
}

// checkNames checks that each name is a group whose only user has the same name.
func checkNames(t *testing.T, what string, names []string, rows []namedRow) {
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

// readCSV reads groups and users. Go's CSV reader turns \r\n in a field into \n. None of the names contains \r\n.
func readCSV(t *testing.T, text string) (rows []namedRow) {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	noError(t, err)
	for _, record := range records {
		rows = append(rows, namedRow{record[0], record[1:]})
	}
	return rows
}

// spreadsheet runs the recipe on the page, and returns the file that it writes.
func spreadsheet(t *testing.T, env []string) string {
	t.Helper()
	for _, recipe := range blocks(t, recipesPage, "sh") {
		if strings.Contains(recipe.Text, "@csv") {
			return outputOf(t, t.TempDir(), slices.Concat(env, []string{"PATH=" + programFolder(t) + ":/usr/bin:/bin"}), "", "bash", "-c", recipe.Text)
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
