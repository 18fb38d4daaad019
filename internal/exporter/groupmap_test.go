package exporter

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

func mapOf(text string) (*groupmap.Map, error) {
	return groupmap.Parse([]byte(text), membership.Rules{NoneName: "none", MultipleName: "multiple"})
}

// A map with a mistake leaves the last good one, and one that doesn't fit the hub's groups leaves what was published.
func TestGroupMap(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio-1", "bio-2"}})
	h.SetProperties("bio-1", map[string]any{"code": "B"})
	h.Grant("x", "list:users", "read:users:groups", "groups")
	api, err := hub.APIURL("http://hub.test")
	if err != nil {
		t.Fatal(err)
	}
	text := "groups: [{match: 'bio-.*', name: biology}]"
	first, err := mapOf(text)
	if err != nil {
		t.Fatal(err)
	}
	e, log := newTestExporter(Options{
		Hub:      hub.Options{API: api, Token: func() (hub.Token, error) { return hub.NewToken("x"), nil }, Timeout: time.Minute, Transport: h},
		GroupMap: first, LoadGroupMap: func() (*groupmap.Map, error) { return mapOf(text) }, MaxSeries: 100,
	})
	check := func(when, next string, want ...string) {
		t.Helper()
		if text = next; next != "" {
			e.Reload()
		}
		read, err := e.readHub(t.Context())
		if err == nil {
			_, err = e.publishHub(read)
		}
		e.reportHub(outcome{err: err})
		page := textOf(t, e.State().Page)
		for _, line := range want {
			if !strings.Contains(page, line) {
				t.Errorf("%s: %q is missing in\n%s", when, line, page)
			}
		}
		if strings.Count(page, "\njupyterhub_group_members{") != 1 {
			t.Errorf("%s: there is not exactly one group in\n%s", when, page)
		}
	}
	const good, bad = `groups_exporter_group_map_last_reload_successful{namespace="n"} 1`, `groups_exporter_group_map_last_reload_successful{namespace="n"} 0`
	failures := func(n int) string {
		return fmt.Sprintf(`groups_exporter_refresh_failures_total{namespace="n",reason="group_map"} %d`, n)
	}
	check("at first", "", `jupyterhub_group_members{namespace="n",usergroup="biology"} 1`, good, failures(0))
	check("with a mistake", "groups: [{match: '('}]", `usergroup="biology"} 1`, bad, failures(0))
	if want := "the last good one stays"; !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "name or drop: true is missing") {
		t.Errorf("%q and the mistake are missing in the log:\n%s", want, log)
	}
	check("with a correction", "groups: [{match: 'bio-.*', name: BIO}]", `usergroup="BIO"} 1`, good)
	check("with one that doesn't fit", "groups: [{match: bio-1, name: bio-2}]", `usergroup="BIO"} 1`, good, failures(1), `groups_exporter_hub_up{namespace="n"} 0`)
	if want := `line 1: "bio-2" is also a group that no line maps`; !strings.Contains(e.State().Status.Error, want) {
		t.Errorf("the status is %q, want %q in it", e.State().Status.Error, want)
	}
	check("with properties", "groups: [{match: bio-2, drop: true}, {property: code}]", `usergroup="B"} 1`, good, `groups_exporter_hub_up{namespace="n"} 1`)
	h.SetProperties("bio-1", map[string]any{"code": 7})
	check("with a property that isn't text", "groups: [{match: bio-2, drop: true}, {property: code}]", `usergroup="B"} 1`, failures(2))
	h.Grant("x", "list:users", "read:users:groups", "list:groups")
	check("without the scope", "groups: [{match: bio-2, drop: true}, {property: code}]", `usergroup="B"} 1`, `reason="scope"} 1`)
}

// A map that is loaded while a refresh is under way is used by the next one: this one has read no properties for it.
func TestGroupMapOfARefresh(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio"}})
	h.SetProperties("bio", map[string]any{"code": "B"})
	h.Grant("x", "list:users", "read:users:groups", "groups")
	first, err := mapOf("groups: [{match: bio, name: biology}]")
	if err != nil {
		t.Fatal(err)
	}
	e, _ := newTestExporter(Options{
		Hub: hub.Options{
			API: &url.URL{Scheme: "http", Host: "hub.test", Path: "/hub/api"}, Timeout: time.Minute, Transport: h,
			Token: func() (hub.Token, error) { return hub.NewToken("x"), nil },
		},
		GroupMap: first, LoadGroupMap: func() (*groupmap.Map, error) { return mapOf("groups: [{property: code}]") }, MaxSeries: 100,
	})
	reload := true
	h.Intercept = func(http.ResponseWriter, *http.Request) bool {
		if reload {
			reload = false
			e.Reload()
		}
		return false
	}
	for _, want := range []string{"biology", "B"} {
		read, err := e.readHub(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := read.snapshot.Groups()[0].Name; got != want {
			t.Errorf("got the group %s, want %s", got, want)
		}
	}
}

// listings is a hub that has answered, and repeats its answers.
type listings struct {
	hub     http.Handler
	answers map[string][]byte
}

func (l listings) RoundTrip(r *http.Request) (*http.Response, error) {
	key := r.URL.String()
	if l.answers[key] == nil {
		recorder := httptest.NewRecorder()
		l.hub.ServeHTTP(recorder, r)
		l.answers[key] = recorder.Body.Bytes()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "X-Jupyterhub-Version": {"5"}},
		Body: readCloser{bytes.NewReader(l.answers[key])}, Request: r,
	}, nil
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// BenchmarkRefresh refreshes from a hub with 100,000 users in 10,000 groups.
func BenchmarkRefresh(b *testing.B) {
	h := &fakehub.Hub{}
	var users []fakehub.User
	for i := range 100_000 {
		u := fakehub.User{Name: fmt.Sprintf("user%06d@dept%d.uni.example", i, i%200)}
		if n := i % 10_000; i%4 > 0 {
			u.Groups = []string{fmt.Sprintf("course::%d::role%d", n, n%30), fmt.Sprintf("group-%d-lab%d", n/2, n/2)}
		}
		users = append(users, u)
	}
	h.SetUsers(users...)
	h.Grant("x", "list:users", "read:users:groups")
	e, _ := newTestExporter(Options{MaxSeries: 1_000_000})
	e.client = hub.New(hub.Options{ // without pauses between pages
		API: &url.URL{Scheme: "http", Host: "hub.test", Path: "/hub/api"}, Timeout: time.Minute,
		Token: func() (hub.Token, error) { return hub.NewToken("x"), nil }, Transport: listings{h, map[string][]byte{}},
	})
	for b.Loop() {
		read, err := e.readHub(b.Context())
		if err == nil {
			_, err = e.publishHub(read)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
