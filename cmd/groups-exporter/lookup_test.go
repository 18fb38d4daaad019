package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

// Half of a list of users would name nobody, or only one of several users, and homes would seem to be nobody's.
func TestNothingIsPrintedUnlessAllUsersAreKnown(t *testing.T) {
	t.Parallel()
	users := make([]fakehub.User, 500)
	for i := range users {
		users[i].Name = fmt.Sprintf("user-%d", i)
	}
	for _, c := range []struct {
		what string
		fail func(h *fakehub.Hub, w http.ResponseWriter, r *http.Request) bool
		want string
	}{
		{"a hub that fails in the middle", func(_ *fakehub.Hub, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, "500"},
		{"a page that ends in the middle", func(_ *fakehub.Hub, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"items": [{"name": "user-200", "groups": [`)
			return true
		}, "EOF"},
		{"users who are deleted all the time", func(h *fakehub.Hub, _ http.ResponseWriter, _ *http.Request) bool {
			h.Update(func(users []fakehub.User) []fakehub.User {
				return append(slices.Clone(users[min(len(users), 210):]), users[:min(len(users), 210)]...)
			})
			return false
		}, "the hub's list of users changed whenever it was read, so users may be missing: try again"},
		{"scopes that can't be read", nil, "500"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			h := &fakehub.Hub{}
			h.SetUsers(users...)
			h.Grant("x", "list:users", "read:users:groups", "read:servers")
			var pages atomic.Int64
			h.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case c.fail == nil && strings.HasSuffix(r.URL.Path, "/user"):
					w.WriteHeader(http.StatusInternalServerError)
					return true
				case c.fail != nil && strings.HasSuffix(r.URL.Path, "/users") && pages.Add(1) > 1:
					return c.fail(h, w, r)
				default:
					return false
				}
			}
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			environment := func(name string) string {
				return map[string]string{"JUPYTERHUB_API_URL": server.URL, "JUPYTERHUB_API_TOKEN": "x"}[name]
			}
			for _, args := range [][]string{
				{"lookup", "user-1"}, {"homes", "--directories", "-", "--only", "orphan"}, {"homes", "--directories", "-", "--migrate", "escape:safe"},
			} {
				h.SetUsers(users...)
				pages.Store(0)
				var out, errOut bytes.Buffer
				code := run(t.Context(), args, environment, nil, strings.NewReader("user-1\n"), &out, &errOut)
				if code != exitFailure || out.Len() > 0 || !strings.Contains(errOut.String(), c.want) {
					t.Errorf("%q: exit code %d, printed %q, error %q, want an error with %q", args, code, &out, &errOut, c.want)
				}
			}
		})
	}
}

// The hub is read once, however many names there are.
func TestLookupReadsTheHubOnce(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada"})
	h.Grant("x", "list:users", "read:users:groups")
	var requests atomic.Int64
	h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/users") {
			requests.Add(1)
		}
		return false
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	environment := func(name string) string {
		return map[string]string{"JUPYTERHUB_API_URL": server.URL, "JUPYTERHUB_API_TOKEN": "x"}[name]
	}
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"lookup"}, environment, nil, strings.NewReader(strings.Repeat("ada\njupyter-ada\n", 100)), &out, &errOut)
	if code != exitOK || requests.Load() != 1 || !strings.Contains(out.String(), "200 names") {
		t.Errorf("exit code %d after %d requests, error %q:\n%s", code, requests.Load(), &errOut, &out)
	}
}

// A name can't affect a terminal or the form of the output.
func TestLookupOfHostileNames(t *testing.T) {
	environment := hostileHub(t)
	for _, name := range hostileNames() {
		for _, output := range []string{"table", "json", "yaml", "markdown"} {
			var out, errOut bytes.Buffer
			run(t.Context(), []string{"lookup", "--output", output, "--", name, "/x/" + name}, environment, nil, nil, &out, &errOut)
			if r, wrong := wrongIn(out.String()); wrong {
				t.Errorf("%q, --output %s: prints %U", name, output, r)
			}
			if r, wrong := wrongIn(errOut.String()); wrong {
				t.Errorf("%q, --output %s: an error prints %U", name, output, r)
			}
		}
	}
}
