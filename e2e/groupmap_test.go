//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const groupMap = `groups:
  - { match: 'course::(\d+)::.*', name: 'course $1' }
  - { match: '/?chem/.*', name: chemistry }
  - { match: 'query-.*|manage-.*', drop: true }
  - { property: billing_code }
users:
  - { match: '.*@chem\.uni\.example', group: chemistry }
parents: { 'course 1524699': statistics }
ignore_users: [deployment-service-check]
`

// Real hubs have groups as authenticators make them, and groups with properties. All commands show what the map makes of
// them, and serve keeps what it published when the map or a property can't be used.
func TestGroupMap(t *testing.T) {
	mapped := service{name: "mapped", scopes: []string{"list:users", "read:users:groups", "list:groups", "read:groups"}}
	onEach(t, versions, func(t *testing.T, version string) {
		people := []user{
			{Name: "ada", Groups: []string{"course::1524699::group::all-admins", "course::1524699::enrollment_type::ta", "course::7::group::all", "geolab:power"}},
			{Name: "bob", Groups: []string{"/chem/lab-a", "chem/lab b", "query-readers"}},
			{Name: "cy@chem.uni.example", Groups: []string{"manage-users"}},
			{Name: "dan", Groups: []string{"geolab:power"}},
			{Name: "eve"},
			{Name: "fay@chem.uni.example"},
			{Name: "deployment-service-check", Groups: []string{"/chem/lab-a"}},
		}
		h := startHub(t, version, people, mapped, service{name: "without", scopes: []string{"list:users", "read:users:groups", "list:groups"}})
		setProperties := func(group string, properties object) {
			t.Helper()
			h.change("PUT", "/groups/"+url.PathEscape(group)+"/properties", properties)
		}
		setProperties("geolab:power", object{"billing_code": "GEO-7", "size": 7})
		file := filepath.Join(t.TempDir(), "groups.yaml")
		writeFile(t, file, groupMap, 0o600)
		env := h.of(token("mapped"))
		want := map[string][]string{
			"ada": {"GEO-7", "course 1524699", "course 7"}, "bob": {"chemistry"}, "cy@chem.uni.example": {"chemistry"},
			"dan": {"GEO-7"}, "eve": {"none"}, "fay@chem.uni.example": {"chemistry"},
		}
		report(t, "dump", sameMemberships(want, succeed(t, env, "dump", "--group-map="+file)))
		report(t, "groups --by=user", same(want, tableByUser(t, succeed(t, env, "groups", "--by=user", "--output=json", "--group-map="+file))))
		report(t, "groups", same(want, tableByGroup(t, succeed(t, env, "groups", "--output=json", "--group-map="+file))))
		explained := succeed(t, env, "groups", "--explain", "--output=csv", "--group-map="+file)
		for _, line := range []string{
			"group,course::1524699::group::all-admins,course 1524699,2", "group,chem/lab b,chemistry,3", "group,query-readers,,4",
			"group,geolab:power,GEO-7,5", "group," + emptyGroup + "," + emptyGroup + ",", "user,cy@chem.uni.example,chemistry,7", "ignored,deployment-service-check,,9",
		} {
			if !strings.Contains(explained, line+"\n") {
				t.Errorf("groups --explain: %q is missing in\n%s", line, explained)
			}
		}
		if checked := succeed(t, env, "check", "--group-map="+file); !strings.Contains(checked, "properties of groups") || strings.Contains(checked, "matches no") {
			t.Errorf("check: got\n%s\nwant properties of groups and no unused line", checked)
		}
		for _, command := range []string{"dump", "groups"} {
			refused(t, run(t, h.of(token("without")), "", command, "--group-map="+file), "read:groups")
		}
		if checked := run(t, h.of(token("without")), "", "check", "--group-map="+file); checked.code != 1 || !strings.Contains(checked.stderr, "read:groups") {
			t.Errorf("check without the scope: got exit code %d and %s", checked.code, checked.stderr)
		}

		exporter, address := serve(t, env, "--refresh-interval=1s", "--group-map="+file)
		until := func(when string, lines ...string) {
			t.Helper()
			exporter.untilMetrics("serve is right "+when, address, func(exposition string) error {
				for _, line := range lines {
					if !strings.Contains(exposition, "\n"+line+"\n") {
						return fmt.Errorf("%s is missing", line)
					}
				}
				return sameMemberships(want, exposition)
			})
		}
		const good, bad = `groups_exporter_group_map_last_reload_successful{namespace="default"} 1`, `groups_exporter_group_map_last_reload_successful{namespace="default"} 0`
		const up, down = `groups_exporter_hub_up{namespace="default"} 1`, `groups_exporter_hub_up{namespace="default"} 0`
		until("at first", good, up)
		reload := func() {
			t.Helper()
			noError(t, exporter.cmd.Process.Signal(syscall.SIGHUP))
		}

		// A new group with a property counts right from the first refresh on.
		h.change("POST", "/groups/new", nil)
		setProperties("new", object{"billing_code": "N-1"})
		h.change("POST", "/groups/new/users", object{"users": []string{"eve"}})
		want["eve"] = []string{"N-1"}
		until("with a new group", up)

		// A property that isn't text leaves what was published.
		setProperties("new", object{"billing_code": 1})
		reload()
		until("with a number", good, down)
		setProperties("new", object{"billing_code": "N-2"})
		reload()
		want["eve"] = []string{"N-2"}
		until("with another text", good, up)

		// So does a map with a mistake, and one that doesn't fit the groups.
		writeFile(t, file, "groups: [{match: '('}]", 0o600)
		reload()
		until("with a mistake", bad, up)
		writeFile(t, file, groupMap+"---\n", 0o600)
		reload()
		until("with another mistake", bad, up)
		writeFile(t, file, "groups: [{match: 'new', name: 'geolab:power'}]", 0o600)
		reload()
		until("with a conflict", good, down)
		writeFile(t, file, groupMap, 0o600)
		reload()
		until("at last", good, up)
	})
}
