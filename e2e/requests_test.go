//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A sweep sends as few requests as the page limit allows, one after another. It misses no user if the hub changes in the
// meantime.
func TestRequests(t *testing.T) {
	onEach(t, versions, requests)
}

func requests(t *testing.T, version string) {
	var many []user
	for i := range 3000 {
		many = append(many, user{Name: fmt.Sprintf("user-%04d", i), Groups: []string{fmt.Sprintf("group-%02d", i%50)}})
	}
	h := startHub(t, version, many, reader)
	var f front
	f.url = h.front(f.forward)
	dump := func(pages int) {
		t.Helper()
		f.pages = nil
		report(t, "dump", sameMemberships(published(many), succeed(t, h.of(token("reader")), "dump", "--hub-url="+f.url+"/hub/api")))
		if len(f.pages) != pages || f.most != 1 {
			t.Errorf("%d pages, want %d, and %d requests at a time, want 1", len(f.pages), pages, f.most)
		}
	}
	dump(16) // pages of 200

	// If a user is deleted between two pages, all later users move up by one, and the next page skips one. So one page is
	// read again. Creating another user at the same time keeps the total unchanged.
	first := many[0].Name
	f.beforeThird = func() {
		h.change("DELETE", "/users/"+first, nil)
		h.change("POST", "/users/newcomer", nil)
	}
	many = append(many, user{Name: "newcomer"}) // and the deleted user, who was on the first page
	dump(17)

	refresh := func(what string) {
		t.Helper()
		f.pages = nil
		var exporter *process
		load(h, what, func() {
			exporter, _ = serve(t, h.of(token("reader")), "--hub-url="+f.url)
			exporter.untilLogged("msg=refreshed")
		})
		exporter.stop(syscall.SIGTERM)
		if len(f.pages) != 16 {
			t.Fatalf("%s: %d pages, want 16", what, len(f.pages))
		}
	}
	refresh("serve's refresh")
	for i := range f.pages[1:] {
		before, page := f.pages[i], f.pages[i+1]
		// serve pauses after each page for as long as that page took. Half is enough, because the proxy measures other
		// times than the exporter.
		if took, rest := before.to.Sub(before.from), page.from.Sub(before.to); rest < took/2 {
			t.Errorf("page %d took %v, and the next one came %v later", i, took, rest)
		}
	}
	h.stop()
	h.start()
	refresh("serve's refresh right after the hub's restart")

	// This shows why memberships don't come from /groups: the hub builds the members of all groups in one response, and
	// serves no other request in the meantime.
	load(h, "dump", func() { succeed(t, h.of(token("reader")), "dump") })
	load(h, "one request for all groups", func() { h.change(http.MethodGet, "/groups", nil) })
}

// front records the requests to a hub.
type front struct {
	url         string
	mu          sync.Mutex
	now, most   int    // concurrent requests
	pages       []span // of users
	beforeThird func() // called before the third page
}

func (f *front) forward(r *http.Request, answer func()) {
	f.mu.Lock()
	f.now++
	f.most = max(f.most, f.now)
	isPage, before := strings.HasSuffix(r.URL.Path, "/users"), func() {}
	if isPage && len(f.pages) == 2 && f.beforeThird != nil {
		before, f.beforeThird = f.beforeThird, nil // once, also if the page is retried
	}
	f.mu.Unlock()
	before()
	start := time.Now()
	answer()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
	if isPage {
		f.pages = append(f.pages, span{start, time.Now()})
	}
}

// span is the time from a request to its response.
type span struct{ from, to time.Time }

// load logs the CPU time that do costs the hub, and how long it delays other, cheap requests.
func load(h *hub, what string, do func()) {
	h.t.Helper()
	stop, stopped := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var waits []time.Duration
		for {
			start := time.Now()
			_, err := get(h.api + "/")
			waits = append(waits, time.Since(start))
			if err != nil {
				h.t.Error(err)
			}
			select {
			case <-stop:
				stopped <- waits
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	start, before := time.Now(), h.cpu()
	do()
	took, cpu := time.Since(start), h.cpu()-before
	close(stop)
	waits := <-stopped
	slices.Sort(waits)
	h.t.Logf("JupyterHub %s, %s: %v of its CPU in %v; %d others waited %v (median), %v (longest)", h.version, what,
		cpu, took.Round(time.Millisecond), len(waits), waits[len(waits)/2].Round(time.Microsecond), waits[len(waits)-1].Round(time.Microsecond))
}

// cpu returns the CPU time of the hub, in the kernel's steps of 10 ms.
func (h *hub) cpu() time.Duration {
	h.t.Helper()
	stat := read(h.t, fmt.Sprintf("/proc/%d/stat", h.process.cmd.Process.Pid))
	_, rest, _ := strings.Cut(stat, ") ")
	var user, system int64
	fields := strings.Fields(rest)
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond
}
