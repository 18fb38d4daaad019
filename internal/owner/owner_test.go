package owner_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/owner"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// index returns an index of users with the default templates. A user is "NAME" or "NAME/SERVER/SERVER".
func index(users ...string) *owner.Index {
	return owner.NewIndex(accounts(users...), owner.DefaultTemplates())
}

func accounts(users ...string) []owner.User {
	var all []owner.User
	for _, user := range users {
		names := strings.Split(user, "/")
		all = append(all, owner.User{Name: names[0], Servers: names[1:]})
	}
	return all
}

// short returns matches as "KIND USER/SERVER SCHEME".
func short(matches []owner.Match) []string {
	var all []string
	for _, m := range matches {
		text := string(m.Kind) + " " + m.User
		if m.Server != "" {
			text += "/" + m.Server
		}
		all = append(all, strings.TrimSpace(text+" "+string(m.Scheme)))
	}
	return all
}

func TestFind(t *testing.T) {
	x := index("ada@uni.example/My GPU", "Ada", "ada/gpu", "has-hyphen", "has-2dhyphen", "adagpu", "9lives", "tail-", strings.Repeat("a", 47))
	for _, c := range []struct {
		name string
		want []string
	}{
		{"nobody", nil},
		{"", nil},
		{"jupyter-", nil},
		{"ada@uni.example", []string{"user ada@uni.example", "directory ada@uni.example"}},
		{"jupyter-ada-uni-example---5b41514d", []string{"pod ada@uni.example safe"}},
		{"jupyter-ada-40uni-2eexample", []string{"pod ada@uni.example escape"}},
		{"jupyter-ada", []string{"pod ada"}},
		{"jupyter-ada--gpu", []string{"pod ada/gpu"}},
		{"claim-ada-40uni-2eexample---4dy-20-47-50-55", []string{"claim ada@uni.example/My GPU escape"}},
		{"ada---99a563ab", []string{"safe Ada safe", "directory Ada safe"}},
		{"-41da", []string{"escaped Ada escape", "label Ada escape", "directory Ada escape"}},
		{"Ada", []string{"user Ada", "label Ada safe", "directory Ada"}},
		{"9lives", []string{"user 9lives", "escaped 9lives escape", "label 9lives", "directory 9lives escape"}},

		// a name that one template makes in one scheme, and another template in the other
		{"jupyter-" + strings.Repeat("a", 47), []string{"pod " + strings.Repeat("a", 47)}},

		// a name of several users
		{"claim-has-2dhyphen", []string{"claim has-2dhyphen safe", "claim has-hyphen escape"}},
		{"claim-adagpu", []string{"claim ada/gpu", "claim adagpu"}},

		// directories, with folders before them
		{"/export/homes/ada-uni-example---5b41514d/", []string{"directory ada@uni.example safe"}},
		{"homes/ada", []string{"directory ada"}},
		{"ada/", []string{"directory ada"}},
		{"/home/tail-", []string{"directory tail-"}},
		{"/home/tail", []string{"directory tail-"}}, // kubespawner removes hyphens at the end
		{"ada/work", nil},
		{"/", nil},
	} {
		if diff := cmp.Diff(c.want, short(x.Find(c.name))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.name, diff)
		}
	}
	if got := short(x.FindKind("ada", owner.KindSafe, owner.KindEscaped)); !slices.Equal(got, []string{"escaped ada escape", "safe ada safe"}) {
		t.Errorf("two kinds: got %q", got)
	}
	if got := x.FindKind("jupyter-ada", owner.KindClaim); got != nil {
		t.Errorf("a pod as a claim: got %v", got)
	}
}

// A hub doesn't list deleted servers.
func TestUnlistedServers(t *testing.T) {
	const long = "first.last.of.a.long.name@university.example"
	x := index("ada", "ada@uni.example", long, "Ada", "first-last-of-a-l", "bob/My GPU", "has-hyphen/lab", "has-2dhyphen", "has-2dhyphen2")
	pod := owner.DefaultTemplates().Pods[0]
	for _, c := range []struct {
		what, name string
		want       []string
	}{
		{"both schemes", "jupyter-ada--gpu", []string{"pod ada/gpu"}},
		{"escaped server", "claim-ada-40uni-2eexample---4dy-20-47-50-55", []string{"claim ada@uni.example/My GPU escape"}},
		{"server in either scheme", "jupyter-ada--my-20-47-50-55", []string{"pod ada/my GPU escape", "pod ada/my-20-47-50-55 safe"}},
		{"escaped user", "claim-ada-40uni-2eexample--gpu", []string{"claim ada@uni.example/gpu escape"}},
		{"control characters", pod.Expand("ada", "a\tb\x02d", owner.Escape), []string{"pod ada/a\tb- escape", "pod ada/a-9b-2d safe"}},
		{"hashed user", "jupyter-ada-uni-example---5b41514d--gpu", []string{"pod ada@uni.example/gpu safe"}},
		{"hashed user and server", "jupyter-ada---99a563ab--gpu---12345678", []string{"pod Ada/gpu---12345678 safe"}},
		{"hashed server", "jupyter-ada--gpu---12345678", []string{"pod ada/gpu---12345678 safe"}},
		{"hashed server that another user has", pod.Expand("ada", "My GPU", owner.Safe), []string{"pod ada/My GPU safe"}},
		{"hashed together", pod.Expand(long, "gpu", owner.Safe), []string{"pod " + long + "/gpu safe"}},
		{"hashed together with a server that another user has", pod.Expand(long, "My GPU", owner.Safe), []string{"pod " + long + "/My GPU safe"}},
		{"two users", "jupyter-has-2dhyphen--gpu", []string{"pod has-2dhyphen/gpu safe", "pod has-hyphen/gpu escape"}},
		{"two users, of whom one has the server", "jupyter-has-2dhyphen--lab", []string{"pod has-hyphen/lab escape"}},

		// What the name doesn't prove.
		{"hash of a deleted user", "claim-ada---5b41514d", nil},
		{"hash of another deleted user", "jupyter-ada---99999999", nil},
		{"wrong hash", "jupyter-first-last-of-a-l--gpu---12345678", nil},
		{"server that can't be read", pod.Expand(long, "My other GPU", owner.Safe), nil},
		{"server of a user who may also begin like this", "jupyter-first-last-of-a-l--my-gpu---12345678", nil},
		{"no form of a server", "jupyter-ada--GPU", nil},
		{"empty server", "jupyter-ada--", nil},
		{"server with hyphens", "jupyter-ada--a--b", nil},
		{"hash of a server with hyphens", "jupyter-ada--a--b---12345678", nil},
		{"nobody's", "jupyter-bob2--gpu", nil},
		{"nothing between the names", "claim-adagpu", nil},
		{"nothing between a hash and a server", "claim-ada---99a563abgpu", nil},
		{"a server for a directory", "ada--gpu", nil},
	} {
		if diff := cmp.Diff(c.want, short(x.FindKind(c.name, owner.KindPod, owner.KindClaim, owner.KindDirectory))); diff != "" {
			t.Errorf("%s: %q (-want +got):\n%s", c.what, c.name, diff)
		}
	}
}

// FindAll also returns users whose servers may be deleted if another user has a server that fits.
func TestFindAll(t *testing.T) {
	x := index("has-hyphen/lab", "has-2dhyphen", "ada")
	for name, want := range map[string][]string{
		"claim-has-2dhyphen--lab": {"claim has-2dhyphen/lab safe", "claim has-hyphen/lab escape"},
		"claim-has-2dhyphen":      {"claim has-2dhyphen safe", "claim has-hyphen escape"},
		"claim-ada":               {"claim ada"},
		"claim-nobody":            nil,
	} {
		if diff := cmp.Diff(want, short(x.FindAll(name, owner.KindClaim))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

// Possible returns the possible owners of a name that doesn't prove its owner.
func TestPossible(t *testing.T) {
	const long = "first.last.of.a.long.name@university.example"
	x := index("ada", long, "first-last-of-a-l", long+".org")
	name := owner.DefaultTemplates().Claims[0].Expand(long, "My other GPU", owner.Safe)
	if got := x.Find(name); got != nil {
		t.Errorf("%q: got %v, want nothing proved", name, got)
	}
	if got, want := x.Possible(name, owner.KindClaim), []string{"first-last-of-a-l", long, long + ".org"}; !slices.Equal(got, want) {
		t.Errorf("%q: got %q, want %q", name, got, want)
	}
	for _, name := range []string{"claim-ada", "claim-nobody--gpu", "claim-ada---92345678", "claim-ada---6123456a", "claim-nobody--gpu---12345678", "other"} {
		if got := x.Possible(name, owner.KindClaim); got != nil {
			t.Errorf("%q: got %q, want nobody", name, got)
		}
	}
	if got := x.Possible(name, owner.KindPod); got != nil {
		t.Errorf("as a pod: got %q, want nobody", got)
	}
	for _, server := range []string{"A2d2e2e", "A2d2e2e more"} {
		name := owner.DefaultTemplates().Claims[0].Expand("ada", server, owner.Escape)
		if got, want := x.Possible(name, owner.KindClaim), []string{"ada"}; x.Find(name) != nil || !slices.Equal(got, want) {
			t.Errorf("%q, which looks hashed: got %q, want %q", name, got, want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ template, user, server, escape, safe string }{
		{"jupyter-{user_server}", "A", "", "jupyter--41", "jupyter-a---559aead0"},
		{"jupyter-{username}--{servername}", "a", "", "jupyter-a", "jupyter-a"},
		{"jupyter-{username}--{servername}", "a", "B", "jupyter-a---42", "jupyter-a--b---df7e70e5"},
		{"claim-{username}{servername}", "a", "b", "claim-ab", "claim-ab"},
		{"{unescaped_username}", "a-", "", "a", "a"},
		{"{unescaped_username}-", "a-", "", "a--", "a--"},
		{"{unescaped_username}/{unescaped_servername}", "A", "B", "A/B", "A/B"},
		{"{safe_username}_{escaped_servername}", "A", "B", "a---559aead0_-42", "a---559aead0_-42"},
		{"{escaped_username}.{safe_servername}", "A", "B", "-41.b---df7e70e5", "-41.b---df7e70e5"},
		{"{safe_user_server}", "a", "b", "a--b", "a--b"},
		{"{escaped_user_server}.x", "a", "", "a--.x", "a--.x"},
		{"{legacy_escape_username}", "Ada.B@x\u0130", "", "ada-b-xi", "ada-b-xi"},
		{"{{{username}}}", "a", "", "{a}", "{a}"},
	} {
		template, err := owner.ParseTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		if got := template.Expand(c.user, c.server, owner.Escape); got != c.escape {
			t.Errorf("%s of %q, server %q, escape: got %q, want %q", c.template, c.user, c.server, got, c.escape)
		}
		if got := template.Expand(c.user, c.server, owner.Safe); got != c.safe {
			t.Errorf("%s of %q, server %q, safe: got %q, want %q", c.template, c.user, c.server, got, c.safe)
		}
		if got := template.String(); got != c.template {
			t.Errorf("got %q, want %q", got, c.template)
		}
	}
}

func TestBadTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"":                          `the template "" has no field for the user, such as {username} or {user_server}`,
		"claim-{servername}":        `the template "claim-{servername}" has no field for the user, such as {username} or {user_server}`,
		"claim-{user}":              `the template "claim-{user}" has the field {user}, which kubespawner doesn't have`,
		"claim-{}":                  `the template "claim-{}" has the field {}, which kubespawner doesn't have`,
		"claim-{username:.8}":       `the template "claim-{username:.8}" has the field {username:.8}, which kubespawner doesn't have`,
		"claim-{userid}":            `the template "claim-{userid}" has the field {userid}, which a hub doesn't list: replace it by its value`,
		"{hubnamespace}-{username}": `the template "{hubnamespace}-{username}" has the field {hubnamespace}, which a hub doesn't list: replace it by its value`,
		"claim-{username":           `the template "claim-{username" has a brace without its counterpart`,
		"claim-{username}}":         `the template "claim-{username}}" has a brace without its counterpart`,
		"claim-{{username}}":        `the template "claim-{{username}}" has no field for the user, such as {username} or {user_server}`,
	} {
		if _, err := owner.ParseTemplate(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// Own templates replace the default ones.
func TestOwnTemplates(t *testing.T) {
	x := owner.NewIndex(accounts("ada/gpu", "Ada"), owner.Templates{
		Pods:        templates(t, "nb-{username}-x"),
		Claims:      templates(t, "{servername}.{username}.home", "{escaped_user_server}"),
		Directories: templates(t, "homes/{username}/{servername}", "{legacy_escape_username}"),
	})
	for name, want := range map[string][]string{
		"nb-ada-x":                  {"pod ada"},
		"nb-ada--gpu-x":             nil,
		"jupyter-ada":               nil,
		".ada.home":                 {"claim ada"},
		"gpu.ada.home":              {"claim ada/gpu"},
		"cpu.ada.home":              {"claim ada/cpu"},
		"cpu---12345678.-41da.home": nil,
		"-43-50-55.-41da.home":      {"claim Ada/CPU escape"},
		"ada--cpu":                  {"claim ada/cpu escape"},
		"/x/homes/ada/gpu":          {"directory ada/gpu"},
		"ada/cpu":                   {"directory ada/cpu"},
		"/x/homes/-41da/":           {"directory Ada escape"},
		"/x/-41da/ada":              {"directory Ada/ada escape"},
		"/x/ada":                    {"directory Ada escape", "directory ada"},
	} {
		if diff := cmp.Diff(want, short(x.FindKind(name, owner.KindPod, owner.KindClaim, owner.KindDirectory))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

func templates(tb testing.TB, texts ...string) []owner.Template {
	tb.Helper()
	var all []owner.Template
	for _, text := range texts {
		template, err := owner.ParseTemplate(text)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, template)
	}
	return all
}

// Whatever kubespawner makes is found back, and names of several users are those that a comparison of all names finds.
func TestKubespawnerVectors(t *testing.T) {
	template := templates(t, "jupyter-{user_server}")
	users, pods := map[string][]string{}, map[string]map[string]bool{}
	var names []string
	for _, row := range vectors(t) {
		if !slices.Contains(users[row.Username], row.Servername) {
			users[row.Username] = append(users[row.Username], row.Servername)
		}
		for _, pod := range []string{row.SafePodName, row.EscapePodName} {
			if pods[pod] == nil {
				pods[pod] = map[string]bool{}
				names = append(names, pod)
			}
			pods[pod][row.Username] = true
		}
	}
	var listed []owner.User
	for name, servers := range users {
		listed = append(listed, owner.User{Name: name, Servers: servers})
	}
	x := owner.NewIndex(listed, owner.Templates{Pods: template})
	for _, name := range names {
		want := pods[name]
		for _, user := range listed { // the default server of a user isn't in all vectors
			for _, scheme := range []owner.Scheme{owner.Escape, owner.Safe} {
				if template[0].Expand(user.Name, "", scheme) == name {
					want[user.Name] = true
				}
			}
		}
		got := map[string]bool{}
		for _, m := range x.FindKind(name, owner.KindPod) {
			got[m.User] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-kubespawner +owner):\n%s", name, diff)
		}
	}
}

// vectors returns names that kubespawner made.
func vectors(tb testing.TB) []slug.Forms {
	tb.Helper()
	file, err := os.Open("../slug/testdata/slugs.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var rows []slug.Forms
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var row slug.Forms
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			tb.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// The users of random names with few letters, of which many collide, are those that a comparison of all names finds.
func TestAgainstBruteForce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	name := func(most int) string {
		alphabet := []rune("ab-2d.A")
		text := make([]rune, 1+random.IntN(most))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(text)
	}
	seen := map[string]bool{}
	var users []owner.User
	for len(users) < 400 {
		user := owner.User{Name: name(4)}
		if len(users)%10 == 0 {
			user.Name = strings.Repeat(user.Name, 30) // hashed with the server
		}
		for range random.IntN(3) {
			user.Servers = append(user.Servers, name(3))
		}
		if !seen[user.Name] {
			users = append(users, user)
		}
		seen[user.Name] = true
	}
	claims := templates(t, "claim-{user_server}", "claim-{username}{servername}", "c-{unescaped_username}", "{legacy_escape_username}-{escaped_servername}")
	x := owner.NewIndex(users, owner.Templates{Claims: claims})
	want := map[string]map[string]bool{}
	for _, user := range users {
		for _, template := range claims {
			for _, server := range append([]string{""}, user.Servers...) {
				for _, scheme := range []owner.Scheme{owner.Escape, owner.Safe} {
					claim := template.Expand(user.Name, server, scheme)
					if want[claim] == nil {
						want[claim] = map[string]bool{}
					}
					if strings.Contains(template.String(), "server") {
						want[claim][user.Name+"/"+server] = true
					} else {
						want[claim][user.Name+"/"] = true
					}
				}
			}
		}
	}
	collisions := 0
	for claim, owners := range want {
		got := map[string]bool{}
		for _, m := range x.FindKind(claim, owner.KindClaim) {
			got[m.User+"/"+m.Server] = true
		}
		if diff := cmp.Diff(owners, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", claim, diff)
		}
		if len(owners) > 1 {
			collisions++
		}
	}
	if collisions < 50 {
		t.Errorf("only %d of %d names have several users", collisions, len(want))
	}
}

// The work for a name doesn't grow with the number of users.
func TestWorkPerName(t *testing.T) {
	allocations := func(users int) float64 {
		x := owner.NewIndex(students(users), owner.DefaultTemplates())
		names := namesOf(students(users)[:100])
		for _, name := range names { // the first of them makes tables of all users
			x.Find(name)
			x.Possible(name, owner.KindPod)
		}
		return testing.AllocsPerRun(1, func() {
			for _, name := range names {
				if len(x.Find(name)) == 0 {
					x.Possible(name, owner.KindPod)
				}
			}
		})
	}
	if few, many := allocations(1000), allocations(20_000); many > 1.1*few {
		t.Errorf("allocations for the same names: %v with 1,000 users, %v with 20,000", few, many)
	}
}

// students returns users with long names that all begin in the same way, which is the worst case.
func students(n int) []owner.User {
	users := make([]owner.User, n)
	for i := range users {
		users[i] = owner.User{Name: fmt.Sprintf("student.of.the.summer.course-%06d@university.example", i)}
	}
	return users
}

// namesOf returns a pod, a claim of a deleted server, a directory and a name of nobody for each of the users, in turn.
func namesOf(users []owner.User) []string {
	t := owner.DefaultTemplates()
	names := make([]string, len(users))
	for i, user := range users {
		switch i % 4 {
		case 0:
			names[i] = t.Pods[0].Expand(user.Name, "", owner.Safe)
		case 1:
			names[i] = t.Claims[0].Expand(user.Name, "gpu", owner.Safe)
		case 2:
			names[i] = "/home/" + t.Directories[0].Expand(user.Name, "", owner.Escape)
		default:
			names[i] = fmt.Sprintf("jupyter-student-of-the-s--gpu---%08x", i)
		}
	}
	return names
}

// BenchmarkLookup indexes users and finds as many names.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		users := students(n)
		names := namesOf(users)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x := owner.NewIndex(users, owner.DefaultTemplates())
				for _, name := range names {
					if len(x.Find(name)) == 0 {
						x.Possible(name, owner.KindPod)
					}
				}
			}
		})
	}
}
