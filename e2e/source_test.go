//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seer may read what memberships can be read from.
var seer = service{name: "seer", scopes: []string{"list:users", "read:users:groups", "list:groups", "read:groups"}}

// Whatever changes in a hub, memberships that were read from its groups are those of its users.
func TestSource(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			blind := []service{
				{name: "no-list", scopes: []string{"list:users", "read:users:groups", "read:groups"}},
				{name: "no-read", scopes: []string{"list:users", "read:users:groups", "list:groups"}},
			}
			h := startHub(t, version, people(), append(blind, seer)...)
			t.Run("groups", func(t *testing.T) { fromGroups(t, h) })
			t.Run("auto", func(t *testing.T) { fromEither(t, h, blind) })
		})
	}
}

func fromGroups(t *testing.T, h *hub) {
	e := watch(h, seer, "--source=groups")
	here := len(people())
	create := func(name string) {
		h.change("POST", "/users/"+name, nil)
		here++
	}
	remove := func(name string) {
		h.change("DELETE", "/users/"+name, nil)
		here--
	}
	members := func(method, group string, names ...string) {
		h.change(method, "/groups/"+url.PathEscape(group)+"/users", map[string][]string{"users": names})
	}
	const all = " users@0 users@200 users@400 user groups@0"
	unchanged := 0.0
	for _, change := range []struct {
		what string
		do   func()
		then string // what it asks for after groups and the newest user that it knows
		same bool   // the hub says that its groups are
	}{
		{"the first groups with members", func() {}, "", false},
		{"nothing", func() {}, "", true},
		{"a new user", func() { create("new-loner") }, "", true},
		{"a new user in a group", func() { create("new-member"); members("POST", "Grp,Comma", "new-member") }, "", false},
		{"users in one group more", func() { members("POST", "alpha", "user-000", "new-loner") }, "", false},
		{"users in one group less", func() { members("DELETE", "beta", "user-002", "user-003") }, "", false},
		{"a new group", func() { h.change("POST", "/groups/new-group", nil) }, "", false},
		{"a deleted group", func() { h.change("DELETE", "/groups/UPPER", nil) }, "", false},
		{"a deleted user", func() { remove("user-007") }, all, false},
		{"the newest user replaced", func() { remove("new-member"); create("replacement") }, all, false},
		{"another one replaced", func() { remove("user-008"); create("new-member") }, all, false},
		{"a member renamed", func() { h.change("PATCH", "/users/user-004", map[string]string{"name": "renamed"}) }, all, false},
	} {
		want := fmt.Sprintf("groups@0 users@%d", here-1) + change.then
		change.do()
		if asked := e.refresh(); asked != want {
			t.Errorf("%s: it asked for %s, want %s", change.what, asked, want)
		}
		exposition, err := get(e.address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		dump := succeed(t, h.of(token(seer.name)), "dump")
		if rest, found := strings.CutPrefix(exposition, dump); !found || strings.Contains(rest, "jupyterhub_") {
			t.Errorf("%s: dump and serve (-want +got)\n%s", change.what, cmp.Diff(strings.Split(dump, "\n"), strings.Split(exposition, "\n")))
		}
		families, err := parse(exposition)
		if err != nil {
			t.Fatal(err)
		}
		if change.same {
			unchanged++
		}
		if got := by("code", families["groups_exporter_hub_requests_total"])["304"]; got != unchanged {
			t.Errorf("%s: %v pages were unchanged by now, want %v", change.what, got, unchanged)
		}
	}
}

// fromEither tells what auto takes of a small hub: groups, where a token may read them, and where not,
// it doesn't try, as a refusal is a warning in the hub's log.
func fromEither(t *testing.T, h *hub, blind []service) {
	for _, s := range blind {
		if asked := watch(h, s).refresh(); asked != "users@0 users@200 users@400" {
			t.Errorf("%s: it asked for %s", s.name, asked)
		}
	}
	_, told, _ := strings.Cut(h.process.output(), "JupyterHub is now running")
	for line := range strings.Lines(told) {
		if strings.HasPrefix(line, "[W ") {
			t.Errorf("the hub warns: %s", line)
		}
	}
	asked := ""
	for range 5 { // on a busy machine a page may take too long once
		if asked = watch(h, seer).refresh(); strings.HasPrefix(asked, "groups@0 ") {
			return
		}
	}
	t.Errorf("%s: it asked for %s", seer.name, asked)
}

// watched is an exporter that asks a hub when it is told to, through a proxy that notes what it asked.
type watched struct {
	*process
	address string
	mu      sync.Mutex
	asked   []string
}

// watch starts one that has asked once.
func watch(h *hub, as service, args ...string) *watched {
	h.t.Helper()
	e := &watched{}
	front := h.front(func(r *http.Request, answer func()) {
		what := strings.TrimPrefix(r.URL.Path, "/hub/api/")
		if offset := r.URL.Query().Get("offset"); offset != "" {
			what += "@" + offset
		}
		e.mu.Lock()
		e.asked = append(e.asked, what)
		e.mu.Unlock()
		answer()
	})
	args = append([]string{"--hub-url=" + front, "--refresh-interval=24h", "--max-staleness=48h", "--log.level=debug"}, args...)
	e.process, e.address = serve(h.t, h.of(token(as.name)), args...)
	e.untilLog("msg=refreshed", 1)
	return e
}

// refresh makes it ask, and returns what it asked, which goes well.
func (e *watched) refresh() string {
	e.t.Helper()
	return e.again("msg=refreshed")
}

// fail makes it ask a hub that is away.
func (e *watched) fail() {
	e.t.Helper()
	e.again(`msg="refresh failed"`)
}

func (e *watched) again(end string) string {
	e.t.Helper()
	e.mu.Lock()
	e.asked = nil
	e.mu.Unlock()
	before := strings.Count(e.output(), end)
	e.cmd.Process.Signal(syscall.SIGHUP)
	e.untilLog(end, before+1)
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.asked, " ")
}

func (e *watched) untilLog(what string, times int) {
	e.t.Helper()
	e.until("its log says "+what, 5*time.Minute, func() error {
		if n := strings.Count(e.output(), what); n < times {
			return fmt.Errorf("%d times, not %d", n, times)
		}
		return nil
	})
}

// front starts a proxy before the hub, which lets between do something around each answer.
func (h *hub) front(between func(r *http.Request, answer func())) string {
	h.t.Helper()
	hub, err := url.Parse(h.api)
	if err != nil {
		h.t.Fatal(err)
	}
	forward := httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = hub.Scheme, hub.Host
			// The hub builds the address of the next page from this. Who follows it ends nowhere.
			r.Out.Host = "elsewhere.invalid"
		},
		ErrorLog: log.New(io.Discard, "", 0), // of a hub that a test stopped
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		between(r, func() { forward.ServeHTTP(w, r) })
	}))
	h.t.Cleanup(server.Close)
	return server.URL
}
