package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

// hostileNames returns names that mean something to a terminal, a shell, YAML, Markdown
// or a spreadsheet. All are names that a hub may have.
func hostileNames() []string {
	names := []string{
		"=", "<<", "~", "yes", "Null", "007", "1e3", "12:30:45", "2001-01-01", ".inf", "---", "- a", "a: b", "a #b", "&a", "*a", "!!int 1", "%TAG",
		`a\|b`, "a|b", "| |", "*b*", "_b_", "~~b~~", "[x](https://example.org)", "https://example.org", "www.example.org", "<img src=x onerror=alert(1)>", "&amp;",
		"`", "``a`", "a`|`b", "@ada", "#1", "ada@example.org", ":+1:", "$x$", "a, b", "1. a", "> a", "# a", "+3", `\`, `a\`, `"a"`,
		"=cmd|' /C calc'!A0", "$(id)", "`id`", "'", "a;b", "a b", " a ", "{a,b}", "!!", "\u00e9\u00df\u4e2d", "",
	}
	for _, r := range "\x00\t\n\r\x1b\x7f\u0085\u009b\u00a0\u00ad\u061c\u115f\u200b\u200d\u200e\u202e\u2028\u2029\u2066\u3164\ufe0f\ufeff\ufffe\ufffd\U000e0001\U0001f600" {
		names = append(names, "a"+string(r)+"b", "a"+string(r)+"\nb")
	}
	return names
}

// hostileHub returns a hub whose users, groups and own words are hostile.
func hostileHub(t *testing.T) func(string) string {
	t.Helper()
	var users []fakehub.User
	for i, name := range hostileNames() {
		if name != "" {
			users = append(users, fakehub.User{Name: name, Groups: hostileNames()[i : i+1]})
		}
	}
	return hubWith(t, users...)
}

// hubWith starts a hub with users, and returns an environment with its address and a token.
func hubWith(t *testing.T, users ...fakehub.User) func(string) string {
	t.Helper()
	h := &fakehub.Hub{}
	h.SetUsers(users...)
	h.Grant("x", "list:users", "read:users:groups")
	return environmentOf(t, h)
}

// environmentOf serves a hub with the token x, and returns the environment for it.
func environmentOf(t *testing.T, h *fakehub.Hub) func(string) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return func(name string) string {
		return map[string]string{"JUPYTERHUB_API_URL": server.URL, "JUPYTERHUB_API_TOKEN": "x"}[name]
	}
}

func stdoutOf(t *testing.T, environment func(string) string, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(t.Context(), args, environment, nil, strings.NewReader(""), &out, &errOut); code != exitOK {
		t.Fatalf("%q: exit code %d, error %q", args, code, &errOut)
	}
	return out.String()
}

// wrongIn returns a character that would do something to a terminal or hide something.
func wrongIn(text string) (rune, bool) {
	i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && (!unicode.IsPrint(r) || unicode.In(r, unicode.C, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && r != ' ')
	})
	if i < 0 {
		return 0, false
	}
	return []rune(text[i:])[0], true
}

func TestWhatIsPrintedIsVisible(t *testing.T) {
	environment := hostileHub(t)
	for _, output := range []string{"table", "wide", "json", "yaml", "markdown"} {
		for _, by := range []string{"group", "user"} {
			if r, wrong := wrongIn(stdoutOf(t, environment, "groups", "--by", by, "--output", output)); wrong {
				t.Errorf("groups --by %s --output %s prints %U", by, output, r)
			}
		}
	}
	for _, name := range hostileNames() {
		for _, output := range []string{"table", "wide", "json"} {
			if r, wrong := wrongIn(stdoutOf(t, environment, "escape", "--output", output, "--", name)); wrong {
				t.Errorf("escape --output %s of %q prints %U", output, name, r)
			}
		}
		if r, wrong := wrongIn(stdoutOf(t, environment, "groups", "--", name)); wrong {
			t.Errorf("groups %q prints %U", name, r)
		}
		var errOut bytes.Buffer
		if code := run(t.Context(), []string{"dump", name}, environment, nil, nil, io.Discard, &errOut); code != exitUsage {
			t.Errorf("dump %q: exit code %d", name, code)
		}
		if r, wrong := wrongIn(errOut.String()); wrong {
			t.Errorf("an error about %q prints %U", name, r)
		}
		testCheckOf(t, name)
	}
}

// testCheckOf checks a hub whose every word is a name.
func testCheckOf(t *testing.T, name string) {
	t.Helper()
	answer, err := json.Marshal(map[string]any{
		"version": "3.0.0" + name, "kind": "service" + name, "name": name, "scopes": []string{"list:users", "read:users", "groups!group=" + name, name},
		"items": []any{}, "_pagination": map[string]any{"limit": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	defer server.Close()
	for _, output := range []string{"text", "json"} {
		environment := func(variable string) string {
			return map[string]string{"JUPYTERHUB_API_URL": server.URL, "JUPYTERHUB_API_TOKEN": "x", "JUPYTERHUB_SERVICE_NAME": name}[variable]
		}
		if r, wrong := wrongIn(stdoutOf(t, environment, "check", "--output", output)); wrong {
			t.Errorf("check --output %s of a hub that says %q prints %U", output, name, r)
		}
	}
}

// What programs read is what the hub has, whatever was escaped.
func TestNamesComeBackFromJSONAndYAML(t *testing.T) {
	environment := hostileHub(t)
	var want []string
	for _, name := range hostileNames() {
		if name != "" {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	for output, decode := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
		var groups []struct {
			Group string
			Users []string
		}
		if err := decode([]byte(stdoutOf(t, environment, "groups", "--output", output)), &groups); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range groups {
			got = append(got, g.Group)
			if !slices.Equal(g.Users, []string{g.Group}) {
				t.Errorf("%s: %q has users %q", output, g.Group, g.Users)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: groups %q, want %q", output, got, want)
		}
	}
}

// A text without quotes has to be one in every version of YAML.
func TestPlainYAML(t *testing.T) {
	for text, want := range map[string]string{
		"ada@example.org": "ada@example.org", "bio-lab/a.b_c": "bio-lab/a.b_c", "a:b": "a:b",
		"=": `"="`, "<<": `"<<"`, "~": `"~"`, "Yes": `"Yes"`, "n": `"n"`, "NULL": `"NULL"`, "": `""`, "007": `"007"`, "-a": `"-a"`, "_1": `"_1"`,
		"a b": `"a b"`, "a:": `"a:"`, "1:2": `"1:2"`, "a,b": `"a,b"`, "\u00e9": "\"\u00e9\"", "a\u2028\nb": `"a\L\nb"`, "\u0085": `"\N"`, "\U000e0001": `"\U000E0001"`,
	} {
		var written strings.Builder
		if err := writeYAML(&written, text); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(written.String(), "\n"); got != want {
			t.Errorf("%q is written as %s, want %s", text, got, want)
		}
	}
}
