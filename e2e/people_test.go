//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
)

// A user in a hub's database.
type user struct {
	Name     string   `json:"name"`
	Groups   []string `json:"groups"`
	HoursAgo int      `json:"hours_ago,omitempty"` // since the last activity; 0 if there was none
	Servers  []string `json:"servers,omitempty"`   // names of stopped servers
}

const emptyGroup = "nobody-here"

// The hub doesn't validate names of groups. None and multiple are also the pseudo-groups of the exporter.
var oddGroups = []string{
	"Grp,Comma", "grp/slash", `q"uote`, `back\slash`, `trailing\`, "new\nline", "tab\there", "Ünïcode 日本 🦉", "UPPER",
	" outer spaces ", `{a="b"}`, "per%2Fcent?x#y", "none", "multiple",
}

// The hub rejects some characters in names of users, but before JupyterHub 6 it didn't validate renames.
var oddUsers = []string{
	"jo@example.org", "ünal.é", "日本", "dots.and_lines", `dom\user`, `quo"te`, "in ner", "two--hyphens", "ends-", "007",
	"Kept.Capitals", strings.Repeat("long", 50), "none", "c:olon", "tab\tbed", "two\nlines", "re/named",
}

// people returns users for more than two pages, in no, one and several groups.
func people() []user {
	plain := [][]string{nil, {"alpha"}, {"beta"}, {"alpha", "beta"}, {"alpha", "beta", "Gamma"}}
	var all []user
	for i := range 401 {
		all = append(all, user{Name: fmt.Sprintf("user-%03d", i), Groups: plain[i%len(plain)]})
	}
	for i, name := range oddUsers {
		groups := []string{oddGroups[i%len(oddGroups)], oddGroups[(i+1)%len(oddGroups)], "alpha"}
		all = append(all, user{Name: name, Groups: groups[:1+i%len(groups)]})
	}
	for i, group := range oddGroups {
		all = append(all, user{Name: fmt.Sprintf("member-%02d", i), Groups: []string{group}})
	}
	return all
}

// published returns the published groups of users, sorted.
func published(people []user) map[string][]string {
	all := map[string][]string{}
	for _, u := range people {
		all[u.Name] = u.published()
	}
	return all
}

// published returns the published groups of a user, sorted. A user in no group is in the group "none".
func (u user) published() []string {
	if len(u.Groups) == 0 {
		return []string{"none"}
	}
	return slices.Sorted(slices.Values(u.Groups))
}
