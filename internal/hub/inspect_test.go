package hub_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func inspect(t *testing.T, c *hub.Client) *hub.Inspection {
	t.Helper()
	i, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInspectAsksFourThingsAtMost(t *testing.T) {
	fake := newHub(people(3000)...)
	fake.Grant(token, "list:users", "read:users:groups", "list:groups")
	i := inspect(t, start(t, fake))
	want := &hub.Inspection{
		Version: fakehub.Version, Kind: "service", Name: "groups-exporter",
		Scopes:    []string{"list:groups", "list:users", "read:groups:name", "read:users:groups", "read:users:name"},
		PageLimit: 200, Users: new(3000), Groups: new(7),
	}
	if diff := cmp.Diff(want, i, cmpopts.IgnoreFields(hub.Inspection{}, "First")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	first := membership.New("", i.First, membership.Rules{})
	if first.Len() != 200 || first.Memberships() != 200 || len(first.Groups()) != 7 {
		t.Errorf("the first page has %d users, %d memberships and %d groups, want 200, 200 and 7", first.Len(), first.Memberships(), len(first.Groups()))
	}
	if i.Requests() != 17 {
		t.Errorf("a refresh takes %d requests, want 17", i.Requests())
	}
	// A group comes with all its members, so one is enough where users have told already.
	if diff := cmp.Diff([]string{
		"/hub/api/", "/hub/api/user", "/hub/api/users?limit=200&offset=0", "/hub/api/groups?limit=1&offset=0",
	}, fake.Requests()); diff != "" {
		t.Errorf("requests: -want +got:\n%s", diff)
	}
}

// What the token may not list is not asked for: a refusal is a warning in the hub's log.
func TestInspectAsksNoMoreThanTheTokenMay(t *testing.T) {
	bio := fakehub.User{Name: "ada", Groups: []string{"bio"}}
	loner := fakehub.User{Name: "bob"}
	for _, c := range []struct {
		what                  string
		scopes                []string
		users                 []fakehub.User
		wantUsers, wantGroups *int
		alone                 int
		lists                 int
		refused               bool
	}{
		{"nothing", nil, []fakehub.User{bio}, nil, nil, 0, 0, false},
		{"names", []string{"list:users"}, []fakehub.User{bio, loner}, new(2), nil, 0, 1, false},
		{"groups alone", []string{"list:groups"}, []fakehub.User{bio}, nil, new(2), 0, 1, false},
		{"groups with users", []string{"groups"}, []fakehub.User{bio}, nil, new(2), 0, 1, false},
		{"nobody in a group", []string{"users", "groups"}, []fakehub.User{loner}, new(1), new(1), 1, 2, false},
		{"somebody in a group", []string{"users"}, []fakehub.User{loner, bio}, new(2), nil, 0, 1, false},
		{"no users", []string{"users"}, nil, new(0), nil, 0, 1, false},
		{"a part", []string{"list:users!group=bio", "read:users:groups!group=bio"}, []fakehub.User{bio, loner}, new(1), nil, 0, 1, false},
		{"a filter that the hub refuses", []string{"list:users!server=ada/x"}, []fakehub.User{bio}, nil, nil, 0, 1, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			fake := newHub(c.users...)
			fake.AddGroups("empty")
			fake.Grant(token, c.scopes...)
			if c.refused {
				fake.Intercept = refuse("/users", http.StatusForbidden)
			}
			i := inspect(t, start(t, fake))
			if diff := cmp.Diff([]*int{c.wantUsers, c.wantGroups}, []*int{i.Users, i.Groups}); diff != "" || i.Alone != c.alone {
				t.Errorf("%d alone, want %d; -want +got:\n%s", i.Alone, c.alone, diff)
			}
			if len(fake.Requests()) != 2+c.lists {
				t.Errorf("requests: %q", fake.Requests())
			}
			if i.Users == nil && i.Requests() != 0 {
				t.Errorf("%d requests for a refresh that can't be", i.Requests())
			}
		})
	}
}

func TestInspectTellsThePageLimit(t *testing.T) {
	fake := newHub(people(120)...)
	fake.MaxLimit = 25
	fake.Grant(token, "users", "groups")
	i := inspect(t, start(t, fake))
	if i.PageLimit != 25 || i.Requests() != 5+1 {
		t.Errorf("%d a page and %d requests, want 25 and 6", i.PageLimit, i.Requests())
	}
}

// Hubs before 2.0 have neither pages nor scopes; what they'd list is cut off.
func TestInspectAnOldHub(t *testing.T) {
	fake := newHub(people(3)...)
	fake.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		answer := `{"version": "1.5.1"}`
		if strings.HasSuffix(r.URL.Path, "/user") {
			answer = `{"kind": "service", "name": "exporter", "admin": true}`
		}
		_, _ = w.Write([]byte(answer))
		return true
	}
	if diff := cmp.Diff(&hub.Inspection{Version: "1.5.1", Kind: "service", Name: "exporter"}, inspect(t, start(t, fake)), cmpopts.IgnoreFields(hub.Inspection{}, "First")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/hub/api/", "/hub/api/user"}, fake.Requests()); diff != "" {
		t.Errorf("requests: -want +got:\n%s", diff)
	}
}

func TestInspectFails(t *testing.T) {
	said := func(path, body string) http.HandlerFunc {
		fake := newHub(people(3)...)
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, path) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(body))
				return
			}
			fake.ServeHTTP(w, r)
		}
	}
	forbidden := newHub()
	forbidden.Intercept = refuse("/users", http.StatusForbidden)
	unknown := newHub()
	unknown.Revoke(token)
	for _, c := range []struct {
		what    string
		hub     http.Handler
		reason  remote.Reason
		problem string
	}{
		{"another token", unknown, remote.BadToken, ""},
		{"no hub", answers(http.StatusOK, "text/html", "<html>"), remote.Format, `its content type is "text/html", not JSON`},
		{"not found", http.NotFoundHandler(), remote.Status, ""},
		{"no version", said("/hub/api/", `{}`), remote.Format, "no version in it"},
		{"a bare list", said("/users", `[{"name": "ada"}]`), remote.Format, "no pages in it"},
		{"no JSON", said("/users", `{"items": [}`), remote.Format, "invalid character '}'"},
		{"refused all the same", forbidden, remote.Status, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, err := start(t, c.hub).Inspect(t.Context())
			if failed, ok := errors.AsType[*remote.Error](err); !ok || failed.Reason != c.reason || !strings.HasPrefix(failed.Problem, c.problem) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
	t.Run("no token", func(t *testing.T) {
		server := httptest.NewServer(newHub())
		defer server.Close()
		_, err := client(t, server.URL, func(o *hub.Options) {
			o.Token = func() (hub.Token, error) { return hub.Token{}, errors.New("gone") }
		}).Inspect(t.Context())
		if reasonOf(err) != remote.BadToken {
			t.Errorf("got %v", err)
		}
	})
}

func TestBefore(t *testing.T) {
	for _, c := range []struct {
		version string
		than    []int
		want    bool
	}{
		{"1.5.1", []int{2}, true},
		{"0.9.6", []int{2}, true},
		{"2.0.0", []int{2}, false},
		{"2.0.0b1", []int{2}, false},
		{"10.0.0", []int{2}, false},
		{"4.1.5", []int{4, 1, 6}, true},
		{"4.1.6", []int{4, 1, 6}, false},
		{"4.1.6.dev", []int{4, 1, 6}, false},
		{"4.1.0rc1", []int{4, 1, 6}, true},
		{"5.0", []int{4, 1, 6}, false},
		{"unknown", []int{2}, false},
		{"", []int{2}, false},
	} {
		if got := (&hub.Inspection{Version: c.version}).Before(c.than...); got != c.want {
			t.Errorf("%q before %v: %v", c.version, c.than, got)
		}
	}
}
