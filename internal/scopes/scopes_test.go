package scopes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// Most hubs list included scopes too. A list without them means the same.
func TestGrants(t *testing.T) {
	for _, c := range []struct {
		scopes string
		scope  string
		whole  bool
		parts  string
	}{
		{"list:users", "list:users", true, ""},
		{"list:users!group=a", "list:users", false, "list:users!group=a"},
		{"list:users!group=a list:users", "list:users", true, ""},
		{"list:users!group=b list:users!group=a users!group=a", "list:users", false, "list:users!group=a list:users!group=b"},
		{"list:users", "read:users:groups", false, ""},
		{"read:users", "read:users:groups", true, ""},
		{"read:users", "read:users:activity", true, ""},
		{"read:users", "list:users", false, ""},
		{"read:users!user=ada", "read:users:groups", false, "read:users:groups!user=ada"},
		{"users", "list:users", true, ""},
		{"admin:users", "read:users:groups", true, ""},
		{"users:activity", "read:users:activity", true, ""},
		{"groups", "list:groups", true, ""},
		{"admin:groups", "list:groups", true, ""},
		{"read:groups", "list:groups", false, ""},
		{"servers", "read:servers", true, ""},
		{"admin:servers", "read:servers", true, ""},
		{"list:usersgroups", "list:users", false, ""},
		{"", "list:users", false, ""},
	} {
		whole, parts := scopes.Grants(strings.Fields(c.scopes), c.scope)
		if got := strings.Join(parts, " "); whole != c.whole || got != c.parts {
			t.Errorf("%s of %q: got %v and %q, want %v and %q", c.scope, c.scopes, whole, got, c.whole, c.parts)
		}
	}
}

func TestWrites(t *testing.T) {
	for held, want := range map[string]string{
		"list:users read:users:groups read:servers read:hub": "",
		"inherit self (no_scope) admin-ui":                   "",
		"access:services access:services!service=x custom:x": "",
		// As JupyterHub 6.1.1 lists them: a service with users and groups, a user, and admin.
		"groups list:groups list:users read:groups read:groups:name read:users read:users:activity read:users:groups read:users:name users users:activity":                                                                                                                      "groups users",
		"access:servers!user=ada delete:servers!user=ada read:servers!user=ada read:tokens!user=ada servers!user=ada start:servers!user=ada tokens!user=ada users:activity!user=ada":                                                                                            "access:servers!user=ada servers!user=ada tokens!user=ada users:activity!user=ada",
		"access:servers admin-ui admin:auth_state admin:groups admin:server_state admin:servers admin:services admin:users delete:groups delete:servers delete:users groups groups:shares proxy servers shares shutdown start:servers tokens users users:activity users:shares": "admin:groups admin:servers admin:services admin:users proxy shares shutdown tokens",
		"servers servers!user=ada delete:servers!group=a": "servers",
		"servers!group=a delete:servers!group=b":          "delete:servers!group=b servers!group=a",
		"delete:users users:activity admin:auth_state":    "admin:auth_state delete:users users:activity",
	} {
		if got := strings.Join(scopes.Writes(strings.Fields(held)), " "); got != want {
			t.Errorf("%q: got %q, want %q", held, got, want)
		}
	}
}

// A hub can list many scopes. Comparing each one with all others would take minutes.
func TestManyScopes(t *testing.T) {
	var held []string
	for i := range 100_000 {
		held = append(held, fmt.Sprintf("servers!user=user-%06d", i))
	}
	if writes := scopes.Writes(held); len(writes) != len(held) {
		t.Errorf("got %d scopes, want %d", len(writes), len(held))
	}
}
