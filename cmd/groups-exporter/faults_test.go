package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/ports"
)

// fault is something that goes wrong between the exporter and its hub.
type fault struct {
	what   string
	begin  func(*troubled)
	reason string // under which the refresh counts as failed
}

// TestFaults lets a hub go wrong in every way that we know of. Before it, scrapes see what the hub has; while it
// lasts, the same, whole, and that the hub is down; and after it, what changed meanwhile. Nothing is left running.
func TestFaults(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("all", func(t *testing.T) {
		for _, f := range faults() {
			t.Run(f.what, func(t *testing.T) {
				t.Parallel()
				testFault(t, f)
			})
		}
	})
	err := goleak.Find(before)
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); {
		err = goleak.Find(before) // which waits too, but not long
	}
	if err != nil {
		t.Error(err)
	}
}

// answer has every request for a page of users answered so, from the given offset on.
func answer(offset int, with http.HandlerFunc) func(*troubled) {
	return func(h *troubled) {
		h.intercept(func(w http.ResponseWriter, r *http.Request) bool {
			at, _ := strconv.Atoi(r.URL.Query().Get("offset"))
			if strings.HasSuffix(r.URL.Path, "/users") && at >= offset {
				with(w, r)
				return true
			}
			return false
		})
	}
}

// answerWith answers with a text.
func answerWith(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}
}

// faults returns one or more faults for each reason. The tests of package hub have many more answers.
func faults() []fault {
	status := func(code int, headers ...string) func(*troubled) {
		return answer(0, func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
		})
	}
	body := func(contentType, text string) func(*troubled) { return answer(1, answerWith(contentType, text)) }
	const json = "application/json"
	return []fault{
		{"connection refused", func(h *troubled) { h.wire.refuse() }, "connect"},
		{"reset in the body", func(h *troubled) { h.wire.cut(250, true) }, "connect"},
		{"cut off in the body", func(h *troubled) { h.wire.cut(250, false) }, "connect"},
		{"byte by byte", func(h *troubled) { h.wire.slowly() }, "timeout"},
		{"an answer after the timeout", answer(1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "timeout"},
		{"403 for one page", answer(1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), "status"},
		{"403 for the token", func(h *troubled) { h.hub.Revoke("t") }, "token"},
		{"a scope taken away", func(h *troubled) { h.hub.Grant("t", "list:users") }, "scope"},
		{"429 for an hour", status(429, "Retry-After", "3600"), "status"},
		{"500", status(500), "status"},
		{"a redirect", status(302, "Location", "http://127.0.0.1:1/"), "status"},
		{"HTML", body("text/html", "<!doctype html>"), "format"},
		{"JSON of another shape", body(json, `{"users": []}`), "format"},
		{"no groups", body(json, `{"items":[{"name":"x"}],"_pagination":{"offset":1,"limit":2,"total":5,"next":null}}`), "scope"},
		{"a name of a megabyte", body(json, `{"items":[{"name":"`+strings.Repeat("x", 1<<20)+`","groups":[]}]}`), "too_large"},
		{"a page that points to itself", body(json, `{"items":[{"name":"x","groups":[]}],"_pagination":{"limit":2,"total":9,"next":{"offset":2,"limit":2}}}`), "format"},
	}
}

func testFault(t *testing.T, f fault) {
	timeout := time.Hour // on a slow machine, a large answer takes its time
	if f.reason == "timeout" {
		timeout = time.Second
	}
	h := newTroubled(t, timeout)
	h.until("before it", "1", "")
	h.begin(f)
	h.until("while it lasts", "0", f.reason)
	h.end()
	h.until("after it", "1", f.reason)
}

// troubled is a hub, the wire to it, and an exporter at the other end.
type troubled struct {
	t       *testing.T
	hub     *fakehub.Hub
	wire    *wire
	handler http.Handler
	trouble atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	changed bool // what the hub has since the fault
}

func newTroubled(t *testing.T, timeout time.Duration) *troubled {
	t.Helper()
	h := &troubled{t: t, hub: &fakehub.Hub{MaxLimit: 2}}
	h.hub.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		intercept := h.trouble.Load()
		return intercept != nil && (*intercept)(w, r)
	}
	h.hub.SetUsers(usersOf("before")...)
	h.end()
	behind := httptest.NewServer(h.hub)
	t.Cleanup(behind.Close)
	h.wire = newWire(t, behind.Listener.Addr().String())

	api, err := hub.APIURL("http://" + h.wire.address)
	if err != nil {
		t.Fatal(err)
	}
	o := serveOptions{
		hub:       hubOptions{api: api, token: hub.NewToken("t"), namespace: "n", timeout: timeout},
		publish:   publishOptions{maxSeries: 1000},
		schedules: scheduleOptions{hub: 20 * time.Millisecond, maxStaleness: time.Hour},
		web:       webOptions{telemetryPath: "/metrics", auth: authNone},
	}
	log := slog.New(slog.DiscardHandler)
	e := o.exporter(log)
	h.handler = o.handler(e, log)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return h
}

// usersOf is a hub of five users in a group, three pages of at most two.
func usersOf(group string) []fakehub.User {
	var users []fakehub.User
	for i := range 5 {
		users = append(users, fakehub.User{Name: fmt.Sprint("user", i), Groups: []string{group}})
	}
	return users
}

func (h *troubled) intercept(f func(http.ResponseWriter, *http.Request) bool) { h.trouble.Store(&f) }

// begin begins a fault, and changes the hub behind it.
func (h *troubled) begin(f fault) {
	f.begin(h)
	h.changed = true
	h.hub.SetUsers(usersOf("after")...)
}

// end makes all well.
func (h *troubled) end() {
	h.trouble.Store(nil)
	h.hub.Grant("t", "list:users", "read:users:groups")
	if h.wire != nil {
		h.wire.mend()
	}
}

// published is what scrapes see of a hub whose users are in the group.
func published(group string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "jupyterhub_group_members{namespace=\"n\",usergroup=%q} 5\n", group)
	for _, u := range usersOf(group) {
		fmt.Fprintf(&text, "jupyterhub_user_group_info{namespace=\"n\",usergroup=%[1]q,username=%[2]q,username_escaped=%[2]q,username_safe=%[2]q} 1\n", group, u.Name)
	}
	return text.String()
}

// until scrapes until the hub is up or down, and has failed for the reason. Each
// scrape has to be one whole hub, as it was or as it is.
func (h *troubled) until(when, up, reason string) {
	h.t.Helper()
	old, changed := published("before"), published("after")
	want := old
	if h.changed && up == "1" {
		want = changed
	}
	var text string
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		var ofHub strings.Builder
		isUp, failed := false, reason == ""
		for line := range strings.Lines(w.Body.String()) {
			switch {
			case strings.HasPrefix(line, "jupyterhub_"):
				ofHub.WriteString(line)
			case strings.HasPrefix(line, `groups_exporter_hub_up{namespace="n"} `+up):
				isUp = true
			case strings.HasPrefix(line, `groups_exporter_refresh_failures_total{namespace="n",reason="`+reason+`"} `):
				failed = !strings.HasSuffix(line, " 0\n")
			}
		}
		text = ofHub.String()
		if text != old && text != changed && (text != "" || h.changed) {
			h.t.Fatalf("%s, a scrape is of no whole hub:\n%s", when, text)
		}
		if isUp && failed && text == want {
			return
		}
	}
	h.t.Fatalf("%s, never with the hub at %s and a failure for %q; the last scrape:\n%s", when, up, reason, text)
}

// wire is a TCP proxy that can be made to fail.
type wire struct {
	t        *testing.T
	address  string
	behind   string
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	pass     func(dst, src net.Conn)
	running  sync.WaitGroup
}

func newWire(t *testing.T, behind string) *wire {
	t.Helper()
	address, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, address: address, behind: behind, open: map[net.Conn]bool{}}
	w.mend()
	t.Cleanup(func() {
		w.refuse()
		w.running.Wait()
		release()
	})
	return w
}

// mend lets all through, as at first.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pass = func(dst, src net.Conn) { _, _ = io.Copy(dst, src) }
	if w.listener != nil {
		return
	}
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.listener = listener
	w.running.Go(func() { w.accept(listener) })
}

func (w *wire) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.behind)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		w.open[client], w.open[server] = true, true
		pass := w.pass
		w.mu.Unlock()
		w.running.Go(func() {
			_, _ = io.Copy(server, client)
			w.hangUp(client, server)
		})
		w.running.Go(func() {
			pass(client, server)
			w.hangUp(client, server)
		})
	}
}

func (w *wire) hangUp(connections ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range connections {
		c.Close()
		delete(w.open, c)
	}
}

// change makes what follows pass so, on new connections: those that are open end.
func (w *wire) change(pass func(dst, src net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pass = pass
	for c := range w.open {
		c.Close()
	}
}

// refuse closes the port.
func (w *wire) refuse() {
	w.mu.Lock()
	if w.listener != nil {
		w.listener.Close()
		w.listener = nil
	}
	w.mu.Unlock()
	w.change(w.pass)
}

// cut ends each connection after so many bytes, by a reset or in peace.
func (w *wire) cut(after int64, reset bool) {
	w.change(func(dst, src net.Conn) {
		_, _ = io.CopyN(dst, src, after)
		if reset {
			_ = dst.(*net.TCPConn).SetLinger(0)
		}
	})
}

// slowly lets a byte through at a time.
func (w *wire) slowly() {
	w.change(func(dst, src net.Conn) {
		b := make([]byte, 1)
		for {
			if _, err := src.Read(b); err != nil {
				return
			}
			if _, err := dst.Write(b); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}
