package hub_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// wanting makes a client read properties of groups.
func wanting(names *[]string) func(*hub.Options) {
	return func(o *hub.Options) { o.Properties = func() []string { return *names } }
}

// Properties are read together with the list of groups, and at once when an unknown group appears.
func TestProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newHub(fakehub.User{Name: "ada", Groups: []string{"bio"}})
		fake.Grant(token, "users", "groups")
		fake.SetProperties("bio", map[string]any{"code": "B-1", "size": 7, "other": []string{}})
		names := []string{"code", "size"}
		c := inProcess(t, fake, wanting(&names))
		check := func(when, want string, reads int) {
			t.Helper()
			got := list(t, c).Properties
			if diff := cmp.Diff(want, shown(got)); diff != "" || fake.count("/groups") != reads {
				t.Errorf("%s: %d lists of groups, want %d; properties, -want +got:\n%s", when, fake.count("/groups"), reads, diff)
			}
		}
		check("at first", `bio code="B-1" size=7`, 1)
		fake.SetProperties("bio", map[string]any{"code": "B-2"})
		check("within the hour", `bio code="B-1" size=7`, 1)
		c.Forget()
		check("after Forget", `bio code="B-2"`, 2)
		fake.AddGroups("empty")
		check("with a new group without members", `bio code="B-2"`, 2)
		fake.SetProperties("chem", map[string]any{"code": "C"})
		fake.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio", "chem"}})
		check("with a user in a new group", `bio code="B-2" chem code="C"`, 3)
		fake.SetUsers(fakehub.User{Name: "ada", Groups: []string{""}})
		check("with a group without a name", `bio code="B-2" chem code="C"`, 4)
		check("and again", `bio code="B-2" chem code="C"`, 4)
		names = []string{"size"}
		check("when others are needed", ``, 5)
		names = nil
		check("when none are needed", ``, 5)
		names = []string{"code"}
		time.Sleep(61 * time.Minute)
		check("after an hour", `bio code="B-2" chem code="C"`, 6)
	})
}

// shown returns the properties of groups on a line.
func shown(properties map[string]map[string]json.RawMessage) string {
	var all []string
	for _, group := range slices.Sorted(maps.Keys(properties)) {
		all = append(all, group)
		for _, name := range slices.Sorted(maps.Keys(properties[group])) {
			all = append(all, name+"="+string(properties[group][name]))
		}
	}
	return strings.Join(all, " ")
}

// If properties are needed and can't be read, the listing fails.
func TestPropertiesThatCannotBeRead(t *testing.T) {
	names := []string{"code"}
	for _, c := range []struct {
		what    string
		scopes  string
		groups  string // the answer to a list of groups, or "" for the fake's
		reason  remote.Reason
		problem string
	}{
		{"no scope for groups", "users", "", remote.Scope, "the hub token is missing the scopes list:groups and read:groups"},
		{"no scope for properties", "users list:groups", "", remote.Scope, "the hub token is missing the scope read:groups"},
		{"a filter", "users list:groups read:groups!group=bio", "", remote.Scope, "the hub token is missing the scope read:groups for the whole hub (it has read:groups!group=bio)"},
		{"a hub before 4.0", "users groups", `{"name":"bio"}`, remote.Format, "groups have no properties before JupyterHub 4.0"},
		{"no object", "users groups", `{"name":"bio","properties":[]}`, remote.Format, "the properties of a group are not an object"},
		{"long ones", "users groups", `{"name":"bio","properties":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`, remote.TooLarge, "the properties of a group are over 64 KiB"},
	} {
		fake := newHub(people(3)...)
		fake.Grant(token, strings.Fields(c.scopes)...)
		fake.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
			if c.groups == "" || !strings.HasSuffix(r.URL.Path, "/groups") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"items":[%s],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`, c.groups)
			return true
		}
		failed := failure(t, start(t, fake, wanting(&names)))
		if failed.Reason != c.reason || !strings.Contains(failed.Problem, c.problem) {
			t.Errorf("%s: got %s, %q; want %s, %q", c.what, failed.Reason, failed.Problem, c.reason, c.problem)
		}
	}
}
