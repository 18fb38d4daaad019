//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// With each set of scopes, the program prints the right data, or an error that names the missing scope. The test also
// checks the hub's own responses, on which the program relies.
func TestScopes(t *testing.T) {
	everybody := published(people())
	alpha := maps.Clone(everybody)
	maps.DeleteFunc(alpha, func(_ string, groups []string) bool { return !slices.Contains(groups, "alpha") })

	const (
		refusal = "403"
		profile = "admin created groups kind last_activity name pending roles server"
		members = "kind name properties users"
	)
	activity := []string{"--with=activity"}
	rows := []struct {
		scopes  []string
		users   string              // keys of every user in the hub's own response
		groups  string              // keys of every group in the hub's own response
		args    []string            // additional arguments of dump
		want    map[string][]string // nil if dump fails
		missing string              // scope that the error or warning names
	}{
		{[]string{"list:users", "read:users:groups"}, "admin groups kind name", refusal, nil, everybody, ""},
		{[]string{"list:users"}, "admin kind name", refusal, nil, nil, "read:users:groups"},
		{[]string{"list:users", "read:users"}, profile, refusal, nil, everybody, ""},
		{[]string{"read:users:name", "read:users:groups"}, refusal, refusal, nil, nil, "list:users"},
		{[]string{"list:groups"}, refusal, "kind name", nil, nil, "list:users"},
		{[]string{"list:groups", "read:groups"}, refusal, members, nil, nil, "list:users"},
		{[]string{"list:users!group=alpha", "read:users:groups!group=beta"}, "admin kind name", refusal, nil, nil, "read:users:groups"},
		{[]string{"list:users!group=alpha", "read:users:groups!group=alpha"}, "admin groups kind name", refusal, nil, alpha, "list:users!group=alpha"},
		{[]string{"users", "groups"}, profile, members, nil, everybody, ""},
		{nil, refusal, refusal, nil, nil, "list:users"},
		{[]string{"list:users", "read:users:groups", "read:users:activity", "read:servers"},
			"admin groups kind last_activity name servers", refusal, activity, everybody, ""},
		{[]string{"list:users", "read:users:groups", "read:servers"},
			"admin groups kind name servers", refusal, activity, everybody, "read:users:activity"},
		{[]string{"list:users", "read:users:groups", "read:users:activity"},
			"admin groups kind last_activity name", refusal, activity, everybody, "read:servers"},
	}
	// Families that need more scopes than memberships are omitted with a warning.
	needs := map[string]string{
		"read:users:activity": "jupyterhub_group_active_users",
		"read:servers":        "jupyterhub_group_running_servers",
	}

	onEach(t, versions, func(t *testing.T, version string) {
		var services []service
		for i, row := range rows {
			services = append(services, service{name: fmt.Sprintf("row-%d", i), scopes: row.scopes})
		}
		h := startHub(t, version, people(), services...)
		for i, row := range rows {
			name := cmp.Or(strings.Join(append(row.scopes, row.args...), " "), "no scope")
			t.Run(name, func(t *testing.T) {
				if err := same(row.users, h.keys(services[i].name, "/users")); err != nil {
					t.Errorf("the hub's response for users: %v", err)
				}
				if err := same(row.groups, h.keys(services[i].name, "/groups")); err != nil {
					t.Errorf("the hub's response for groups: %v", err)
				}
				r := run(t, h.of(token(services[i].name)), "", append([]string{"dump"}, row.args...)...)
				if row.want == nil {
					refused(t, r, row.missing)
					return
				}
				if r.code != 0 || !strings.Contains(r.stderr, row.missing) {
					t.Errorf("exit code %d, want 0, and a warning that names %q:\n%s", r.code, row.missing, r.stderr)
				}
				if err := sameMemberships(row.want, r.stdout); err != nil {
					t.Error(err)
				}
				for scope, family := range needs {
					published := strings.Contains(r.stdout, "\n"+family+"{")
					if want := row.args != nil && scope != row.missing; published != want {
						t.Errorf("%s published: %v, want %v", family, published, want)
					}
				}
			})
		}
		t.Run("wrong token", func(t *testing.T) {
			secret := "not-the-token-of-anyone"
			r := run(t, h.of(secret), "", "dump")
			refused(t, r, "token")
			if strings.Contains(r.stderr, secret) {
				t.Errorf("standard error contains the token:\n%s", r.stderr)
			}
		})
	})
}

// refused checks the result of a run without the required scopes.
func refused(t *testing.T, r result, named string) {
	t.Helper()
	if r.code != 1 || r.stdout != "" {
		t.Errorf("exit code %d, want 1, and %d bytes on standard output, want none", r.code, len(r.stdout))
	}
	if !strings.HasPrefix(r.stderr, "groups-exporter: ") || !strings.Contains(r.stderr, named) {
		t.Errorf("standard error doesn't name %s:\n%s", named, r.stderr)
	}
}

// keys returns the keys of the items in the hub's list, or the status if the hub refuses the request.
func (h *hub) keys(service, path string) string {
	h.t.Helper()
	status, answer := h.request(service, "GET", path+"?limit=200", nil)
	if status != http.StatusOK {
		return strconv.Itoa(status)
	}
	page := decode[struct{ Items []map[string]any }](h.t, string(answer))
	if len(page.Items) == 0 {
		h.t.Fatalf("an empty list of %s", path)
	}
	common := slices.Sorted(maps.Keys(page.Items[0]))
	for _, item := range page.Items {
		common = slices.DeleteFunc(common, func(key string) bool { _, has := item[key]; return !has })
	}
	// JupyterHub 6 adds this key. Earlier versions have only the name.
	common = slices.DeleteFunc(common, func(key string) bool { return key == "user_info" })
	return strings.Join(common, " ")
}

// Active users and running servers are counted by group.
func TestActivity(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		team := func(name string, hours int) user { return user{name, []string{"team"}, hours} }
		here := append(people(), team("hour", 1), team("two-days", 48), team("ten-days", 240), team("year", 9000), team("never", 0),
			user{Name: "loner", HoursAgo: 12})
		seer := service{name: "seer", scopes: append(slices.Clone(reader.scopes), "read:users:activity", "read:servers", "list:groups")}
		h := startHub(t, version, here, seer)
		for _, server := range []string{"/users/hour/server", "/users/hour/servers/second", "/users/loner/server"} {
			h.change("POST", server, nil)
		}
		h.process.until("three servers run", time.Minute, func() error {
			_, answer := h.request(owner, "GET", "/users/hour", nil)
			_, more := h.request(owner, "GET", "/users/loner", nil)
			return same(3, strings.Count(string(answer)+string(more), `"ready": true`))
		})
		families := mustParse(t, succeed(t, h.of(token("seer")), "dump", "--with=activity"))
		active := map[string]float64{}
		for _, s := range families["jupyterhub_group_active_users"] {
			if group := s.labels["usergroup"]; group == "team" || group == emptyGroup {
				active[group+" "+s.labels["period"]] = s.value
			}
		}
		if err := same(map[string]float64{
			"team 24h": 1, "team 7d": 2, "team 30d": 3, emptyGroup + " 24h": 0, emptyGroup + " 7d": 0, emptyGroup + " 30d": 0,
		}, active); err != nil {
			t.Errorf("active users: %v", err)
		}
		running := by("usergroup", families["jupyterhub_group_running_servers"])
		members := by("usergroup", families["jupyterhub_group_members"])
		for _, want := range []struct {
			group            string
			running, members float64
		}{{"team", 2, 5}, {"alpha", 0, 245}, {emptyGroup, 0, 0}} {
			if running[want.group] != want.running || members[want.group] != want.members {
				t.Errorf("%s: %v running servers and %v members, want %v and %v", want.group,
					running[want.group], members[want.group], want.running, want.members)
			}
		}
		if _, has := members[emptyGroup]; !has {
			t.Error("an empty group has no jupyterhub_group_members")
		}
	})
}
