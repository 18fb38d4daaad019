//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// All outputs of the program show the group memberships, and follow changes in the hub.
func TestMemberships(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		h := startHub(t, version, people(), reader)
		env := h.of(token("reader"))
		exporter, address := serve(t, env, "--refresh-interval=1s")
		check := func(when string, want map[string][]string) {
			t.Helper()
			report(t, "dump "+when, sameMemberships(want, succeed(t, env, "dump")))
			report(t, "groups --by=user "+when, same(want, tableByUser(t, succeed(t, env, "groups", "--by=user", "--output=json"))))
			report(t, "groups "+when, same(want, tableByGroup(t, succeed(t, env, "groups", "--output=json"))))
			exporter.untilMetrics("serve is right "+when, address, func(exposition string) error {
				return sameMemberships(want, exposition)
			})
		}
		want := published(people())
		check("at first", want)

		type names struct {
			Users []string `json:"users"`
		}
		group := func(name string) string { return "/groups/" + url.PathEscape(name) }
		h.change("POST", "/users", map[string]any{"usernames": []string{"new@example.org", "new-loner"}})
		h.change("POST", group("Grp,Comma")+"/users", names{[]string{"new@example.org"}})
		want["new@example.org"], want["new-loner"] = []string{"Grp,Comma"}, []string{"none"}

		h.change("DELETE", group("alpha")+"/users", names{[]string{"user-001", "user-003"}})
		h.change("POST", group("grp/slash")+"/users", names{[]string{"user-001"}})
		want["user-001"], want["user-003"] = []string{"grp/slash"}, []string{"beta"}

		h.change("PATCH", "/users/user-004", map[string]string{"name": "renamed@example.org"})
		want["renamed@example.org"] = want["user-004"]
		delete(want, "user-004")

		h.change("DELETE", "/users/user-006", nil)
		delete(want, "user-006")

		h.change("DELETE", group("UPPER"), nil)
		for name, groups := range want {
			if i := slices.Index(groups, "UPPER"); i >= 0 {
				want[name] = slices.Delete(groups, i, i+1)
			}
			if len(want[name]) == 0 {
				want[name] = []string{"none"}
			}
		}
		check("after changes", want)
	})
}

// tableByUser parses the output of groups --by=user --output=json.
func tableByUser(t *testing.T, output string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, row := range decode[[]struct {
		Username string
		Groups   []string
	}](t, output) {
		found[row.Username] = append(found[row.Username], row.Groups...)
	}
	return sorted(found)
}

// tableByGroup parses the output of groups --output=json.
func tableByGroup(t *testing.T, output string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, row := range decode[[]struct {
		Group   string
		Members int
		Users   []string
	}](t, output) {
		if row.Members != len(row.Users) {
			t.Errorf("group %q has %d members and %d users", row.Group, row.Members, len(row.Users))
		}
		for _, user := range row.Users {
			found[user] = append(found[user], row.Group)
		}
	}
	return sorted(found)
}

func decode[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %.500q", err, text)
	}
	return value
}

func sorted(found map[string][]string) map[string][]string {
	for _, groups := range found {
		slices.Sort(groups)
	}
	return found
}

// The series stay while the hub is down, and the exporter recovers when the hub is back.
func TestHubRestart(t *testing.T) {
	onEach(t, versions, hubRestart)
}

func hubRestart(t *testing.T, version string) {
	h := startHub(t, version, people(), reader)
	exporter, address := serve(t, h.of(token("reader")), "--refresh-interval=1s", "--namespace=here")
	// Another exporter has a max staleness of only a few seconds.
	strict, strictAddress := serve(t, h.of(token("reader")), "--refresh-interval=1s", "--max-staleness=4s")
	strictHas := func(what string, some bool) {
		t.Helper()
		strict.untilMetrics(what, strictAddress, func(exposition string) error {
			if strings.Contains(exposition, "jupyterhub_") != some {
				return errors.New(exposition)
			}
			return nil
		})
	}
	var families map[string][]sample
	until := func(what string, up float64) {
		t.Helper()
		exporter.untilMetrics(what, address, func(exposition string) error {
			families = mustParse(t, exposition)
			if err := same(map[string]float64{"here": up}, by("namespace", families["groups_exporter_hub_up"])); err != nil {
				return fmt.Errorf("groups_exporter_hub_up: %w", err)
			}
			return sameMemberships(published(people()), exposition)
		})
	}
	until("the hub is up", 1)
	strictHas("the strict one has its series", true)
	h.stop()
	until("the hub is down and its series are there", 0)
	strictHas("they are too old for the strict one", false)
	until("and still there", 0)
	if _, err := get(address + "/-/ready"); err != nil {
		t.Errorf("exporter with series is not ready: %v", err)
	}
	h.start()
	until("the hub is up again", 1)
	strictHas("the strict one has them again", true)
	failures := 0.0
	for _, s := range families["groups_exporter_refresh_failures_total"] {
		failures += s.value
	}
	if failures == 0 {
		t.Error("groups_exporter_refresh_failures_total is 0, want failures")
	}
}
