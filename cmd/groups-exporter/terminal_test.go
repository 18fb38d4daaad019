//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"github.com/groups-exporter/groups-exporter/internal/report"
)

// onTerminal returns what a command prints on a terminal with so many columns.
func onTerminal(t *testing.T, columns int, args ...string) string {
	t.Helper()
	return shownOnTerminal(t, columns, func(screen io.Writer) {
		var errOut bytes.Buffer
		code := run(t.Context(), args, func(string) string { return "" }, nil, nil, screen, &errOut)
		if code != exitOK || errOut.Len() > 0 {
			t.Errorf("%q: exit code %d, error %q", args, code, &errOut)
		}
	})
}

// shownOnTerminal returns what is written to a terminal with so many columns.
func shownOnTerminal(t *testing.T, columns int, write func(screen io.Writer)) string {
	t.Helper()
	keyboard, screen, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	if err := pty.Setsize(screen, &pty.Winsize{Rows: 50, Cols: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		var text bytes.Buffer
		_, _ = io.Copy(&text, keyboard) // at the end of a terminal, Linux returns an error
		shown <- strings.ReplaceAll(text.String(), "\r\n", "\n")
	}()
	write(screen)
	screen.Close()
	return <-shown
}

// Who has to type a list is told so.
func TestTypedNames(t *testing.T) {
	for args, want := range map[string]string{
		"escape":                          "reading names, one per line; Ctrl-D ends",
		"lookup --demo --null":            "reading names with NUL after each; Ctrl-D ends",
		"homes --demo --directories -":    "reading directories, one per line; Ctrl-D ends",
		"homes --demo --directories - -0": "reading directories with NUL after each; Ctrl-D ends",
		"homes --demo --claims -":         "reading the output of kubectl get pvc -o json; Ctrl-D ends",
	} {
		keyboard, screen, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keyboard.WriteString("\x04"); err != nil {
			t.Fatal(err)
		}
		var errOut bytes.Buffer
		run(t.Context(), strings.Fields(args), func(string) string { return "" }, nil, screen, io.Discard, &errOut)
		if first, _, _ := strings.Cut(errOut.String(), "\n"); first != "groups-exporter: "+want {
			t.Errorf("%s: got %q, want %s", args, first, want)
		}
		keyboard.Close()
		screen.Close()
	}
}

// No line is wider than the terminal, and each way to show everything shows each name.
func TestGroupsFitTheTerminal(t *testing.T) {
	everything := [][]string{{"groups", "bio-lab"}, {"groups", "--output=wide"}, {"groups", "--by=user", "--output=wide"}, {"groups", "--by=user", "--output=wide", "--group=bio-lab"}}
	shortened := [][]string{{"groups"}, {"groups", "--sort=members"}, {"groups", "--by=user"}}
	for _, columns := range []int{60, 80, 100, 120} {
		for _, args := range append(everything, shortened...) {
			t.Run(fmt.Sprint(columns, args), func(t *testing.T) {
				text := onTerminal(t, columns, append(args, "--demo")...)
				for line := range strings.Lines(text) {
					if strings.HasPrefix(line, "  ESCAPED  ") { // a single word, which may be longer
						continue
					}
					if twwidth.Width(strings.TrimSuffix(line, "\n")) > columns {
						t.Errorf("wider than the terminal: %s", line)
					}
				}
			})
		}
		for _, args := range everything {
			text := onTerminal(t, columns, append(args, "--demo")...)
			members := strings.Fields(stdoutOf(t, func(string) string { return "" }, "groups", "--demo", "--output=tsv", "--group=bio-lab"))
			for _, name := range members[2:] {
				if !strings.Contains(text, name) {
					t.Errorf("%q on %d columns doesn't show %q", args, columns, name)
				}
			}
		}
	}
}

func TestGroupsOnATerminal(t *testing.T) {
	for _, c := range []struct {
		columns int
		args    string
		want    string
	}{
		{60, "groups --user *müller", `
┌───────────────┬─────────┬─────────────────────────────┐
│ GROUP         │ MEMBERS │ USERS                       │
├───────────────┼─────────┼─────────────────────────────┤
│ astronomy-201 │       1 │ Amara_müller                │
│ bio-lab       │       1 │ Chloé_müller                │
│ chem-101      │       1 │ jan-müller                  │
│ climate-lab   │       2 │ Chloé_müller, fatima-müller │
│ cs-341        │       1 │ Zoë_müller                  │
│ data-8        │       1 │ fatima-müller               │
│ gpu-users     │       2 │ Chen_müller, Юлия_müller    │
│ none          │       1 │ George_müller               │
└───────────────┴─────────┴─────────────────────────────┘

7 groups, 8 users
`},
		{50, "groups --user *müller --sort members climate-lab gpu-users bio-lab", `
┌─────────────┬─────────┬─────────────────┐
│ GROUP       │ MEMBERS │ USERS           │
├─────────────┼─────────┼─────────────────┤
│ climate-lab │       2 │ Chloé_müller +1 │
│ gpu-users   │       2 │ Chen_müller +1  │
│ bio-lab     │       1 │ Chloé_müller    │
└─────────────┴─────────┴─────────────────┘

3 groups, 4 users
`},
		{40, "groups --user *müller climate-lab", `
climate-lab
  MEMBERS  2
  USERS    Chloé_müller, fatima-müller

1 group, 2 users
`},
		{40, "groups --by user --user f*müller --output wide", `
fatima-müller
  ESCAPED  fatima-2dm-c3-bcller
  SAFE     fatima-m-ller---49ff1139
  GROUPS   climate-lab, data-8

2 groups, 1 user
`},
	} {
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), onTerminal(t, c.columns, append(strings.Fields(c.args), "--demo")...)); diff != "" {
			t.Errorf("%s (%d columns): -want +got\n%s", c.args, c.columns, diff)
		}
	}
}

// A report is no wider than the terminal, and says which columns have no room.
func TestReportsFitTheTerminal(t *testing.T) {
	reports := map[string]*report.Report{"month": october(t, "bio-lab", "a-group-with-a-name-of-forty-characters-"), "weeks": weeks(t)}
	for name, r := range reports {
		for _, columns := range []int{50, 60, 80, 100, 120, 160, 240, 400} {
			text := shownOnTerminal(t, columns, func(screen io.Writer) {
				if err := writeReport(screen, r, outputTable); err != nil {
					t.Error(err)
				}
			})
			for line := range strings.Lines(text) {
				if twwidth.Width(strings.TrimSuffix(line, "\n")) > columns {
					t.Errorf("%s: wider than a terminal with %d columns: %s", name, columns, line)
				}
			}
			plain := strings.Join(strings.Fields(strings.ToUpper(text)), " ")
			for _, column := range r.Columns() {
				isShown := column.Kind != report.Metadata && r.HasData(column)
				if noun := strings.ToUpper(column.Measure.Noun()); isShown && !strings.Contains(plain, strings.ToUpper(column.Title)) && !strings.Contains(plain, noun) {
					t.Errorf("%s: nothing about %s on %d columns", name, column.Name, columns)
				}
			}
			if columns == 60 || columns == 80 || columns == 120 {
				checkFile(t, fmt.Sprintf("testdata/report/%s.%d", name, columns), text)
			}
		}
	}
}
