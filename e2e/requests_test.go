//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// A sweep costs the hub as few requests as its page limit allows, one after another, and misses
// nobody when the hub changes meanwhile.
func TestRequests(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			requests(t, version)
		})
	}
}

func requests(t *testing.T, version string) {
	var many []user
	for i := range 3000 {
		many = append(many, user{Name: fmt.Sprintf("user-%04d", i), Groups: []string{fmt.Sprintf("group-%02d", i%50)}})
	}
	h := startHub(t, version, many, reader)

	hub, err := url.Parse(h.api)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = hub.Scheme, hub.Host
		// The hub builds the address of the next page from this. Who follows it ends nowhere.
		r.Out.Host = "elsewhere.invalid"
	}}
	var lists, now, most atomic.Int32
	var beforeThird func()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		if strings.HasSuffix(r.URL.Path, "/users") && lists.Add(1) == 3 && beforeThird != nil {
			beforeThird()
		}
		forward.ServeHTTP(w, r)
	}))
	defer front.Close()
	dump := func() {
		t.Helper()
		lists.Store(0)
		output := succeed(t, h.of(token("reader")), "dump", "--hub-url="+front.URL+"/hub/api")
		if err := sameMemberships(published(many), output); err != nil {
			t.Error(err)
		}
	}

	dump()
	if lists.Load() != 15 || most.Load() != 1 {
		t.Errorf("%d lists of users, want 15 pages of 200, and %d requests at a time, want 1", lists.Load(), most.Load())
	}

	// Whoever is deleted between two pages moves all later users up by one, and one of them out of sight.
	first := many[0].Name
	beforeThird = func() { h.change("DELETE", "/users/"+first, nil) }
	many = many[1:]
	dump()
}
