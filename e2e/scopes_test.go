//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scopesRow is a token's scopes, what the hub returns to it, and what dump prints.
type scopesRow struct {
	scopes   string
	users    string              // keys of every user in the hub's own response
	groups   string              // keys of every group in the hub's own response
	activity bool                // dump --with=activity
	want     map[string][]string // nil if dump fails
	missing  string              // scope that the error or warning names
}

func scopesRows() []scopesRow {
	everybody := published(people())
	alpha := maps.Clone(everybody)
	maps.DeleteFunc(alpha, func(_ string, groups []string) bool { return !slices.Contains(groups, "alpha") })
	const (
		refusal = "403"
		profile = "admin created groups kind last_activity name pending roles server"
		members = "kind name properties users"
	)
	return []scopesRow{
		{"list:users read:users:groups", "admin groups kind name", refusal, false, everybody, ""},
		{"list:users", "admin kind name", refusal, false, nil, "read:users:groups"},
		{"list:users read:users", profile, refusal, false, everybody, ""},
		{"read:users:name read:users:groups", refusal, refusal, false, nil, "list:users"},
		{"list:groups", refusal, "kind name", false, nil, "list:users"},
		{"list:groups read:groups", refusal, members, false, nil, "list:users"},
		{"list:users!group=alpha read:users:groups!group=beta", "admin kind name", refusal, false, nil, "read:users:groups"},
		{"list:users!group=alpha read:users:groups!group=alpha", "admin groups kind name", refusal, false, alpha, "list:users!group=alpha"},
		{"users groups", profile, members, false, everybody, ""},
		{"", refusal, refusal, false, nil, "list:users"},
		{"list:users read:users:groups read:users:activity read:servers", "admin groups kind last_activity name servers", refusal, true, everybody, ""},
		{"list:users read:users:groups read:servers", "admin groups kind name servers", refusal, true, everybody, "read:users:activity"},
		{"list:users read:users:groups read:users:activity", "admin groups kind last_activity name", refusal, true, everybody, "read:servers"},
	}
}

// With each set of scopes, the program prints the right data, or an error that names the missing scope. The test also
// checks the hub's own responses, on which the program relies.
func TestScopes(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		var services []service
		for i, row := range scopesRows() {
			services = append(services, service{name: fmt.Sprintf("row-%d", i), scopes: strings.Fields(row.scopes)})
		}
		h := startHub(t, version, people(), services...)
		for i, row := range scopesRows() {
			t.Run(fmt.Sprintf("%s, activity %v", row.scopes, row.activity), func(t *testing.T) { row.check(t, h, services[i].name) })
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

// check checks the responses of the hub and the output of dump with the token of a service.
func (row scopesRow) check(t *testing.T, h *hub, name string) {
	t.Helper()
	report(t, "the hub's response for users", same(row.users, h.keys(name, "/users")))
	report(t, "the hub's response for groups", same(row.groups, h.keys(name, "/groups")))
	args := []string{"dump"}
	if row.activity {
		args = append(args, "--with=activity")
	}
	r := run(t, h.of(token(name)), "", args...)
	if row.want == nil {
		refused(t, r, row.missing)
		return
	}
	if r.code != 0 || !strings.Contains(r.stderr, row.missing) {
		t.Errorf("exit code %d, want 0, and a warning that names %q:\n%s", r.code, row.missing, r.stderr)
	}
	report(t, "dump", sameMemberships(row.want, r.stdout))
	// Families that need more scopes than memberships are omitted with a warning.
	for scope, family := range map[string]string{
		"read:users:activity": "jupyterhub_group_active_users",
		"read:servers":        "jupyterhub_group_running_servers",
	} {
		published := strings.Contains(r.stdout, "\n"+family+"{")
		if want := row.activity && scope != row.missing; published != want {
			t.Errorf("%s published: %v, want %v", family, published, want)
		}
	}
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
		team := func(name string, hours int) user { return user{Name: name, Groups: []string{"team"}, HoursAgo: hours} }
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
		report(t, "active users", same(map[string]float64{
			"team 24h": 1, "team 7d": 2, "team 30d": 3, emptyGroup + " 24h": 0, emptyGroup + " 7d": 0, emptyGroup + " 30d": 0,
		}, active))
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
