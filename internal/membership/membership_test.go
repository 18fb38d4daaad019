package membership_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

func user(name string, groups ...string) membership.User {
	return membership.User{Name: name, Groups: groups}
}

func rows(s *membership.Snapshot) []string {
	var rows []string
	for row := range s.Rows() {
		rows = append(rows, fmt.Sprintf("%s:%s:%.3g", row.User, row.Group, row.Share))
	}
	return rows
}

func counts(s *membership.Snapshot) []string {
	var counts []string
	for _, g := range s.Groups() {
		counts = append(counts, fmt.Sprintf("%s:%d", g.Name, g.Members))
	}
	return counts
}

func TestRules(t *testing.T) {
	people := []membership.User{user("cy"), user("bob", "bio"), user("ada", "chem", "bio"), user("eve", "a,b", "x/y", "bio")}
	for _, c := range []struct {
		what      string
		users     []membership.User
		groups    []string
		rules     membership.Rules
		rows      string
		counts    string
		ambiguous string
		unnamed   bool
	}{
		{
			what: "each, the default", users: people,
			rows:   "ada:bio:0.5 ada:chem:0.5 bob:bio:1 cy:none:1 eve:a,b:0.333 eve:bio:0.333 eve:x/y:0.333",
			counts: "a,b:1 bio:3 chem:1 none:1 x/y:1",
		},
		{
			what: "multiple", users: people, rules: membership.Rules{MultiGroup: membership.Multiple},
			rows:   "ada:multiple:1 bob:bio:1 cy:none:1 eve:multiple:1",
			counts: "a,b:0 bio:1 chem:0 multiple:2 none:1 x/y:0",
		},
		{
			what: "both", users: people, rules: membership.Rules{MultiGroup: membership.Both},
			rows:   "ada:bio:0.5 ada:chem:0.5 ada:multiple:0 bob:bio:1 cy:none:1 eve:a,b:0.333 eve:bio:0.333 eve:multiple:0 eve:x/y:0.333",
			counts: "a,b:1 bio:3 chem:1 multiple:2 none:1 x/y:1",
		},
		{
			what: "a user in one allowed group and others is in one group", users: people, rules: membership.Rules{Allow: []string{"chem"}, MultiGroup: membership.Multiple},
			rows:   "ada:chem:1 bob:none:1 cy:none:1 eve:none:1",
			counts: "chem:1 none:3",
		},
		{
			what: "deny wins", users: people, rules: membership.Rules{Allow: []string{"*"}, Deny: []string{"bio"}},
			rows:   "ada:chem:1 bob:none:1 cy:none:1 eve:a,b:0.5 eve:x/y:0.5",
			counts: "a,b:1 chem:1 none:2 x/y:1",
		},
		{
			what: "globs match slashes and commas, and aren't regular expressions", users: people, rules: membership.Rules{Allow: []string{"x*", "?,b", "b.o"}},
			rows:   "ada:none:1 bob:none:1 cy:none:1 eve:a,b:0.5 eve:x/y:0.5",
			counts: "a,b:1 none:3 x/y:1",
		},
		{
			what: "an exact name with a star in it", users: []membership.User{user("ada", "a*b[c]")}, rules: membership.Rules{Allow: []string{"a*b[c]"}},
			rows: "ada:a*b[c]:1", counts: "a*b[c]:1",
		},
		{
			what: "empty groups of the hub are filtered too", users: []membership.User{user("ada", "bio")}, groups: []string{"bio", "empty", "secret"}, rules: membership.Rules{Deny: []string{"secret"}},
			rows: "ada:bio:1", counts: "bio:1 empty:0",
		},
		{
			what: "other names of the pseudo-groups", users: people[:3], rules: membership.Rules{MultiGroup: membership.Both, NoneName: "(none)", MultipleName: "(several)"},
			rows:   "ada:(several):0 ada:bio:0.5 ada:chem:0.5 bob:bio:1 cy:(none):1",
			counts: "(none):1 (several):1 bio:2 chem:1",
		},
		{
			what: "a group named none", users: []membership.User{user("ada", "none"), user("bob")},
			rows: "ada:none:1 bob:none:1", counts: "none:2", ambiguous: "none",
		},
		{
			what: "a group named multiple without the pseudo-group", users: []membership.User{user("ada", "multiple", "bio")},
			rows: "ada:bio:0.5 ada:multiple:0.5", counts: "bio:1 multiple:1",
		},
		{
			what: "a group named multiple beside the pseudo-group", rules: membership.Rules{MultiGroup: membership.Both},
			users:  []membership.User{user("ada", "multiple", "bio"), user("bob", "bio", "chem")},
			rows:   "ada:bio:0.5 ada:multiple:0.5 bob:bio:0.5 bob:chem:0.5 bob:multiple:0",
			counts: "bio:2 chem:1 multiple:2", ambiguous: "multiple",
		},
		{
			what: "a group that is denied is not ambiguous", users: []membership.User{user("ada", "none")}, rules: membership.Rules{Deny: []string{"none"}},
			rows: "ada:none:1", counts: "none:1",
		},
		{
			what: "repeated users and groups count once", users: []membership.User{user("ada", "bio", "bio"), user("ada", "chem")},
			rows: "ada:bio:1", counts: "bio:1 chem:0",
		},
		{
			what: "a group without a name", users: []membership.User{user("ada", "", "bio"), user("bob", "")}, rules: membership.Rules{MultiGroup: membership.Both},
			rows: "ada:(empty):0.5 ada:bio:0.5 ada:multiple:0 bob:(empty):1", counts: "(empty):2 bio:1 multiple:1", unnamed: true,
		},
		{
			what: "a group without a name is denied by the name that it gets", users: []membership.User{user("ada", "")}, rules: membership.Rules{Deny: []string{"(empty)"}},
			rows: "ada:none:1", counts: "none:1",
		},
		{what: "nobody", rows: "", counts: ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			listing := membership.NewListing(time.Time{}, c.users...)
			listing.AddGroups(c.groups...)
			s := membership.New("hub", listing, c.rules)
			if got := strings.Join(rows(s), " "); got != c.rows {
				t.Errorf("rows: got %s\nwant %s", got, c.rows)
			}
			if got := strings.Join(counts(s), " "); got != c.counts {
				t.Errorf("counts: got %s\nwant %s", got, c.counts)
			}
			if got := strings.Join(s.Ambiguous(), " "); got != c.ambiguous {
				t.Errorf("ambiguous: got %s, want %s", got, c.ambiguous)
			}
			if got := s.HasUnnamed(); got != c.unnamed {
				t.Errorf("a group without a name: got %v, want %v", got, c.unnamed)
			}
			if again := membership.New("hub", listing, c.rules); !slices.Equal(rows(again), rows(s)) {
				t.Errorf("another snapshot of the listing has the rows %q, want %q", rows(again), rows(s))
			}
			isOurs := func(g membership.Group) bool {
				return slices.Contains(c.rules.PseudoNames(), g.Name) && !slices.Contains(s.Ambiguous(), g.Name)
			}
			if got, want := s.HasGroups(), len(slices.DeleteFunc(s.Groups(), isOurs)) > 0; got != want {
				t.Errorf("has groups: got %v, want %v", got, want)
			}
			if s.Memberships() != len(rows(s)) || s.Len() != len(slices.Collect(s.Users())) {
				t.Errorf("got %d memberships of %d users, want the numbers of rows and of users", s.Memberships(), s.Len())
			}
		})
	}
}

func TestActivity(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	seen := func(name string, ago time.Duration, servers int, groups ...string) membership.User {
		return membership.User{Name: name, Groups: groups, LastActivity: now.Add(-ago), RunningServers: servers}
	}
	listing := membership.NewListing(now,
		seen("ada", time.Hour, 2, "bio", "chem"), seen("bob", 24*time.Hour, 0, "bio"), seen("cy", 25*time.Hour, 1), user("never", "bio"))
	listing.HasActivity, listing.HasServers = true, true
	s := membership.New("hub", listing, membership.Rules{})
	for days, want := range map[time.Duration]map[string]int{
		1: {"bio": 2, "chem": 1},
		7: {"bio": 2, "chem": 1, "none": 1},
	} {
		if diff := cmp.Diff(want, s.Active(days*24*time.Hour)); diff != "" {
			t.Errorf("active in %d days, -want +got:\n%s", days, diff)
		}
	}
	want := []membership.Group{{Name: "bio", Members: 3, RunningServers: 2}, {Name: "chem", Members: 1, RunningServers: 2}, {Name: "none", Members: 1, RunningServers: 1}}
	if diff := cmp.Diff(want, s.Groups()); diff != "" {
		t.Errorf("groups, -want +got:\n%s", diff)
	}
	if !s.HasActivity() || !s.HasServers() || s.Namespace() != "hub" {
		t.Errorf("activity %v, servers %v, namespace %q; want those of the listing", s.HasActivity(), s.HasServers(), s.Namespace())
	}
}

func TestDetails(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	ada := membership.User{
		Name: "ada", Groups: []string{"bio", "chem"}, LastActivity: at.Add(-time.Hour), Created: at.Add(-24 * time.Hour), RunningServers: 1, ActiveServers: 2,
	}
	listing := membership.NewListing(at, user("cy", "chem"), ada, user("bob"))
	listing.HasCreated = true
	s := membership.New("hub", listing, membership.Rules{Deny: []string{"chem"}})
	ada.Groups = []string{"bio"}
	want := []membership.User{ada, user("bob", "none"), user("cy", "none")}
	if diff := cmp.Diff(want, slices.Collect(s.Details())); diff != "" || !s.HasCreated() || !s.At().Equal(at) {
		t.Errorf("created known %v, at %v; -want +got:\n%s", s.HasCreated(), s.At(), diff)
	}
	for first := range s.Details() {
		if first.Name != "ada" {
			t.Errorf("got %s first, want ada", first.Name)
		}
		break // ends the iteration
	}
}

// Changes of the arguments or the results don't affect a snapshot.
func TestSnapshotIsImmutable(t *testing.T) {
	users := []membership.User{user("nobody", "none"), user("ada", "bio", "chem")}
	listing := membership.NewListing(time.Time{}, users...)
	rules := membership.Rules{Allow: []string{"*"}, MultiGroup: membership.Both}
	s := membership.New("hub", listing, rules)
	wantRows, wantCounts := rows(s), counts(s)

	users[0].Name, users[1].Groups[0] = "x", "y"
	rules.Allow[0] = "nothing"
	s.Groups()[0].Name = "x"
	s.Ambiguous()[0] = "x"
	s.Active(time.Hour)["bio"] = 99
	if diff := cmp.Diff(wantRows, rows(s)) + cmp.Diff(wantCounts, counts(s)); diff != "" || s.Ambiguous()[0] != "none" {
		t.Errorf("ambiguous %q, want none; rows and counts, -want +got:\n%s", s.Ambiguous(), diff)
	}
}

func TestUnmatched(t *testing.T) {
	listing := &membership.Listing{}
	listing.Add(membership.User{Name: "ada", Groups: []string{"bio", "multiple", ""}})
	listing.AddGroups("empty")
	s := membership.New("hub", listing, membership.Rules{Deny: []string{"bio"}})
	for pattern, want := range map[string]bool{
		"bio": false, "b*": false, "empty": false, "(empty)": false, "multiple": false, "*": false,
		"nosuch": true, "Bio": true, "bi": true, "bio?": true, "": true, "none": true,
	} {
		if got := len(s.Unmatched([]string{"bio", pattern})) == 1; got != want {
			t.Errorf("%q matches no group: %v, want %v", pattern, got, want)
		}
	}
	if got := s.Unmatched([]string{"y", "bio", "x"}); !slices.Equal(got, []string{"y", "x"}) {
		t.Errorf("got %q, want y and x", got)
	}
}

func TestIsMultipleReal(t *testing.T) {
	listing := membership.NewListing(time.Time{}, user("ada", "bio", "multiple"))
	for _, c := range []struct {
		rules membership.Rules
		want  bool
	}{
		{membership.Rules{Deny: []string{"bio"}}, true},
		{membership.Rules{Deny: []string{"multiple"}}, false},
		{membership.Rules{MultipleName: "several"}, false},
		{membership.Rules{MultipleName: "bio"}, true},
	} {
		if got := membership.New("hub", listing, c.rules).IsMultipleReal(); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.rules, got, c.want)
		}
	}
}

// For any hub, the order of users and groups doesn't matter, a user's shares add up to 1, and the counts are those of
// the rows.
func TestProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c", "none", "multiple", "d,e", "f*"}
	for range 300 {
		var users []membership.User
		for i := range random.IntN(20) {
			var groups []string
			for range random.IntN(5) {
				groups = append(groups, names[random.IntN(len(names))])
			}
			users = append(users, user(fmt.Sprintf("u%02d", i), groups...))
		}
		rules := membership.Rules{MultiGroup: []membership.MultiGroup{membership.Each, membership.Multiple, membership.Both}[random.IntN(3)]}
		if random.IntN(2) == 0 {
			rules.Deny = []string{names[random.IntN(len(names))]}
		}
		s := membership.New("hub", membership.NewListing(time.Time{}, users...), rules)

		shares, members := map[string]float64{}, map[string]int{}
		seen := map[string]bool{}
		for row := range s.Rows() {
			shares[row.User] += row.Share
			members[row.Group]++
			if key := row.User + "\x00" + row.Group; seen[key] {
				t.Fatalf("row %+v occurs twice, want once", row)
			} else {
				seen[key] = true
			}
		}
		for _, u := range users {
			if math.Abs(shares[u.Name]-1) > 1e-9 {
				t.Fatalf("the shares of %+v add up to %v with %+v, want 1", u, shares[u.Name], rules)
			}
		}
		for _, g := range s.Groups() {
			if g.Members != members[g.Name] {
				t.Fatalf("group %+v has %d rows, want one for each member", g, members[g.Name])
			}
		}

		random.Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
		for _, u := range users {
			slices.Reverse(u.Groups)
		}
		if diff := cmp.Diff(rows(s), rows(membership.New("hub", membership.NewListing(time.Time{}, users...), rules))); diff != "" {
			t.Fatalf("rows after a shuffle, -want +got:\n%s", diff)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		rules membership.Rules
		valid bool
	}{
		{membership.Rules{}, true},
		{membership.Rules{NoneName: "x", MultipleName: "x"}, false},
		{membership.Rules{NoneName: membership.DefaultMultipleName}, false},
	} {
		if err := c.rules.Validate(); (err == nil) != c.valid {
			t.Errorf("%+v: got %v, want it to be valid: %v", c.rules, err, c.valid)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	var users []membership.User
	for i := range 100_000 {
		users = append(users, user(fmt.Sprintf("user%06d", i), "a", fmt.Sprintf("g%d", i%50)))
	}
	b.ReportAllocs()
	for b.Loop() {
		membership.New("hub", membership.NewListing(time.Time{}, users...), membership.Rules{})
	}
}

// Replace affects the groups of users, those without members, and the users themselves.
func TestReplace(t *testing.T) {
	listing := membership.NewListing(time.Time{}, user("ada", "a1", "a2", "b"), user("bob", "x"), user("cy"), user("bot", "a1"), user("ada", "z"))
	listing.AddGroups("empty")
	called := map[string]int{}
	listing.Replace(membership.Replacement{
		Group: func(name string) (string, bool) {
			called[name]++
			return name[:1], name != "x"
		},
		Alone: func(user string) (string, bool) { return "alone", user == "bob" },
		Leave: func(user string) bool { return user == "bot" },
	})
	s := membership.New("hub", listing, membership.Rules{})
	if diff := cmp.Diff([]string{"ada:a:0.5", "ada:b:0.5", "bob:alone:1", "cy:none:1"}, rows(s)); diff != "" {
		t.Errorf("rows, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a:1", "alone:1", "b:1", "e:0", "none:1", "z:0"}, counts(s)); diff != "" {
		t.Errorf("counts, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a1": 1, "a2": 1, "b": 1, "x": 1, "z": 1, "empty": 1}, called); diff != "" {
		t.Errorf("calls by group, -want +got:\n%s", diff)
	}
}
