package fakehub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

const pagination = "application/jupyterhub-pagination+json"

func newHub() *fakehub.Hub {
	h := &fakehub.Hub{}
	var users []fakehub.User
	for i := range 254 {
		users = append(users, fakehub.User{Name: fmt.Sprintf("user%d", i)})
	}
	h.SetUsers(users...)
	h.Grant("t", "list:users", "read:users:groups")
	return h
}

func send(h http.Handler, method, path, accept, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The expected values were observed on real hubs.
func TestPaging(t *testing.T) {
	h := newHub()
	for _, c := range []struct {
		query                string
		offset, limit, items int
		next                 bool
	}{
		{"", 0, 50, 50, true},
		{"?limit=200", 0, 200, 200, true},
		{"?limit=1000", 0, 200, 200, true},
		{"?offset=200&limit=200", 200, 200, 54, false},
		{"?offset=-200&limit=-200", 200, 200, 54, false},
		{"?offset=999", 999, 50, 0, false},
	} {
		var page struct {
			Items      []any `json:"items"`
			Pagination struct {
				Offset, Limit, Total int
				Next                 *struct{ Offset, Limit int }
			} `json:"_pagination"`
		}
		w := send(h, "GET", "/hub/api/users"+c.query, pagination, "token t")
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		p := page.Pagination
		if p.Offset != c.offset || p.Limit != c.limit || p.Total != 254 || len(page.Items) != c.items || (p.Next != nil) != c.next {
			t.Errorf("%q: got %d items and %+v", c.query, len(page.Items), p)
		}
		if p.Next != nil && p.Next.Offset != p.Offset+p.Limit {
			t.Errorf("%q: unexpected next page %+v", c.query, p.Next)
		}
	}
	var bare []any
	w := send(h, "GET", "/hub/api/users", pagination+";q=0.9", "token t")
	if err := json.Unmarshal(w.Body.Bytes(), &bare); err != nil || len(bare) != 200 {
		t.Errorf("without paging: got %d items, error %v", len(bare), err)
	}
}

func TestErrors(t *testing.T) {
	h := newHub()
	h.BaseURL = "/base/"
	for _, c := range []struct {
		method, path, authorization string
		want                        int
	}{
		{"GET", "/base/hub/api/", "", 200},
		{"GET", "/base/hub/api/users", "token t", 200},
		{"GET", "/base/hub/api/users", "Bearer t", 200},
		{"GET", "/base/hub/api/user", "token t", 200},
		{"GET", "/base/hub/api/users", "", 403},
		{"GET", "/base/hub/api/users?token=t", "", 403},
		{"GET", "/base/hub/api/users", "token other", 403},
		{"GET", "/base/hub/api/groups", "token t", 403},
		{"GET", "/base/hub/api/users?limit=x", "token t", 400},
		{"GET", "/base/hub/api/users/", "token t", 404},
		{"HEAD", "/base/hub/api/users", "token t", 405},
		{"GET", "/base/hub/other", "token t", 404},
		{"GET", "/hub/api/users", "token t", 302},
	} {
		if got := send(h, c.method, c.path, pagination, c.authorization); got.Code != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.path, c.authorization, got.Code, c.want)
		}
	}
}

func TestDemo(t *testing.T) {
	now := time.Now()
	var before, after []fakehub.User
	keep := func(to *[]fakehub.User) func([]fakehub.User) []fakehub.User {
		return func(users []fakehub.User) []fakehub.User { *to = users; return users }
	}
	d := fakehub.NewDemo(1, 300, "t", now)
	d.Update(keep(&before))
	kinds := map[int]int{}
	names := map[string]bool{}
	for _, u := range before {
		kinds[min(len(u.Groups), 2)]++
		if names[u.Name] || !utf8.ValidString(u.Name) {
			t.Errorf("name %q is a duplicate or not UTF-8", u.Name)
		}
		names[u.Name] = true
		if u.LastActivity.After(now) {
			t.Errorf("%q has a last activity in the future", u.Name)
		}
	}
	if len(before) != 300 || kinds[0] == 0 || kinds[1] == 0 || kinds[2] == 0 {
		t.Errorf("%d users, by number of groups %v", len(before), kinds)
	}

	descriptions := map[string]bool{}
	for range 200 {
		descriptions[d.Change(now)] = true
	}
	d.Update(keep(&after))
	if len(descriptions) < 150 || descriptions[""] {
		t.Errorf("200 changes have only %d different descriptions", len(descriptions))
	}
	if fmt.Sprint(before) == fmt.Sprint(after) {
		t.Error("users are unchanged after 200 changes")
	}
}
