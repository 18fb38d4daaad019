//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// An account is a user with one of the user's servers.
type account struct{ user, server string }

// The templates that the program knows, and others that an administrator may choose.
var (
	defaultTemplates = map[string][]string{
		"pod":       {"jupyter-{user_server}", "jupyter-{username}--{servername}"},
		"claim":     {"claim-{user_server}", "claim-{username}--{servername}", "claim-{username}{servername}"},
		"directory": {"{username}", "{unescaped_username}"},
	}
	ownTemplates = map[string][]string{
		"pod":       {"nb-{username}.{servername}", "{escaped_user_server}-x"},
		"claim":     {"home-{safe_user_server}", "{unescaped_username}--{servername}"},
		"directory": {"homes/{username}/{servername}", "{user_server}"},
	}
	oldTemplates = map[string][]string{
		"pod": {"nb-{unescaped_username}.x"}, "claim": {"{legacy_escape_username}-{unescaped_servername}"}, "directory": {"x/{unescaped_username}.home"},
	}
)

// lookup finds exactly the owners of every name that kubespawner makes for random users and servers: those that a
// comparison of all names finds. The hub is a real one.
func TestLookup(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	people, listed, deleted := randomAccounts(random, 20_000)
	h := startHub(t, versions[0], people, readerOfServers)
	// Of kubespawner 6, which has fewer fields and one scheme, only the names are used. Kubespawner 7 knows who else has them.
	old, made, gone := owned(t, kubespawner6, listed, nil), owned(t, kubespawner, listed, defaultTemplates), owned(t, kubespawner, deleted, nil)
	for kind, names := range owned(t, kubespawner, listed, nil) {
		maps.DeleteFunc(made[kind], func(name string, _ map[account]bool) bool { return names[name] == nil && old[kind][name] == nil })
		for name := range old[kind] {
			if made[kind][name] == nil {
				t.Errorf("kubespawner 7 doesn't make %q, a %s of kubespawner 6", name, kind)
			}
		}
	}
	h.checkLookup(t, "default templates", nil, made, gone)
	h.checkLookup(t, "own templates", ownTemplates, owned(t, kubespawner, listed, ownTemplates), owned(t, kubespawner, deleted, ownTemplates))
	h.checkLookup(t, "templates of kubespawner 6", oldTemplates, owned(t, kubespawner6, listed, oldTemplates), owned(t, kubespawner6, deleted, oldTemplates))
}

// checkLookup looks up what kubespawner made, also for servers that the hub no longer has.
func (h *hub) checkLookup(t *testing.T, what string, templates map[string][]string, made, gone map[string]owners) {
	t.Helper()
	flags := []string{"lookup", "--null", "--output=json"}
	for kind, texts := range templates {
		for _, text := range texts {
			flags = append(flags, "--"+kind+"-template="+text)
		}
	}
	found := h.lookup(t, flags, made, gone)
	for kind, names := range made {
		report(t, what+", "+kind, sameOwners(names, found[kind]))
		proved, total, err := deletedServers(names, gone[kind], found[kind])
		report(t, what+", "+kind+" of deleted servers", err)
		t.Logf("%s, %s: %d names, and %d of %d of deleted servers", what, kind, len(names), proved, total)
		if templates == nil && kind != "directory" && proved < total/2 {
			t.Errorf("%s, %s: only %d of %d names of deleted servers are found", what, kind, proved, total)
		}
	}
}

var readerOfServers = service{name: "servers", scopes: []string{"list:users", "read:users:groups", "read:servers"}}

// randomAccounts returns users of a hub, their servers that it lists, and servers that it lists no more.
func randomAccounts(random *rand.Rand, n int) (people []user, listed, deleted []account) {
	servers := []string{"gpu", "GPU", "my server", "2nd", "b", "-2d", "a--b", "rstudio-with-a-name-of-its-own", strings.Repeat("long.", 12)}
	for range 6 {
		servers = append(servers, withoutSlashes(randomName(random)))
	}
	taken := map[string]bool{}
	for len(people) < n {
		name := withoutSlashes(randomName(random))
		if len(people)%4 == 0 { // escape of one is often safe of another
			name = strings.Repeat(randomOf(random, "a-2db", 6), 1+random.IntN(2))
		}
		if taken[name] || strings.TrimSpace(name) == "" {
			continue
		}
		taken[name] = true
		u := user{Name: name, Groups: []string{fmt.Sprintf("group-%d", len(people)%50)}}
		listed = append(listed, account{name, ""})
		for i := range random.IntN(4) {
			server := servers[random.IntN(len(servers))]
			switch {
			case slices.Contains(u.Servers, server):
			case i == 2:
				deleted = append(deleted, account{name, server})
			default:
				u.Servers = append(u.Servers, server)
				listed = append(listed, account{name, server})
			}
		}
		people = append(people, u)
	}
	isListed := map[account]bool{}
	for _, a := range listed {
		isListed[a] = true
	}
	deleted = slices.DeleteFunc(deleted, func(a account) bool { return isListed[a] })
	return people, listed, deleted
}

// withoutSlashes replaces the slashes in a name, which a hub refuses.
func withoutSlashes(name string) string { return strings.ReplaceAll(name, "/", "_") }

func randomOf(random *rand.Rand, alphabet string, most int) string {
	name := make([]byte, 1+random.IntN(most))
	for i := range name {
		name[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(name)
}

// owners maps a name to those it belongs to.
type owners map[string]map[account]bool

// owned returns the names that kubespawner makes, by kind.
func owned(t *testing.T, python string, accounts []account, templates map[string][]string) map[string]owners {
	t.Helper()
	pairs := make([][2]string, len(accounts))
	for i, a := range accounts {
		pairs[i] = [2]string{a.user, a.server}
	}
	input, err := json.Marshal(map[string]any{"owners": pairs, "templates": templates})
	noError(t, err)
	printed := decode[map[string]map[string][]int](t, outputOf(t, "", os.Environ(), string(input), python+"/bin/python", "testdata/owned.py"))
	all := map[string]owners{}
	for kind, names := range printed {
		all[kind] = owners{}
		for name, indices := range names {
			all[kind][name] = map[account]bool{}
			for _, i := range indices {
				all[kind][name][accounts[i]] = true
			}
		}
	}
	return all
}

// lookup returns the owners that the program finds for names, by kind.
func (h *hub) lookup(t *testing.T, flags []string, made ...map[string]owners) map[string]owners {
	t.Helper()
	before := map[string]string{"pod": "pod/", "claim": "persistentvolumeclaim/", "directory": "/export/"}
	var input strings.Builder
	for _, kinds := range made {
		for kind, names := range kinds {
			for name := range names {
				input.WriteString(before[kind] + name + "\x00")
			}
		}
	}
	r := run(t, h.of(token(readerOfServers.name)), input.String(), flags...)
	if r.stdout == "" {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	found := map[string]owners{"pod": {}, "claim": {}, "directory": {}}
	for _, row := range decode[[]struct{ Name, Kind, User, Server string }](t, r.stdout) {
		if row.User == "" {
			continue
		}
		name, ok := strings.CutPrefix(row.Name, before[row.Kind])
		if !ok {
			t.Errorf("%q is found as a %s", row.Name, row.Kind)
			continue
		}
		if found[row.Kind][name] == nil {
			found[row.Kind][name] = map[account]bool{}
		}
		found[row.Kind][name][account{row.User, row.Server}] = true
	}
	return found
}

// sameOwners returns an error unless exactly the owners of each name were found. A name without a server in it belongs to
// a user, and to none of the user's servers.
func sameOwners(want, got owners) error {
	wrong, example := 0, ""
	for name, accounts := range want {
		users := map[string]bool{}
		for a := range accounts {
			users[a.user] = true
		}
		found := map[string]bool{}
		strange := ""
		for a := range got[name] {
			found[a.user] = true
			if !accounts[a] && !accounts[account{a.user, ""}] {
				strange = fmt.Sprintf("%q", a)
			}
		}
		if !maps.Equal(users, found) || strange != "" {
			wrong++
			example = fmt.Sprintf("%q is of %q, but found of %q %s", name, slices.Sorted(maps.Keys(users)), slices.Sorted(maps.Keys(found)), strange)
		}
	}
	if wrong > 0 || len(want) == 0 {
		return fmt.Errorf("%d of %d names are wrong: %s", wrong, len(want), example)
	}
	return nil
}

// deletedServers returns how many names of deleted servers are found, of how many. A name doesn't always prove its user.
// But if it is found, it has to be found of the user.
func deletedServers(listed, want, got owners) (found, all int, err error) {
	wrong, example := 0, ""
	for name, accounts := range want {
		if _, ok := listed[name]; ok {
			continue // it is also the name of something that the hub lists
		}
		all++
		if len(got[name]) == 0 {
			continue
		}
		found++
		for a := range accounts {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(got[name])), func(o account) bool { return o.user == a.user }) {
				wrong++
				example = fmt.Sprintf("%q is of %q, but found of %v", name, a, got[name])
			}
		}
	}
	if wrong > 0 {
		err = fmt.Errorf("%d of %d are wrong: %s", wrong, all, example)
	}
	return found, all, err
}

// Users are deleted, renamed, and created again with the same name.
func TestLookupOnHubs(t *testing.T) {
	onEach(t, versions, lookupOnHub)
}

func lookupOnHub(t *testing.T, version string) {
	people := []user{
		{Name: "ada@uni.example", Groups: []string{"bio"}, Servers: []string{"gpu"}},
		{Name: "bob", Groups: []string{"chem"}, Servers: []string{"My GPU"}},
		{Name: "cy.old@uni.example"},
		{Name: "dan@uni.example", Groups: []string{"bio"}},
		{Name: "has-hyphen"}, {Name: "has-2dhyphen"},
	}
	h := startHub(t, version, people, reader, readerOfServers)
	now := time.Now()
	p := recorded(t, now, people)
	h.change("DELETE", "/users/ada@uni.example", nil)
	h.change("PATCH", "/users/cy.old@uni.example", map[string]string{"name": "cy.new@uni.example"})
	h.change("DELETE", "/users/dan@uni.example", nil)
	h.change("POST", "/users/dan@uni.example", nil)
	h.change("DELETE", "/users/bob/servers/My%20GPU", map[string]bool{"remove": true})

	env := h.of(token(readerOfServers.name))
	day := func(ago int) string { return now.UTC().AddDate(0, 0, -ago).Format(time.DateOnly) }
	for _, c := range []struct {
		name, want string
		code       int
	}{
		{"claim-ada-uni-example---5b41514d", ",,was ada@uni.example " + day(3), 0},
		{"claim-ada-uni-example---5b41514d--gpu", ",gpu,was ada@uni.example " + day(3), 0},
		{"claim-cy-2eold-40uni-2eexample", ",,was cy.old@uni.example " + day(2), 0},
		{"claim-cy-2enew-40uni-2eexample", "cy.new@uni.example,,", 0},
		{"claim-dan-40uni-2eexample", "dan@uni.example,,", 0},
		{"claim-bob---4dy-20-47-50-55", "bob,My GPU,", 0},
		{"claim-has-2dhyphen", "has-2dhyphen,, has-hyphen,,", 0},
		{"claim-nobody", ",,", 1},
	} {
		r := run(t, env, "", "lookup", "--output=json", "--namespace=hub", "--prometheus-url="+p, c.name)
		var got []string
		for _, row := range decode[[]struct {
			User, Server string
			Former       string `json:"former_user"`
			Last         string `json:"last_seen"`
		}](t, r.stdout) {
			text := row.User + "," + row.Server + ","
			if row.Former != "" {
				text += "was " + row.Former + " " + row.Last
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want || r.code != c.code {
			t.Errorf("%s: got %q and exit code %d, want %q and %d\n%s", c.name, got, r.code, c.want, c.code, r.stderr)
		}
	}

	// Without Prometheus, nobody has them, and without the scope no server is known.
	if r := run(t, env, "", "lookup", "claim-ada-uni-example---5b41514d"); r.code != 1 || !strings.Contains(r.stderr, "names that match no user: 1") {
		t.Errorf("a deleted user without Prometheus: exit code %d\n%s", r.code, r.stderr)
	}
	h.change("POST", "/users/bob/servers/old", nil)
	h.change("DELETE", "/users/bob/servers/old", nil)
	if out := succeed(t, env, "lookup", "--output=csv", "claim-bobold"); !strings.Contains(out, "claim-bobold,claim,bob,old,chem") {
		t.Errorf("a stopped server:\n%s", out)
	}
	if r := run(t, h.of(token("reader")), "", "lookup", "claim-bobold"); r.code != 1 || !strings.Contains(r.stderr, "read:servers") {
		t.Errorf("without the scope read:servers: exit code %d\n%s", r.code, r.stderr)
	}
}

// recorded starts a Prometheus that recorded the memberships of users until some days ago, and returns its address.
func recorded(t *testing.T, now time.Time, people []user) string {
	t.Helper()
	last := map[string]int{"ada@uni.example": 3, "cy.old@uni.example": 2}
	var text strings.Builder
	text.WriteString("# TYPE jupyterhub_user_group_info gauge\n")
	for _, u := range people {
		for ago := 20; ago >= last[u.Name]; ago-- {
			at := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -ago).Add(time.Minute)
			fmt.Fprintf(&text, "jupyterhub_user_group_info{namespace=\"hub\",usergroup=\"none\",username=%q} 1 %d\n", u.Name, at.Unix())
		}
	}
	text.WriteString("# EOF\n")
	dir := t.TempDir()
	file := filepath.Join(dir, "memberships.txt")
	writeFile(t, file, text.String(), 0o600)
	data := filepath.Join(dir, "data")
	promtool := exec.Command(prometheusPrefix+prometheusVersions[0]+"/promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", file, data)
	if output, err := promtool.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return stored(t, prometheusVersions[0], data)
}
