//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// completed are lines that a user types, with the last word that Tab completes them to.
var completed = map[string]string{
	"groups-exporter esc":                    "escape",
	"groups-exporter escape --sch":           "--scheme",
	"groups-exporter escape --scheme la":     "label",
	"groups-exporter groups --output mark":   "markdown",
	"groups-exporter serve --multi-group mu": "multiple",
	"groups-exporter serve --with share,ac":  "share,activity",
	"groups-exporter rules --only al":        "alerts",
	"groups-exporter groups --group zo":      "zoology",
	"groups-exporter groups zo":              "zoology",
	"groups-exporter serve --allow-group zo": "zoology",
	"groups-exporter dump --deny-group zo":   "zoology",
	"groups-exporter groups --user ad":       "ada@example.org",
	// These names would do something if the shell expanded them.
	"groups-exporter groups --user z":   "zoë/x+1@example.org:2",
	"groups-exporter groups --group /x": "/xyz_1",
}

// In a real shell, with the generated completions, Tab completes what was typed.
func TestCompletion(t *testing.T) {
	t.Parallel()
	hostile, prefixes := trickyNames()
	people := append(peopleNamed(hostile...), user{Name: "ada@example.org", Groups: []string{"zoology"}}, user{Name: "bob"}, user{Name: "zoë/x+1@example.org:2", Groups: []string{"/xyz_1"}})
	h := startHub(t, versions[0], people, reader)
	completions, err := filepath.Abs("../completions")
	noError(t, err)
	bin := programFolder(t)
	env := append(h.of(token("reader")), "PATH="+bin+":/usr/bin:/bin", "HOME="+t.TempDir(), "TERM=dumb", "LANG=C.UTF-8")
	for name, shell := range map[string]struct {
		start []string
		load  string
	}{
		"bash": {[]string{"bash", "--norc", "--noprofile", "-i"}, "source /usr/share/bash-completion/bash_completion; source " + completions + "/groups-exporter.bash"},
		"zsh":  {[]string{"zsh", "-f", "-i"}, "autoload -U compinit; compinit -u; source " + completions + "/groups-exporter.zsh"},
		"fish": {[]string{"fish", "--no-config", "-i"}, "source " + completions + "/groups-exporter.fish"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			terminal := typeInto(t, env, shell.start...)
			terminal.types(shell.load + "\n")
			for typed, want := range completed {
				// The whole word appears only if the shell completes it.
				terminal.completes(typed, want)
			}
			list := "groups-exporter serve --hub-\t\t"
			if name == "fish" { // in fish, a second Tab selects an entry
				list = "complete -C 'groups-exporter serve --hub-'\n"
			}
			terminal.types(list)
			if !terminal.until(time.Minute, func() bool { return strings.Contains(terminal.screen(), "file with the token") }) {
				t.Fatalf("no descriptions of flags, or they have backquotes: %q", terminal.screen())
			}
			terminal.executesNothing(prefixes)
		})
	}
}

// executesNothing presses Tab after lines with tricky names, and checks that the shell executes none of them.
func (term *terminal) executesNothing(prefixes []string) {
	term.t.Helper()
	term.types("\x15") // Ctrl-U
	lines := []string{ // with names that somebody has quoted correctly
		`groups --user 'z$(id>pwned)a' --by `, `groups --user z\$\(id\>pwned\)a --by `, `groups --group 'a;id>pwned;' -o `,
		"groups --user 'a`id>pwned`' --by ", `escape 'a;id>pwned;' --sc`,
	}
	for _, flag := range []string{"--user", "--group"} {
		for _, prefix := range prefixes {
			lines = append(lines, "groups "+flag+" "+prefix)
		}
	}
	for _, line := range lines {
		term.types("groups-exporter " + line + "\t\t\t\x15") // Ctrl-U
		term.runs()
		if left, err := os.ReadDir(term.dir); err != nil || len(left) > 0 {
			term.t.Fatalf("Tab after %s ran a command: found %v (error: %v)", line, left, err)
		}
	}
}

// terminal is an interactive shell.
type terminal struct {
	t    *testing.T
	dir  string
	keys *os.File
	mu   sync.Mutex
	seen bytes.Buffer
}

func typeInto(t *testing.T, env []string, shell ...string) *terminal {
	t.Helper()
	cmd := exec.Command(shell[0], shell[1:]...)
	cmd.Env, cmd.Dir = env, t.TempDir()
	keys, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	noError(t, err)
	term := &terminal{t: t, dir: cmd.Dir, keys: keys}
	read := make(chan struct{})
	go func() {
		defer close(read)
		part := make([]byte, 4096)
		for {
			n, err := keys.Read(part)
			term.mu.Lock()
			term.seen.Write(part[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		keys.Close()
		<-read
	})
	return term
}

func (term *terminal) types(text string) {
	term.t.Helper()
	if _, err := term.keys.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

var escapes = regexp.MustCompile("\x1b(\\[[0-9;?>=]*[a-zA-Z]|\\][^\x07]*\x07|[()][A-Z0-9]|[=>])")

// screen returns all output so far, without escape sequences.
func (term *terminal) screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return escapes.ReplaceAllString(term.seen.String(), "")
}

// until waits for a condition, and reports whether it is met in time.
func (term *terminal) until(limit time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return false
}

// runs waits until the shell has processed all input.
func (term *terminal) runs() {
	term.t.Helper()
	before := len(term.screen())
	term.types("echo al''l-done\n")
	if !term.until(2*time.Minute, func() bool { return strings.Contains(term.screen()[before:], "all-done") }) {
		term.t.Fatalf("the shell doesn't respond: %.3000q", term.screen()[before:])
	}
}

// completes types the start of a line, presses Tab until the line is complete, and then clears it.
func (term *terminal) completes(typed, want string) {
	term.t.Helper()
	words := strings.Fields(typed)
	rest := strings.TrimPrefix(want, words[len(words)-1])
	if rest == want {
		term.t.Fatalf("%q doesn't begin with the end of %q", want, typed)
	}
	before := len(term.screen())
	term.types(typed + "\t")
	if !term.until(20*time.Second, func() bool {
		shown := term.screen()[before:]
		// A shell may print the whole line again, or only the added part.
		return strings.Contains(shown[max(0, strings.LastIndex(shown, words[len(words)-1])):], rest)
	}) {
		term.t.Errorf("%q is not completed to %q: %q", typed, want, term.screen()[before:])
	}
	term.types("\x15\n") // Ctrl-U
}
