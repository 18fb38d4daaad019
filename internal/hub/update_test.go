package hub_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// byGroups is a client that reads memberships from groups, and all users once an hour.
func byGroups(t *testing.T, h http.Handler, change ...func(*hub.Options)) *hub.Client {
	t.Helper()
	return client(t, "http://hub.test", append([]func(*hub.Options){func(o *hub.Options) {
		o.Source, o.UsersInterval, o.Transport = hub.FromGroups, time.Hour, inMemory{h}
	}}, change...)...)
}

// readableHub is one whose token may read all that there is.
func readableHub(users ...fakehub.User) *recordedHub {
	h := newHub(users...)
	h.Grant(token, "users", "groups", "read:servers")
	return h
}

// asked gives the paths and offsets of the requests since there were so many, in short.
func (h *recordedHub) asked(before int) string {
	var asked []string
	for _, request := range h.Requests()[before:] {
		path, query, _ := strings.Cut(strings.TrimPrefix(request, "/hub/api/"), "?")
		if _, offset, found := strings.Cut(query, "offset="); found {
			path += "@" + offset
		}
		asked = append(asked, path)
	}
	return strings.Join(asked, " ")
}

// Whatever happens on a hub: memberships that were read from its groups are those that its
// users have.
func TestGroupsTellTheSameAsUsers(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			created := 0
			newcomer := func() fakehub.User {
				created++
				return fakehub.User{Name: fmt.Sprintf("user-%d", created), Groups: someGroups(random)}
			}
			var users []fakehub.User
			for range 1 + random.IntN(30) {
				users = append(users, newcomer())
			}
			h := readableHub(users...)
			h.MaxLimit = 1 + random.IntN(12)
			groups := byGroups(t, h)
			updates := 0
			for step := range 60 {
				var what []string
				if random.IntN(5) == 0 {
					what = append(what, rename(random, h, newcomer().Name))
				} else {
					for range random.IntN(4) {
						what = append(what, happen(random, h, newcomer))
					}
				}
				before := len(h.Requests())
				got := list(t, groups)
				if !strings.Contains(h.asked(before), "users@0") {
					updates++
				}
				want := list(t, client(t, "http://hub.test", func(o *hub.Options) { o.Transport = inMemory{h} }))
				if diff := cmp.Diff(told(want), told(got)); diff != "" {
					t.Fatalf("seed %d, step %d, after %q:\n%s", seed, step, what, diff)
				}
				time.Sleep(time.Minute)
			}
			if updates < 10 {
				t.Errorf("seed %d: only %d of 60 listings were made from groups", seed, updates)
			}
		})
	}
}

func someGroups(random *rand.Rand) []string {
	var groups []string
	for range random.IntN(4) {
		groups = append(groups, fmt.Sprintf("group-%d", random.IntN(9)))
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// happen changes something on a hub, and says what.
func happen(random *rand.Rand, h *recordedHub, newcomer func() fakehub.User) (what string) {
	group := fmt.Sprintf("group-%d", random.IntN(9))
	h.Update(func(users []fakehub.User) []fakehub.User {
		users = slices.Clone(users)
		i := random.IntN(len(users) + 1)
		if i == len(users) {
			what = "a new user"
			return append(users, newcomer())
		}
		switch random.IntN(4) {
		case 0:
			what = "deleted " + users[i].Name
			if len(users) > 1 {
				users = slices.Delete(users, i, i+1)
			}
		case 1:
			what = "replaced " + users[i].Name
			users = append(slices.Delete(users, i, i+1), newcomer())
		default:
			what = "moved " + users[i].Name
			users[i].Groups = someGroups(random)
		}
		return users
	})
	switch random.IntN(6) {
	case 0:
		h.AddGroups(group)
		return what + ", added " + group
	case 1:
		h.DeleteGroup(group)
		return what + ", deleted " + group
	}
	return what
}

// rename gives somebody another name who is in a group: of others only all users tell.
func rename(random *rand.Rand, h *recordedHub, name string) (what string) {
	h.Update(func(users []fakehub.User) []fakehub.User {
		users = slices.Clone(users)
		if u := &users[random.IntN(len(users))]; len(u.Groups) > 0 {
			what, u.Name = "renamed "+u.Name, name
		}
		return users
	})
	return what
}

func TestAnUpdate(t *testing.T) {
	const all = "users@0 user groups@0"
	change := func(change func(users []fakehub.User) []fakehub.User) func(h *recordedHub) {
		return func(h *recordedHub) {
			h.Update(func(users []fakehub.User) []fakehub.User { return change(slices.Clone(users)) })
		}
	}
	for _, c := range []struct {
		what   string
		happen func(h *recordedHub)
		asked  string
	}{
		{"a new user", change(func(users []fakehub.User) []fakehub.User {
			return append(users, fakehub.User{Name: "new"})
		}), "groups@0 users@2"},
		{"new users in groups, on several pages", change(func(users []fakehub.User) []fakehub.User {
			return append(users, people(450)[3:]...)
		}), "groups@0 users@2 users@202 users@402"},
		{"a user in another group", change(func(users []fakehub.User) []fakehub.User {
			users[1].Groups = []string{"other", "group-0"}
			return users
		}), "groups@0 users@2"},
		{"an empty group", func(h *recordedHub) { h.AddGroups("empty") }, "groups@0 users@2"},
		{"a group that is gone", func(h *recordedHub) { h.DeleteGroup("group-1") }, "groups@0 users@2"},
		{"a user who is gone", change(func(users []fakehub.User) []fakehub.User { return users[1:] }), "groups@0 users@2 " + all},
		{"a user who made room for another", change(func(users []fakehub.User) []fakehub.User {
			return append(users[1:], fakehub.User{Name: "new"})
		}), "groups@0 users@2 " + all},
		{"a user by the name of another", change(func(users []fakehub.User) []fakehub.User {
			return append(users, users[0])
		}), "groups@0 users@2 users@0 users@0 " + all},
		{"a user with another name", change(func(users []fakehub.User) []fakehub.User {
			users[0].Name = "renamed"
			return users
		}), "groups@0 users@2 " + all},
		{"a newest user with another name", change(func(users []fakehub.User) []fakehub.User {
			users[2].Name = "renamed"
			return users
		}), "groups@0 users@2 " + all},
		{"nobody", change(func([]fakehub.User) []fakehub.User { return nil }), "groups@0 users@2 " + all},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := readableHub(people(3)...)
			asker := byGroups(t, h)
			list(t, asker)
			c.happen(h)
			before := len(h.Requests())
			got := list(t, asker)
			if asked := h.asked(before); asked != c.asked && !strings.HasPrefix(asked, c.asked+" users@200") {
				t.Errorf("%s: asked for %s, not %s", c.what, asked, c.asked)
			}
			want := list(t, client(t, "http://hub.test", func(o *hub.Options) { o.Transport = inMemory{h} }))
			if diff := cmp.Diff(told(want), told(got)); diff != "" {
				t.Errorf("%s:\n%s", c.what, diff)
			}
		})
	}
}

// Where nothing has changed, nothing is read, and the listing is the same one.
func TestAnUpdateWithoutNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(450)...)
		var many []string
		for i := range 250 {
			many = append(many, fmt.Sprintf("empty-%d", i))
		}
		h.AddGroups(many...)
		var codes []int
		asker := byGroups(t, h, func(o *hub.Options) { o.OnAnswer = func(code int) { codes = append(codes, code) } })
		first := list(t, asker)
		second := list(t, asker) // learns the ETags
		codes = nil
		third := list(t, asker)
		if !first.Continues || !second.Continues || second.Listing != third.Listing {
			t.Errorf("it goes on: %v, %v; the listing is the same: %v", first.Continues, second.Continues, second.Listing == third.Listing)
		}
		if want := []int{http.StatusNotModified, http.StatusNotModified, http.StatusOK}; !slices.Equal(codes, want) {
			t.Errorf("answers %v, want %v", codes, want)
		}
		h.AddGroups("at the end")
		codes = nil
		if fourth := list(t, asker); fourth.Listing == third.Listing || !slices.Contains(told(fourth), "at the end=0") {
			t.Error("a new group isn't there")
		}
		if want := []int{http.StatusOK, http.StatusOK, http.StatusOK}; !slices.Equal(codes, want) {
			t.Errorf("answers %v, want %v: each page tells the total", codes, want)
		}
	})
}

// A hub that calls something unchanged that it never told is wrong.
func TestUnchangedWithoutAnEarlierAnswer(t *testing.T) {
	h := readableHub(people(3)...)
	h.Intercept = refuse("/users", http.StatusNotModified)
	if err := failure(t, start(t, h)); err.Status != http.StatusNotModified || err.Reason != hub.Status {
		t.Errorf("got %v", err)
	}
}

// costly is a hub that takes a time for each page of a list.
type costly struct {
	inMemory
	users, groups time.Duration
}

func (c *costly) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Path {
	case "/hub/api/users":
		time.Sleep(c.users)
	case "/hub/api/groups":
		time.Sleep(c.groups)
	}
	return c.inMemory.RoundTrip(r)
}

const ms = time.Millisecond

func TestTheSourceIsWhatCostsLess(t *testing.T) {
	const byGroups, byUsers = "groups@0 users@449", "users@0 users@200 users@400"
	whole := []string{"list:users", "read:users:groups", "list:groups", "read:groups"}
	for _, c := range []struct {
		what          string
		users, groups time.Duration
		scopes        []string
		asked         string
	}{
		{"groups are cheaper", 20 * ms, 50 * ms, whole, byGroups},
		{"users are cheaper", 20 * ms, 70 * ms, whole, byUsers},
		{"groups are on two pages", 200 * ms, 1 * ms, append([]string{"many"}, whole...), byUsers},
		{"a page of groups holds everybody up", 90 * ms, 101 * ms, whole, byUsers},
		{"groups can't be listed", 20 * ms, 0, []string{"users"}, byUsers},
		{"groups don't tell their members", 20 * ms, 0, []string{"users", "list:groups"}, byUsers},
		{"not all groups can be read", 20 * ms, 0, []string{"users", "list:groups!group=group-0", "read:groups"}, byUsers},
		{"not all members can be read", 20 * ms, 0, []string{"users", "list:groups", "read:groups!group=group-0"}, byUsers},
		{"not all users can be read", 20 * ms, 0, []string{"list:users!group=group-0", "read:users:groups", "groups"}, "users@0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(people(450)...)
			h.Grant(token, c.scopes...)
			if c.scopes[0] == "many" {
				for i := range 200 {
					h.AddGroups(fmt.Sprintf("empty-%d", i))
				}
			}
			asker := client(t, "http://hub.test", func(o *hub.Options) {
				o.Source, o.UsersInterval, o.Transport = hub.FromEither, time.Hour, &costly{inMemory{h}, c.users, c.groups}
			})
			first := list(t, asker)
			before := len(h.Requests())
			list(t, asker)
			if asked := h.asked(before); asked != c.asked || first.Continues != (c.asked == byGroups) {
				t.Errorf("%s: asked for %s, not %s; it goes on: %v", c.what, asked, c.asked, first.Continues)
			}
		})
	}
}

// refuse answers to a list with a status.
func refuse(list string, status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		refused := strings.HasSuffix(r.URL.Path, list)
		if refused {
			w.WriteHeader(status)
		}
		return refused
	}
}

// Groups that fail in any way are left; why, is told.
func TestGroupsThatFailAreLeft(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError, http.StatusGatewayTimeout, 0} {
		synctest.Test(t, func(t *testing.T) {
			h := readableHub(people(3)...)
			asker := byGroups(t, h, func(o *hub.Options) { o.Source = hub.FromEither })
			list(t, asker)
			h.Intercept = refuse("/groups", status)
			if status == 0 {
				h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
					if strings.HasSuffix(r.URL.Path, "/groups") {
						<-r.Context().Done()
					}
					return false
				}
			}
			if status == 0 || status == http.StatusGatewayTimeout { // which may be over soon
				failure(t, asker)
				failure(t, asker)
			}
			if result := list(t, asker); result.GroupsError == nil || result.Continues || result.Listing.Len() != 3 {
				t.Errorf("%d: error %v, it goes on: %v", status, result.GroupsError, result.Continues)
			}
			for range 200 {
				time.Sleep(time.Minute)
				if result := list(t, asker); result.Continues {
					t.Fatalf("%d: it goes on", status)
				}
			}
		})
	}
}

// A hub that has trouble with users is not asked for all of them in addition.
func TestASickHubIsAskedOnce(t *testing.T) {
	for _, source := range []hub.Source{hub.FromGroups, hub.FromEither} {
		synctest.Test(t, func(t *testing.T) {
			h := readableHub(people(3)...)
			asker := byGroups(t, h, func(o *hub.Options) { o.Source = source })
			list(t, asker)
			h.Intercept = refuse("/users", http.StatusInternalServerError)
			before := len(h.Requests())
			failure(t, asker)
			if asked := h.asked(before); asked != "groups@0 users@2" {
				t.Errorf("%s: asked for %s", source, asked)
			}
		})
	}
}

// What the token may no longer read is gone.
func TestActivityGoesWithItsScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(3)...)
		asker := byGroups(t, h)
		if got := list(t, asker).Listing; !got.HasActivity || !got.HasServers {
			t.Error("activity or servers are missing")
		}
		h.Grant(token, "list:users", "read:users:groups", "groups")
		if got := list(t, asker).Listing; got.HasActivity || got.HasServers {
			t.Error("activity or servers are still there")
		}
		if list(t, asker); !list(t, asker).Continues {
			t.Error("it doesn't go on")
		}
	})
}

// The members of a group take memory as long as they are read.
func TestAGroupWithoutEnd(t *testing.T) {
	h := readableHub(people(3)...)
	asker := start(t, h, func(o *hub.Options) { o.Source, o.UsersInterval = hub.FromGroups, time.Hour })
	list(t, asker)
	h.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		long := strings.HasSuffix(r.URL.Path, "/groups")
		if long {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"items":[{"name":"g","users":[""%s]}],"_pagination":{"total":1,"next":null}}`, strings.Repeat(`,""`, 3<<20))
		}
		return long
	}
	if err := failure(t, asker); err.Reason != hub.TooLarge || err.Problem != "the members of one group are over 8 MiB" {
		t.Errorf("got %v", err)
	}
}

// What groups cost is found out anew within an hour.
func TestTheSourceChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(3)...)
		pace := &costly{inMemory{h}, 20 * ms, 10 * ms}
		asker := client(t, "http://hub.test", func(o *hub.Options) {
			o.Source, o.UsersInterval, o.Transport = hub.FromEither, time.Hour, pace
		})
		check := func(when, want string) {
			t.Helper()
			time.Sleep(time.Minute)
			before := len(h.Requests())
			list(t, asker)
			if asked := h.asked(before); asked != want {
				t.Errorf("%s: asked for %s, not %s", when, asked, want)
			}
		}
		check("at first", "users@0 user groups@0")
		check("as groups are cheap", "groups@0 users@2")
		pace.groups = time.Second
		check("as they still seem to be", "groups@0 users@2")
		pace.groups = 10 * ms
		check("as that may have been chance", "groups@0 users@2")
		pace.groups = time.Second
		for range 3 {
			check("as they seem to be once more", "groups@0 users@2")
		}
		check("as they are no longer", "users@0")
		pace.groups = 10 * ms
		check("within the hour", "users@0")
		time.Sleep(time.Hour)
		check("after it", "users@0 user groups@0")
		check("as they are again", "groups@0 users@2")
		h.Intercept = refuse("/groups", http.StatusInternalServerError)
		check("when they can't be read", "groups@0 users@0")
		check("after that", "users@0")
		time.Sleep(time.Hour)
		check("when they still can't", "users@0 user groups@0")
		h.Intercept = nil
		check("when they can", "users@0 user groups@0")
		h.DeleteGroup("group-0")
		check("as they are again", "groups@0 users@2")
		h.Update(func(users []fakehub.User) []fakehub.User { return slices.Clone(users[1:]) })
		check("when somebody is deleted", "groups@0 users@2 users@0 user groups@0")
		check("after that", "groups@0 users@1")
		h.Update(func(users []fakehub.User) []fakehub.User { return append(slices.Clone(users[1:]), newUser(h)) })
		check("when somebody else is deleted", "groups@0 users@1 users@0 user groups@0")
		h.Update(func(users []fakehub.User) []fakehub.User { return append(slices.Clone(users[1:]), newUser(h)) })
		check("when somebody is deleted each time", "groups@0 users@1 users@0")
		check("after that", "users@0")
		h.Grant(token, "users")
		time.Sleep(time.Hour)
		check("when the token may not", "users@0 user")
	})
}

// All users are read once an interval, and not soon after a failure: a hub that was just
// started has enough to do.
func TestAllUsersAreReadOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(3)...)
		asker := byGroups(t, h, func(o *hub.Options) { o.Source = hub.FromEither })
		check := func(when, want string) {
			t.Helper()
			before := len(h.Requests())
			list(t, asker)
			if asked := h.asked(before); asked != want {
				t.Errorf("%s: asked for %s, not %s", when, asked, want)
			}
		}
		check("at first", "users@0 user groups@0")
		time.Sleep(59 * time.Minute)
		check("within the hour", "groups@0 users@2")
		time.Sleep(2 * time.Minute)
		check("after an hour", "users@0 user groups@0")
		time.Sleep(59 * time.Minute)
		h.Intercept = refuse("", http.StatusServiceUnavailable)
		failure(t, asker)
		before := len(h.Requests())
		failure(t, asker)
		if asked := h.asked(before); asked != "groups@0 groups@0 groups@0 groups@0" {
			t.Errorf("while the hub is away: asked for %s", asked)
		}
		h.Intercept = nil
		time.Sleep(2 * time.Minute)
		check("two minutes after the hub was away", "groups@0 users@2")
		time.Sleep(5 * time.Minute)
		check("seven minutes after it", "users@0 user groups@0")

		// A hub that fails again and again is asked in the end.
		for began := time.Now(); time.Since(began) < 150*time.Minute; time.Sleep(time.Minute) {
			h.Intercept = refuse("/users", http.StatusServiceUnavailable)
			failure(t, asker)
			h.Intercept = nil
			list(t, asker)
		}
		if n := strings.Count(h.asked(0), "users@0 user "); n != 4 { // with all groups
			t.Errorf("all users were read %d times, not 4", n)
		}
	})
}

// Who wants groups gets them, or an error that says why not.
func TestGroupsByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(3)...)
		asker := byGroups(t, h, func(o *hub.Options) { o.Transport = &costly{inMemory{h}, ms, time.Second} })
		list(t, asker)
		before := len(h.Requests())
		list(t, asker)
		if asked := h.asked(before); asked != "groups@0 users@2" {
			t.Errorf("groups that are dear: asked for %s", asked)
		}
		h.Intercept = refuse("/groups", http.StatusInternalServerError)
		if err := failure(t, asker); err.Status != http.StatusInternalServerError || !strings.HasSuffix(err.URL, "/groups") {
			t.Errorf("when they can't be read: %v", err)
		}
		if err := failure(t, byGroups(t, h)); err.Status != http.StatusInternalServerError || !strings.HasSuffix(err.URL, "/groups") {
			t.Errorf("when they never could be read: %v", err)
		}
		h.Intercept = nil
		h.Grant(token, "users")
		for what, asker := range map[string]*hub.Client{"without the scopes any longer": asker, "without the scopes": byGroups(t, h)} {
			if err := failure(t, asker); err.Reason != hub.Scope || !slices.Equal(err.Scopes, []string{"list:groups", "read:groups"}) {
				t.Errorf("%s: %v", what, err)
			}
		}
		h.Revoke(token)
		if err := failure(t, asker); err.Reason != hub.BadToken {
			t.Errorf("without a token that the hub knows: %v", err)
		}

		// A token that may read less shows less, and says nothing.
		for scopes, missing := range map[string]string{
			"users list:groups":                           "read:groups",
			"users list:groups read:groups!group=group-0": "read:groups",
			"users list:groups!group=group-0 read:groups": "list:groups",
			"list:users!group=group-0 read:users groups":  "list:users",
		} {
			h.Grant(token, "users", "groups")
			asker := byGroups(t, h)
			list(t, asker)
			h.Grant(token, strings.Fields(scopes)...)
			if err := failure(t, asker); err.Reason != hub.Scope || !slices.Equal(err.Scopes, []string{missing}) {
				t.Errorf("with %s: %v", scopes, err)
			}
		}
	})
}

// What changes while groups are read, or while users are, is read once more.
func TestGroupsThatChangeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(9)...)
		h.MaxLimit = 3 // of seven groups
		asker := byGroups(t, h)
		list(t, asker)
		h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/groups") && r.URL.Query().Get("offset") == "3" {
				h.DeleteGroup("group-0")
			}
			return false
		}
		before := len(h.Requests())
		got := told(list(t, asker))
		if asked := h.asked(before); asked != "groups@0 groups@3 groups@0 groups@3 users@8" {
			t.Errorf("asked for %s", asked)
		}
		if slices.Contains(got, "group-0=2") || !slices.Contains(got, "group-3=1") {
			t.Errorf("got %v", got)
		}

		// Somebody deleted between two pages of new users pushes one of them out of sight.
		h.Update(func(users []fakehub.User) []fakehub.User {
			users = append(slices.Clone(users), people(18)[9:]...)
			for i := range users[9:] {
				users[9+i].Groups = nil // groups would tell
			}
			return users
		})
		h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("offset") == "11" {
				h.Update(func(users []fakehub.User) []fakehub.User { return slices.Clone(users[1:]) })
			}
			return false
		}
		got = told(list(t, asker))
		h.Intercept = nil
		if diff := cmp.Diff(told(list(t, byGroups(t, h))), got); diff != "" {
			t.Errorf("after somebody was deleted:\n%s", diff)
		}

		// A list of users that may not be whole is nothing to go on from.
		h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("offset") == "3" {
				h.Update(func(users []fakehub.User) []fakehub.User { return append(slices.Clone(users[1:]), newUser(h)) })
				h.Update(func(users []fakehub.User) []fakehub.User { return append(slices.Clone(users), newUser(h)) })
			}
			return false
		}
		if result := list(t, byGroups(t, h)); !result.Inconsistent || result.Continues {
			t.Errorf("inconsistent: %v, it goes on: %v", result.Inconsistent, result.Continues)
		}
	})
}

// Between groups and the new users somebody may come, or go.
func TestUsersThatChangeMeanwhile(t *testing.T) {
	for what, c := range map[string]struct {
		change func(users []fakehub.User) []fakehub.User
		asked  string
	}{
		"a new user": {func(users []fakehub.User) []fakehub.User {
			return append(users, fakehub.User{Name: "new", Groups: []string{"group-0", "new group"}})
		}, "groups@0 users@8"},
		"a user who is gone": {func(users []fakehub.User) []fakehub.User {
			return users[1:]
		}, "groups@0 users@8 users@0 user groups@0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := readableHub(people(9)...)
			asker := byGroups(t, h)
			list(t, asker)
			h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("offset") == "8" {
					h.Update(func(users []fakehub.User) []fakehub.User { return c.change(slices.Clone(users)) })
				}
				return false
			}
			before := len(h.Requests())
			got := told(list(t, asker))
			if asked := h.asked(before); asked != c.asked {
				t.Errorf("%s: asked for %s, not %s", what, asked, c.asked)
			}
			h.Intercept = nil
			if diff := cmp.Diff(told(list(t, byGroups(t, h))), got); diff != "" {
				t.Errorf("%s:\n%s", what, diff)
			}
		})
	}
}

// An empty page in the place of the newest user proves nothing.
func TestTheNewestUserHasToBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(3)...)
		asker := byGroups(t, h)
		list(t, asker)
		h.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
			empty := r.URL.Query().Get("offset") == "2"
			if empty {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"items":[],"_pagination":{"total":3,"next":null}}`)
			}
			return empty
		}
		before := len(h.Requests())
		list(t, asker)
		if asked := h.asked(before); asked != "groups@0 users@2 users@0 user groups@0" {
			t.Errorf("asked for %s", asked)
		}
	})
}

// newUser is somebody whose name nobody had.
func newUser(h *recordedHub) fakehub.User {
	return fakehub.User{Name: fmt.Sprintf("new-%d", len(h.Requests()))}
}

func TestAHubWithoutUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub()
		asker := byGroups(t, h)
		list(t, asker)
		before := len(h.Requests())
		list(t, asker)
		if asked := h.asked(before); asked != "users@0" {
			t.Errorf("asked for %s", asked)
		}
	})
}

// A group without members that was found meanwhile is still there when all users are read.
func TestEmptyGroupsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := readableHub(people(3)...)
		asker := byGroups(t, h, func(o *hub.Options) { o.UsersInterval = 10 * time.Minute })
		list(t, asker)
		h.AddGroups("empty")
		list(t, asker)
		time.Sleep(11 * time.Minute)
		before := len(h.Requests())
		if got := told(list(t, asker)); !slices.Contains(got, "empty=0") || h.asked(before) != "users@0" {
			t.Errorf("got %v, asked for %s", got, h.asked(before))
		}
	})
}
