//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

	var lists, now, most atomic.Int32
	var beforeThird func()
	observe := func(span) {}
	front := h.front(func(r *http.Request, answer func()) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		if strings.HasSuffix(r.URL.Path, "/users") && lists.Add(1) == 3 && beforeThird != nil {
			beforeThird()
		}
		start := time.Now()
		answer()
		if strings.HasSuffix(r.URL.Path, "/users") {
			observe(span{start, time.Now()})
		}
	})
	dump := func() {
		t.Helper()
		lists.Store(0)
		output := succeed(t, h.of(token("reader")), "dump", "--hub-url="+front+"/hub/api")
		if err := sameMemberships(published(many), output); err != nil {
			t.Error(err)
		}
	}

	dump()
	if lists.Load() != 16 || most.Load() != 1 {
		t.Errorf("%d lists of users, want 16 pages of 200, and %d requests at a time, want 1", lists.Load(), most.Load())
	}

	// If a user is deleted between two pages, all later users move up by one, and the next page skips one. Creating
	// another user at the same time keeps the total unchanged.
	first := many[0].Name
	beforeThird = func() {
		h.change("DELETE", "/users/"+first, nil)
		h.change("POST", "/users/newcomer", nil)
	}
	many = append(many, user{Name: "newcomer"}) // and the deleted user, who was on the first page
	dump()
	beforeThird = nil
	if lists.Load() != 17 {
		t.Errorf("%d lists of users after a deletion, want 17, because one page is read again", lists.Load())
	}

	// serve pauses after each page for as long as that page took.
	var mu sync.Mutex
	var pages []span
	observe = func(s span) {
		mu.Lock()
		defer mu.Unlock()
		pages = append(pages, s)
	}
	refresh := func(what string) {
		t.Helper()
		pages = nil
		var exporter *process
		load(h, what, func() {
			exporter, _ = serve(t, h.of(token("reader")), "--hub-url="+front)
			exporter.untilLogged("msg=refreshed")
		})
		exporter.stop(syscall.SIGTERM)
		if len(pages) != 16 {
			t.Fatalf("%s: %d pages, want 16", what, len(pages))
		}
	}
	refresh("serve's refresh")
	for i := range pages[1:] {
		before, page := pages[i], pages[i+1]
		// Half is enough, because the proxy measures other times than the exporter.
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
	load(h, "one request for all groups", func() {
		if status, answer := h.request(owner, http.MethodGet, "/groups", nil); status != http.StatusOK {
			t.Errorf("/groups: %d %s", status, answer)
		}
	})
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
