// Package scopes implements JupyterHub's rules for scopes: which scopes include others, and which do more than read.
// A scope can have a filter after a "!", such as list:users!group=bio. Then it covers only a part of the hub.
package scopes

import (
	"slices"
	"strings"
)

// Grants reports whether a token with the scopes held has a scope for the whole hub. If not, it also returns the scope
// with each filter that limits it.
func Grants(held []string, scope string) (whole bool, parts []string) {
	included := included()
	for _, h := range held {
		base, filter, filtered := strings.Cut(h, "!")
		switch {
		case base != scope && !slices.Contains(included[base], scope):
		case !filtered:
			return true, nil
		default:
			parts = append(parts, scope+"!"+filter)
		}
	}
	slices.Sort(parts)
	return false, slices.Compact(parts)
}

// Has reports whether a token with the scopes held has a scope, for the whole hub or a part of it.
func Has(held []string, scope string) bool {
	whole, parts := Grants(held, scope)
	return whole || len(parts) > 0
}

// Writes returns the scopes held that do more than read. It omits scopes that other scopes in the result include.
func Writes(held []string) []string {
	included := included()
	redundant, whole := map[string]bool{}, map[string]bool{}
	for _, h := range held {
		base, filter, filtered := strings.Cut(h, "!")
		whole[base] = whole[base] || !filtered
		for _, scope := range included[base] {
			if filtered {
				redundant[scope+"!"+filter] = true
			} else {
				redundant[scope], whole[scope] = true, true
			}
		}
	}
	writes := slices.DeleteFunc(slices.Clone(held), func(h string) bool {
		base, _, filtered := strings.Cut(h, "!")
		return onlyReads(base) || redundant[h] || filtered && whole[base]
	})
	slices.Sort(writes)
	return slices.Compact(writes)
}

// onlyReads reports whether a scope allows no change. The scope access:servers allows changes to the users' data.
// Custom scopes allow none, because the hub doesn't use them.
func onlyReads(scope string) bool {
	switch scope {
	case "inherit", "self", "(no_scope)", "admin-ui", "access:services":
		return true
	}
	return slices.ContainsFunc([]string{"read:", "list:", "custom:"}, func(prefix string) bool { return strings.HasPrefix(scope, prefix) })
}

// included returns the scopes that each scope includes, directly or indirectly. Most hubs list them among the scopes of
// a token. The table is for other hubs, and for omitting redundant scopes.
func included() map[string][]string {
	table := map[string][]string{
		"admin:users":    {"users", "delete:users", "admin:auth_state", "read:roles:users"},
		"users":          {"list:users", "read:users", "users:activity"},
		"users:activity": {"read:users:activity"},
		"read:users":     {"read:users:name", "read:users:groups", "read:users:activity"},
		"admin:groups":   {"groups", "delete:groups", "read:roles:groups"},
		"list:users":     {"read:users:name"},
		"groups":         {"list:groups", "read:groups"},
		"read:groups":    {"read:groups:name"},
		"list:groups":    {"read:groups:name"},
		"admin:servers":  {"servers", "admin:server_state"},
		"servers":        {"read:servers", "start:servers", "delete:servers"},
		"tokens":         {"read:tokens"},
		"shares":         {"access:servers", "read:shares", "users:shares", "groups:shares"},
	}
	all := map[string][]string{}
	for scope := range table {
		for next := []string{scope}; len(next) > 0; next = next[1:] {
			all[scope] = append(all[scope], table[next[0]]...)
			next = append(next, table[next[0]]...)
		}
	}
	return all
}
