//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"
	"go.yaml.in/yaml/v3"
)

// checked is the JSON output of check.
type checked struct {
	Hub       string
	Version   string
	Token     struct{ Kind, Name string }
	PageLimit int `json:"page_limit"`
	Users     *int
	Groups    *int
	Can       []struct {
		What    string
		OK      bool
		Missing []string
	}
	Warnings []string
}

func check(t *testing.T, env []string, args ...string) (checked, result) {
	t.Helper()
	r := run(t, env, "", append([]string{"check", "--output=json"}, args...)...)
	return decode[checked](t, r.stdout), r
}

// checkRow is a token's scopes, and what check reports about the token.
type checkRow struct {
	scopes, args  string
	users, groups int    // -1 if the token can't list them
	missing       string // required scopes that are missing, or empty if check succeeds
	warning       string // part of the only warning, or empty if there is none
}

func checkRows() []checkRow {
	var groups []string
	alpha := 0
	for _, u := range people() {
		groups = append(groups, u.Groups...)
		if slices.Contains(u.Groups, "alpha") {
			alpha++
		}
	}
	slices.Sort(groups)
	allUsers, allGroups := len(people()), len(slices.Compact(groups))+1 // emptyGroup
	return []checkRow{
		{"list:users read:users:groups", "", allUsers, -1, "", ""},
		{"list:users read:users:groups list:groups read:users:activity read:servers", "--with=activity", allUsers, allGroups, "", ""},
		{"list:users read:users list:groups read:groups", "", allUsers, allGroups, "", ""},
		{"users groups", "", allUsers, allGroups, "", ": groups and users"},
		{"users groups", "--with=activity", allUsers, allGroups, "read:servers", ": groups and users"},
		{"admin:users admin:groups servers tokens", "--with=activity", allUsers, allGroups, "", ": admin:groups, admin:users, servers and tokens"},
		{"list:users", "", allUsers, -1, "read:users:groups", ""},
		{"read:users:groups", "", -1, -1, "list:users", ""},
		{"list:groups", "", -1, allGroups, "list:users and read:users:groups", ""},
		{"list:users read:users:groups read:users:activity", "--with=activity", allUsers, -1, "read:servers", ""},
		{"list:users!group=alpha read:users:groups!group=alpha", "", alpha, -1, "list:users and read:users:groups for the whole hub", "list:users!group=alpha and read:users:groups!group=alpha"},
		{"list:users!server=user-000/ read:users:groups", "", -1, -1, "list:users for the whole hub", "list:users!server="},
		{"", "", -1, -1, "list:users and read:users:groups", ""},
	}
}

// The report of check on a token agrees with the hub's responses to it.
func TestCheck(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		var services []service
		for i, row := range checkRows() {
			services = append(services, service{name: fmt.Sprintf("row-%d", i), scopes: strings.Fields(row.scopes)})
		}
		h := startHub(t, version, people(), services...)
		for i, row := range checkRows() {
			t.Run(row.scopes+" "+row.args, func(t *testing.T) { row.check(t, h, services[i].name) })
		}
		t.Run("a user's own token", func(t *testing.T) {
			got, r := check(t, h.of(h.newToken("user-000")))
			if got.Token.Kind != "user" || got.Token.Name != "user-000" {
				t.Errorf("unexpected owner of the token: %+v", got.Token)
			}
			if want := "list:users, and read:users:groups for the whole hub"; r.code != 1 || !isMissing(r.stderr, want) {
				t.Errorf("exit code %d, want 1 because of %s:\n%s", r.code, want, r.stderr)
			}
			if !strings.Contains(strings.Join(got.Warnings, "\n"), "servers!user=user-000") {
				t.Errorf("want a warning that the token can start servers, got %q", got.Warnings)
			}
		})
		t.Run("the owner's token", func(t *testing.T) {
			got, r := check(t, h.of(token(owner)), "--with=activity")
			if r.code != 0 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "admin:groups, admin:servers, ") {
				t.Errorf("exit code %d, warnings %q\n%s", r.code, got.Warnings, r.stderr)
			}
		})
		t.Run("wrong token", func(t *testing.T) {
			refused(t, run(t, h.of("not-the-token-of-anyone"), "", "check"), "doesn't accept the token")
		})
	})
}

// check checks the report on the token of a service.
func (row checkRow) check(t *testing.T, h *hub, name string) {
	t.Helper()
	env := h.of(token(name))
	got, r := check(t, env, strings.Fields(row.args)...)
	if got.Hub != h.api || got.Version != h.version || got.Token.Kind != "service" || got.Token.Name != name {
		t.Errorf("unexpected hub or token: %+v", got)
	}
	if known(got.Users) != row.users || known(got.Groups) != row.groups {
		t.Errorf("%d users and %d groups, want %d and %d", known(got.Users), known(got.Groups), row.users, row.groups)
	}
	if listed := row.users != -1; listed != (got.PageLimit == 200) {
		t.Errorf("unexpected page limit %d", got.PageLimit)
	}
	if row.missing == "" && (r.code != 0 || r.stderr != "") {
		t.Errorf("exit code %d, want 0:\n%s", r.code, r.stderr)
	}
	if row.missing != "" && (r.code != 1 || !isMissing(r.stderr, row.missing)) {
		t.Errorf("exit code %d, want 1 because of %s:\n%s", r.code, row.missing, r.stderr)
	}
	switch {
	case row.warning == "" && len(got.Warnings) > 0, row.warning != "" && len(got.Warnings) != 1,
		row.warning != "" && !strings.Contains(got.Warnings[0], row.warning):
		t.Errorf("warnings %q, want one with %q", got.Warnings, row.warning)
	}
	agrees(t, got, run(t, env, "", "dump", "--with=activity"))
}

// agrees checks that dump prints what check says the token can read.
func agrees(t *testing.T, got checked, dump result) {
	t.Helper()
	for _, can := range got.Can {
		has := map[string]bool{
			"memberships":            dump.code == 0 && sameMemberships(published(people()), dump.stdout) == nil,
			"groups without members": strings.Contains(dump.stdout, `usergroup="`+emptyGroup+`"`),
			"active users":           strings.Contains(dump.stdout, "jupyterhub_group_active_users{"),
			"running servers":        strings.Contains(dump.stdout, "jupyterhub_group_running_servers{"),
		}[can.What]
		if dump.code != 0 && can.What != "memberships" {
			continue // without it, dump prints nothing
		}
		if has != can.OK {
			t.Errorf("%s: check reports %v, dump has it: %v\n%s", can.What, can.OK, has, dump.stderr)
		}
	}
}

// isMissing reports whether an error says that the token is missing scopes.
func isMissing(stderr, scopes string) bool {
	rest, found := strings.CutPrefix(stderr, "groups-exporter: the hub token is missing the scope")
	return found && strings.HasPrefix(strings.TrimPrefix(rest, "s"), " "+scopes+"\n")
}

func known(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

// check succeeds on a hub that is configured with the roles that check prints.
func TestCheckRole(t *testing.T) {
	t.Parallel()
	const before, between = "\n# Add this role to jupyterhub_config.py. If a role of this name exists, change that one instead:\n", "\n# The same in the values of Zero to JupyterHub:\n"
	asker := service{name: "asker"}
	h := startHub(t, versions[0], []user{}, asker)
	r := run(t, h.of(token(asker.name)), "", "check", "--with=activity")
	h.stop()
	if r.code != 1 {
		t.Errorf("without scopes: exit code %d", r.code)
	}
	_, roles, found := strings.Cut(r.stdout, before)
	python, values, foundToo := strings.Cut(roles, between)
	if !found || !foundToo {
		t.Fatalf("no roles in:\n%s", r.stdout)
	}

	type role struct{ Services, Scopes []string }
	var chart struct {
		Hub struct {
			LoadRoles map[string]role `yaml:"loadRoles"`
		}
	}
	noError(t, yaml.Unmarshal([]byte(values), &chart))
	report(t, "roles for Zero to JupyterHub", same(map[string]role{"groups-exporter": {
		[]string{asker.name}, []string{"list:users", "read:users:groups", "read:users:activity", "read:servers"},
	}}, chart.Hub.LoadRoles))

	here := people()
	h = prepareHub(t, versions[0], "/", here, asker)
	// A configuration without roles so far, and with small pages. It has another name, because the hub reads
	// jupyterhub_config.json after jupyterhub_config.py.
	config := `import json
from traitlets.config import Config

c.merge(Config(json.load(open("jupyterhub_config.json"))))
del c.JupyterHub["load_roles"]
c.JupyterHub.api_page_max_limit = 50
` + python
	writeFile(t, filepath.Join(h.dir, "with_role.py"), config, 0o600)
	h.startWith("with_role.py")
	env := h.of(token(asker.name))
	got, r := check(t, env, "--with=activity")
	if r.code != 0 || len(got.Warnings) > 0 || got.PageLimit != 50 {
		t.Errorf("exit code %d, warnings %q, %d a page\n%s", r.code, got.Warnings, got.PageLimit, r.stderr)
	}
	text := succeed(t, env, "check", "--with=activity")
	cost := fmt.Sprintf("\nrefresh  %d requests: the hub gives 50 a page (api_page_max_limit)\n", (len(here)+49)/50)
	if !strings.Contains(text, cost) || strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		t.Errorf("want %q, and nothing outside ASCII in a pipe:\n%s", cost, text)
	}
	report(t, "dump", sameMemberships(published(here), succeed(t, env, "dump", "--with=activity")))

	fitsTerminal(t, h)
}

// fitsTerminal checks that the report on a terminal has signs, and that its lines fit the width. No scope is
// missing, so the report has no role.
func fitsTerminal(t *testing.T, h *hub) {
	t.Helper()
	for _, columns := range []int{80, 40} {
		screen := onTerminal(t, h.of(token(owner)), columns, "check", "--with=activity")
		if strings.Contains(screen, "load_roles") {
			t.Errorf("report has a role, although no scope is missing:\n%s", screen)
		}
		if !strings.Contains(screen, "\n✓ memberships\n") || !strings.Contains(screen, "\n! the token can write,") {
			t.Errorf("report on a terminal has no signs:\n%s", screen)
		}
		for line := range strings.Lines(screen) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > columns && !strings.Contains(line, h.api) {
				t.Errorf("line of %d columns, want at most %d: %s", n, columns, line)
			}
		}
	}
}

// onTerminal runs the program on a terminal and returns its output.
func onTerminal(t *testing.T, env []string, columns int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = env
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: uint16(columns)})
	noError(t, err)
	defer terminal.Close()
	var screen bytes.Buffer
	_, _ = io.Copy(&screen, terminal) // returns an error when the program ends
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &screen)
	}
	return strings.ReplaceAll(screen.String(), "\r\n", "\n")
}
