package homes_test

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

func now() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

func ago(days int) time.Time { return now().AddDate(0, 0, -days) }

func directory(path string) homes.Home {
	return homes.Home{Kind: homes.Directory, Name: path[strings.LastIndexByte(path, '/')+1:], Path: path}
}

func claim(name, user, server string) homes.Home {
	return homes.Home{Kind: homes.Claim, Name: name, Path: name, User: user, Server: server}
}

// active returns a user who was active today.
func active(name string) membership.User { return membership.User{Name: name, LastActivity: now()} }

// verdicts returns rows as "path verdict: owner (matched by), …".
func verdicts(rows []homes.Row) []string {
	var texts []string
	for _, r := range rows {
		var owners []string
		for _, o := range r.Owners {
			owners = append(owners, fmt.Sprintf("%s (%s)", o.User, o.MatchedBy))
		}
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s: %s", r.Path, r.Verdict, strings.Join(owners, ", "))))
	}
	return texts
}

func judge(t *testing.T, users []membership.User, list ...homes.Home) []string {
	t.Helper()
	hub := homes.Hub{Users: users, HasCreated: true, Templates: owner.DefaultTemplates()}
	rows, err := homes.Judge(list, hub, ago(180))
	if err != nil {
		t.Fatal(err)
	}
	return verdicts(rows)
}

func TestStale(t *testing.T) {
	users := []membership.User{
		{Name: "active", LastActivity: ago(179)},
		{Name: "away", LastActivity: ago(181)},
		{Name: "starting", LastActivity: ago(181), ActiveServers: 1},
		{Name: "never", Created: ago(181)},
		{Name: "new", Created: ago(179)},
		{Name: "unrecorded"},
		{Name: "future", LastActivity: ago(-3)},
	}
	var list []homes.Home
	for _, u := range users {
		list = append(list, directory(u.Name))
	}
	want := []string{
		"active ok: active (name)", "away stale: away (name)", "starting ok: starting (name)", "never stale: never (name)", "new ok: new (name)",
		"unrecorded ok: unrecorded (name)", "future ok: future (name)",
	}
	if diff := cmp.Diff(want, judge(t, users, list...)); diff != "" {
		t.Error(diff)
	}
	hub := homes.Hub{Users: users, Templates: owner.DefaultTemplates()}
	if _, err := homes.Judge(list, hub, ago(180)); err == nil || err.Error() != `the user "never" was never active, and the hub token can't read when users were created` {
		t.Errorf("got the error %v, want one about never", err)
	}
	for _, rest := range [][]homes.Home{list[:3], {directory("gone")}} { // it isn't needed for these
		if _, err := homes.Judge(rest, hub, ago(180)); err != nil {
			t.Error(err)
		}
	}
	rows, err := homes.Judge(list, hub, time.Time{})
	if err != nil || slices.ContainsFunc(rows, func(r homes.Row) bool { return r.Verdict != homes.OK }) {
		t.Errorf("without a time, got %v, error %v; want ok", verdicts(rows), err)
	}
}

// Each home has all users for whom kubespawner makes its name, in either scheme and for any server, among its owners.
func TestNoHomeOfAUserIsAnOrphan(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	templates := owner.DefaultTemplates()
	for range 300 {
		var users []membership.User
		made := map[homes.Home]map[string]bool{} // the users for whom kubespawner makes a home
		add := func(h homes.Home, user string) {
			if made[h] == nil {
				made[h] = map[string]bool{}
			}
			made[h][user] = true
		}
		servers := append(hostileNames(random, 3), "", "gpu", "A2d2e2e", "A long server name that is cut off")
		for _, name := range hostileNames(random, 8) {
			if random.IntN(4) == 0 {
				name += " with a long name that is cut off" + name
			}
			users = append(users, active(name))
			for _, scheme := range []owner.Scheme{owner.Escape, owner.Safe} {
				add(directory(templates.Directories[0].Expand(name, "", scheme)), name)
				for _, server := range servers {
					add(claim(templates.Claims[0].Expand(name, server, scheme), "", ""), name)
					add(claim(templates.Claims[1].Expand(name, server, scheme), "", ""), name)
				}
			}
		}
		rows, err := homes.Judge(slices.Collect(maps.Keys(made)), homes.Hub{Users: users, HasCreated: true, Templates: templates}, ago(180))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			for user := range made[r.Home] {
				if r.Verdict == homes.Orphan || !slices.ContainsFunc(r.Owners, func(o homes.Owner) bool { return o.User == user }) {
					t.Errorf("the %s %q is %s of %v, want %q among the owners", r.Kind, r.Name, r.Verdict, r.Owners, user)
				}
			}
		}
	}
}

// A claim of an inactive user isn't stale if somebody else mounts it, because kubespawner makes the same name for both.
func TestStaleClaimOfAnotherUser(t *testing.T) {
	users := []membership.User{{Name: "has-hyphen", LastActivity: ago(181)}, active("has-2dhyphen")}
	list := []homes.Home{claim("claim-has-2dhyphen", "has-hyphen", ""), claim("claim-has-hyphen", "has-hyphen", "gpu")}
	want := []string{"claim-has-2dhyphen ambiguous: has-hyphen (annotation), has-2dhyphen (safe)", "claim-has-hyphen stale: has-hyphen (annotation)"}
	if diff := cmp.Diff(want, judge(t, users, list...)); diff != "" {
		t.Error(diff)
	}
}

func TestOwners(t *testing.T) {
	users := []membership.User{active("ada@uni.example"), active("has-hyphen"), active("has-2dhyphen"), active("Dan"), active("bob")}
	for _, c := range []struct {
		name string
		list []homes.Home
		want []string
	}{
		{"one home", []homes.Home{directory("/home/ada-40uni-2eexample")}, []string{"/home/ada-40uni-2eexample ok: ada@uni.example (escape)"}},
		{"two homes", []homes.Home{directory("ada-40uni-2eexample"), directory("ada-uni-example---5b41514d")},
			[]string{"ada-40uni-2eexample double: ada@uni.example (escape)", "ada-uni-example---5b41514d double: ada@uni.example (safe)"}},
		{"the same name in two folders", []homes.Home{directory("/a/bob"), directory("/b/bob")}, []string{"/a/bob double: bob (name)", "/b/bob double: bob (name)"}},
		{"names of two users", []homes.Home{directory("has-2dhyphen"), directory("has-2d2dhyphen"), directory("has-hyphen")}, []string{
			"has-2dhyphen ambiguous: has-2dhyphen (safe), has-hyphen (escape)",
			"has-2d2dhyphen double: has-2dhyphen (escape)", // the other one may be the same user's
			"has-hyphen double: has-hyphen (safe)",
		}},
		{"capital letters", []homes.Home{directory("Dan"), directory("dan"), directory("BOB")}, []string{"Dan ok: Dan (name)", "dan orphan:", "BOB orphan:"}},
		{"a directory and claims", []homes.Home{directory("bob"), claim("claim-bob", "bob", ""), claim("claim-bob--gpu", "bob", "gpu")},
			[]string{"bob ok: bob (name)", "claim-bob ok: bob (annotation)", "claim-bob--gpu ok: bob (annotation)"}},
		{"claims without the server's annotation", []homes.Home{claim("claim-bob", "bob", ""), claim("claim-bob--gpu", "bob", "")},
			[]string{"claim-bob ok: bob (annotation)", "claim-bob--gpu ok: bob (annotation)"}},
		{"claims without annotations", []homes.Home{claim("claim-ada-40uni-2eexample", "", ""), claim("claim-bob--gpu", "", ""), claim("claim-bob", "", ""), claim("claim-gone", "", "")}, []string{
			"claim-ada-40uni-2eexample ok: ada@uni.example (escape)", "claim-bob--gpu ok: bob (both)", "claim-bob ok: bob (both)", "claim-gone orphan:",
		}},
		{"two claims for a server", []homes.Home{claim("claim-bob", "bob", ""), claim("other", "bob", "")},
			[]string{"claim-bob double: bob (annotation)", "other double: bob (annotation)"}},
		{"two claims for a server, of which somebody else mounts one", []homes.Home{claim("claim-has-2dhyphen", "has-hyphen", ""), claim("claim-has-hyphen", "has-hyphen", "")},
			[]string{"claim-has-2dhyphen ambiguous: has-hyphen (annotation), has-2dhyphen (safe)", "claim-has-hyphen double: has-hyphen (annotation)"}},
		{"the annotation decides", []homes.Home{claim("claim-has-2dhyphen", "has-hyphen", "")}, []string{"claim-has-2dhyphen ok: has-hyphen (annotation)"}},
		{"the annotation of a deleted user", []homes.Home{claim("claim-gone", "gone", "")}, []string{"claim-gone orphan: gone (annotation)"}},
		{"a claim that somebody else mounts now", []homes.Home{claim("claim-bob", "gone", "")}, []string{"claim-bob ambiguous: gone (annotation), bob (both)"}},
		{"line breaks, and bytes that aren't UTF-8", []homes.Home{directory("bob\n"), directory("b\xffb")}, []string{"bob\n orphan:", "b\xffb orphan:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, judge(t, users, c.list...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A name in which user and server are hashed together doesn't prove its user, and must not be an orphan either.
func TestPossible(t *testing.T) {
	const long = "first.last.of.a.long.name@university.example.org"
	name := "claim-" + slug.SafeUserServer(long, "A server that was deleted")
	want := []string{name + " ambiguous: " + long + " (possible)"}
	if diff := cmp.Diff(want, judge(t, []membership.User{active(long), active("bob")}, claim(name, "", ""))); diff != "" {
		t.Error(diff)
	}
	want = []string{"claim-" + slug.SafeUserServer(long, "") + " ok: " + long + " (safe)", want[0]} // not double: it is of another server
	if diff := cmp.Diff(want, judge(t, []membership.User{active(long)}, claim("claim-"+slug.SafeUserServer(long, ""), "", ""), claim(name, "", ""))); diff != "" {
		t.Error(diff)
	}
	want = []string{name + " orphan: gone (annotation)"}
	if diff := cmp.Diff(want, judge(t, []membership.User{active(long), active("bob")}, claim(name, "gone", ""))); diff != "" {
		t.Error(diff)
	}
}

// The claim of a user's server isn't stale if another user may have had a server for which kubespawner makes the same name.
func TestDeletedServerOfAnotherUser(t *testing.T) {
	hub := homes.Hub{
		Users: []membership.User{{Name: "has-hyphen", LastActivity: ago(181)}, active("has-2dhyphen")}, Templates: owner.DefaultTemplates(),
		Servers: map[string][]string{"has-hyphen": {"lab"}},
	}
	rows, err := homes.Judge([]homes.Home{claim("claim-has-2dhyphen--lab", "", "")}, hub, ago(180))
	want := []string{"claim-has-2dhyphen--lab ambiguous: has-2dhyphen (safe), has-hyphen (escape)"}
	if diff := cmp.Diff(want, verdicts(rows)); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// A hub's list of named servers, also of those that are stopped, proves the owners of their claims.
func TestNamedServers(t *testing.T) {
	const long = "first.last.of.a.long.name@university.example.org"
	hub := homes.Hub{
		Users: []membership.User{active(long), active("ada")}, Templates: owner.DefaultTemplates(),
		Servers: map[string][]string{long: {"My GPU"}, "ada": {"gpu", "A2d2e2e"}},
	}
	hashed := "claim-" + slug.SafeUserServer(long, "My GPU")
	rows, err := homes.Judge([]homes.Home{claim(hashed, "", ""), claim("claim-adagpu", "", ""), claim("claim-ada---412d2e2e", "", "")}, hub, ago(180))
	want := []string{hashed + " ok: " + long + " (safe)", "claim-adagpu ok: ada (both)", "claim-ada---412d2e2e ok: ada (escape)"}
	if diff := cmp.Diff(want, verdicts(rows)); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestNoOwners(t *testing.T) {
	var list []homes.Home
	for i := range 10 {
		list = append(list, directory(fmt.Sprint("s", i)))
	}
	hub := homes.Hub{Users: []membership.User{active("bob")}, Templates: owner.DefaultTemplates()}
	if _, err := homes.Judge(list, hub, ago(180)); err == nil {
		t.Error("no error for ten homes of another hub")
	}
	for _, others := range [][]homes.Home{list[1:], append(list, directory("bob")), {}} {
		if _, err := homes.Judge(others, hub, ago(180)); err != nil {
			t.Error(err)
		}
	}
}

func TestReadDirectories(t *testing.T) {
	size := func(n int64) *int64 { return &n }
	home := func(path, name string, size *int64) homes.Home {
		return homes.Home{Kind: homes.Directory, Path: path, Name: name, Size: size}
	}
	for _, c := range []struct {
		text string
		want []homes.Home
		err  string
	}{
		{"bob\n\nada/\n", []homes.Home{home("bob", "bob", nil), home("ada", "ada", nil)}, ""},
		{"/home\n/home/bob\n/home/a b\n", []homes.Home{home("/home/bob", "bob", nil), home("/home/a b", "a b", nil)}, ""},
		{".\n./bob\n./-rf\n", []homes.Home{home("./bob", "bob", nil), home("./-rf", "-rf", nil)}, ""},
		{"7\t./bob\n0\t./a\tb\n9\t.\n", []homes.Home{home("./bob", "bob", size(7)), home("./a\tb", "a\tb", size(0))}, ""},
		{"7\t/bob\n9\t/\n", []homes.Home{home("/bob", "bob", size(7))}, ""},
		{"7\tbob\n8\tada\n", []homes.Home{home("bob", "bob", size(7)), home("ada", "ada", size(8))}, ""},
		{"/a/bob\n/b/bob\n", []homes.Home{home("/a/bob", "bob", nil), home("/b/bob", "bob", nil)}, ""},
		{"/home/bob\n", []homes.Home{home("/home/bob", "bob", nil)}, ""},
		{"9\t/home\n", nil, ""}, // an empty directory
		{"", []homes.Home{}, ""},
		{"/home/bob/x\n/home/bob\n/home/cy\n/home\n", nil, "folders inside of homes"},
		{"/home/bob/x\n/home/bob\n/home/cy\n", nil, "folders inside of homes"},
		{"/home/bob/x\n/home/bob\n/home/cy/x\n/home/cy\n", nil, "folders inside of homes"},
		{"bob\nbob/\n", nil, `"bob" is listed twice`},
		{"7\tbob\ncy\n", nil, "1 of 2 entries have a size"},
		{"4.0K\tbob\n", nil, "entry 1 has a size with a unit"},
		{"12M\tbob\n", nil, "entry 1 has a size with a unit"},
		{"99999999999999999999\tbob\n", nil, "entry 1 has no valid size"},
	} {
		got, err := homes.ReadDirectories(strings.NewReader(c.text), bufio.ScanLines)
		if diff := cmp.Diff(c.want, got); diff != "" && c.err == "" || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: error %v, want %q; -want +got:\n%s", c.text, err, c.err, diff)
		}
	}
}

func TestReadClaims(t *testing.T) {
	size := func(n int64) *int64 { return &n }
	item := func(name, annotations, rest string) string {
		return fmt.Sprintf(`{"kind": "PersistentVolumeClaim", "metadata": {"name": %q, "namespace": "hub", "annotations": {%s}}%s}`, name, annotations, rest)
	}
	list := func(items ...string) string { return `{"items": [` + strings.Join(items, ",") + `]}` }
	bob := `"hub.jupyter.org/username": "bob"`
	capacity := func(text string) string { return `, "status": {"capacity": {"storage": "` + text + `"}}` }
	for _, c := range []struct {
		text   string
		want   []homes.Home
		others []string
		err    string
	}{
		{list(item("a", bob, capacity("10Gi"))), []homes.Home{{Kind: homes.Claim, Name: "a", Path: "a", User: "bob", Size: size(10 << 30), Limit: size(10 << 30)}}, nil, ""},
		{list(item("a", bob, `, "spec": {"resources": {"requests": {"storage": "5G"}}}`)), []homes.Home{{Kind: homes.Claim, Name: "a", Path: "a", User: "bob", Size: size(5e9), Limit: size(5e9)}}, nil, ""},
		{list(item("a", bob, ""), item("db", "", "")), []homes.Home{{Kind: homes.Claim, Name: "a", Path: "a", User: "bob"}}, []string{"db"}, ""},
		{list(), nil, nil, ""},
		{list(item("a", bob, capacity("5e9"))), []homes.Home{{Kind: homes.Claim, Name: "a", Path: "a", User: "bob", Size: size(5e9), Limit: size(5e9)}}, nil, ""},
		{list(item("a", bob, capacity("1500m"))), []homes.Home{{Kind: homes.Claim, Name: "a", Path: "a", User: "bob", Size: size(2), Limit: size(2)}}, nil, ""},
		{list(item("a", bob, capacity("lots"))), nil, nil, `the claim "a" has the size "lots"`},
		{list(item("a", bob, capacity("lotsm"))), nil, nil, `the claim "a" has the size "lotsm"`},
		{list(item("a", bob, capacity("NaN"))), nil, nil, `the claim "a" has the size "NaN"`},
		{list(item("a", bob, capacity("-1"))), nil, nil, `the claim "a" has the size "-1"`},
		{list(item("a", bob, capacity("9E"))), nil, nil, `the claim "a" has the size "9E"`},
		{list(item("a", bob, ""))[:40], nil, nil, "it is not the JSON of kubectl"},
		{item("a", bob, ""), nil, nil, "it is not a list of claims"},
		{list() + list(), nil, nil, "it has several lists"},
	} {
		got, others, err := homes.ReadClaims(strings.NewReader(c.text))
		diff := cmp.Diff(c.want, got) + cmp.Diff(c.others, others)
		if c.err == "" && (diff != "" || err != nil) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q; -want +got:\n%s", c.text, err, c.err, diff)
		}
	}
}

func TestCombine(t *testing.T) {
	size := func(n int64) *int64 { return &n }
	with := func(h homes.Home, size, limit *int64) homes.Home {
		h.Size, h.Limit = size, limit
		return h
	}
	listed := []homes.Home{with(directory("/a/bob"), size(7), nil), directory("/a/cy"), directory("/a/two"), directory("/b/two")}
	measured := []homes.Home{
		with(directory("bob"), size(8), size(9)), with(directory("cy"), size(3), nil), with(directory("two"), size(5), nil), with(directory("gone"), size(6), nil),
		claim("claim-bob", "bob", ""),
	}
	want := []homes.Home{
		with(directory("/a/bob"), size(7), size(9)), with(directory("/a/cy"), size(3), nil), directory("/a/two"), directory("/b/two"), claim("claim-bob", "bob", ""),
	}
	if diff := cmp.Diff(want, homes.Combine(listed, measured)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if listed[1].Size != nil {
		t.Error("the list was changed")
	}
	if diff := cmp.Diff(measured, homes.Combine(nil, measured)); diff != "" {
		t.Errorf("without a list, -want +got:\n%s", diff)
	}
}

func TestAddFormer(t *testing.T) {
	hub := homes.Hub{Users: []membership.User{active("bob")}, Templates: owner.DefaultTemplates()}
	rows, err := homes.Judge([]homes.Home{directory("bob"), directory("gone-40uni-2eexample"), claim("claim-other", "annotated", ""), directory("a-2db"), directory("nobody")}, hub, ago(180))
	if err != nil {
		t.Fatal(err)
	}
	seen := homes.AddFormer(rows, []string{"gone@uni.example", "a-b", "a-2db", "other"}, hub.Templates)
	if diff := cmp.Diff([]string{"a-2db", "a-b", "annotated", "gone@uni.example"}, seen); diff != "" {
		t.Errorf("former owners, -want +got:\n%s", diff)
	}
	want := []string{
		"bob ok: bob (name)", "gone-40uni-2eexample orphan: gone@uni.example (history)", "claim-other orphan: annotated (annotation)",
		"a-2db orphan: a-2db (history), a-b (history)", "nobody orphan:",
	}
	if diff := cmp.Diff(want, verdicts(rows)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	homes.SetLastSeen(rows, map[string]time.Time{"annotated": ago(3), "bob": ago(2)})
	for _, r := range rows {
		for _, o := range r.Owners {
			if !o.LastSeen.IsZero() != (o.User == "annotated") {
				t.Errorf("%s was last seen %v", o.User, o.LastSeen)
			}
		}
	}
}
