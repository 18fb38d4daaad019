package scopes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		held                   string
		missing, partly, parts string
	}{
		{"list:users read:users:groups", "", "", ""},
		{"admin:users", "", "", ""},
		{"", "list:users read:users:groups", "", ""},
		{"list:groups read:servers", "list:users read:users:groups", "", ""},
		{"list:users", "read:users:groups", "", ""},
		{"list:users!group=bio", "read:users:groups", "list:users", "list:users!group=bio"},
		{"list:users read:users!group=bio read:users!group=chem", "", "read:users:groups", "read:users:groups!group=bio read:users:groups!group=chem"},
		{"list:users list:users!group=bio read:users:groups", "", "", ""},
	} {
		lack := scopes.Memberships().Check(strings.Fields(c.held))
		got := []string{strings.Join(lack.Missing, " "), strings.Join(lack.Partly, " "), strings.Join(lack.Parts, " ")}
		if want := []string{c.missing, c.partly, c.parts}; !slices.Equal(got, want) {
			t.Errorf("with %q: got %q, want %q", c.held, got, want)
		}
		if lack.None() != (c.missing+c.partly == "") {
			t.Errorf("with %q: got None() = %v, want %v", c.held, lack.None(), !lack.None())
		}
	}
}

func TestAdd(t *testing.T) {
	held := []string{"list:users!group=bio"}
	users, servers := scopes.Memberships().Check(held), scopes.RunningServers().Check(held)
	sum := users.Add(servers)
	if got := strings.Join(sum.Missing, " "); got != "read:users:groups read:servers" {
		t.Errorf("got missing scopes %s, want those of both features", got)
	}
	if len(users.Missing) != 1 || !slices.Equal(sum.Partly, []string{"list:users"}) || !slices.Equal(sum.Parts, held) {
		t.Errorf("got %+v, want the parts once, and %+v unchanged", sum, users)
	}
}

// A role with the missing scopes added has all required scopes.
func TestAddMissingScopes(t *testing.T) {
	all := []scopes.Feature{scopes.Memberships(), scopes.EmptyGroups(), scopes.ActiveUsers(), scopes.RunningServers()}
	for _, held := range []string{"", "list:users", "read:users!user=ada list:users", "list:groups!group=a servers", "self"} {
		for _, f := range all {
			had := strings.Fields(held)
			lack := f.Check(had)
			if now := slices.Concat(had, lack.Missing, lack.Partly); !f.Check(now).None() {
				t.Errorf("%s with %q: still lacking %+v", f.Name, now, f.Check(now))
			}
			if writes := scopes.Writes(f.Scopes); len(writes) > 0 {
				t.Errorf("%s needs %q, which can write", f.Name, writes)
			}
		}
	}
}

func TestExpand(t *testing.T) {
	for held, want := range map[string]string{
		"":                     "",
		"read:metrics":         "read:metrics",
		"read:users!group=bio": "read:users!group=bio read:users:activity!group=bio read:users:groups!group=bio read:users:name!group=bio",
		"groups list:groups":   "groups list:groups read:groups read:groups:name",
	} {
		if got := strings.Join(scopes.Expand(strings.Fields(held)), " "); got != want {
			t.Errorf("%q: got %q, want %q", held, got, want)
		}
	}
}
