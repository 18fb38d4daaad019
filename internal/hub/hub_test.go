package hub_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/ports"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

const token = "s3cret-token"

func people(n int) []fakehub.User {
	var users []fakehub.User
	for i := range n {
		users = append(users, fakehub.User{Name: fmt.Sprintf("user-%05d", i), Groups: []string{fmt.Sprintf("group-%d", i%7)}})
	}
	return users
}

// recordedHub remembers what it was asked.
type recordedHub struct {
	fakehub.Hub
	mu       sync.Mutex
	requests []string
}

func (h *recordedHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.URL.RequestURI())
	h.mu.Unlock()
	h.Hub.ServeHTTP(w, r)
}

// Requests returns the path and query of each request so far.
func (h *recordedHub) Requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

func newHub(users ...fakehub.User) *recordedHub {
	h := &recordedHub{}
	h.SetUsers(users...)
	h.Grant(token, "list:users", "read:users:groups")
	return h
}

// start serves a handler and returns a client of it.
func start(t *testing.T, handler http.Handler, change ...func(*hub.Options)) *hub.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return client(t, server.URL, change...)
}

func client(t *testing.T, address string, change ...func(*hub.Options)) *hub.Client {
	t.Helper()
	api, err := hub.APIURL(address)
	if err != nil {
		t.Fatal(err)
	}
	// On a slow machine an answer takes its time.
	o := hub.Options{API: api, Token: always(token), Timeout: time.Hour, UserAgent: "groups-exporter/test"}
	for _, f := range change {
		f(&o)
	}
	return hub.New(o)
}

// inProcess returns a client of a handler without a network, so that waits cost no time in a synctest bubble.
func inProcess(t *testing.T, handler http.Handler, change ...func(*hub.Options)) *hub.Client {
	t.Helper()
	return client(t, "http://hub.test", append([]func(*hub.Options){func(o *hub.Options) { o.Transport = inMemory{handler} }}, change...)...)
}

func always(token string) func() (hub.Token, error) {
	return func() (hub.Token, error) { return hub.NewToken(token), nil }
}

// refuse returns an Intercept that answers requests for a path with a status.
func refuse(path string, status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		matches := strings.HasSuffix(r.URL.Path, path)
		if matches {
			w.WriteHeader(status)
		}
		return matches
	}
}

// count returns how many requests contain a text.
func (h *recordedHub) count(text string) int {
	n := 0
	for _, request := range h.Requests() {
		if strings.Contains(request, text) {
			n++
		}
	}
	return n
}

func list(t *testing.T, c *hub.Client) hub.Result {
	t.Helper()
	result, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// told shows a listing: each user with its groups, last activity and servers,
// and what is known of all.
func told(result hub.Result) []string {
	s := membership.New("", result.Listing, membership.Rules{NoneName: "-"})
	groups := map[string][]string{}
	for row := range s.Rows() {
		groups[row.User] = append(groups[row.User], row.Group)
	}
	var told []string
	for name := range s.Users() {
		told = append(told, name+":"+strings.Join(groups[name], ","))
	}
	for _, g := range s.Groups() {
		told = append(told, fmt.Sprintf("%s=%d", g.Name, g.Members))
	}
	if s.HasActivity() {
		told = append(told, fmt.Sprintf("active in an hour: %v", s.Active(time.Hour)))
	}
	if s.HasServers() {
		for _, g := range s.Groups() {
			told = append(told, fmt.Sprintf("servers of %s: %d", g.Name, g.RunningServers))
		}
	}
	return told
}

// failure returns the typed error that List must give.
func failure(t *testing.T, c *hub.Client) *remote.Error {
	t.Helper()
	_, err := c.List(t.Context())
	failed, ok := errors.AsType[*remote.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *remote.Error", err)
	}
	if strings.Contains(err.Error(), token) {
		t.Errorf("the error shows the token: %v", err)
	}
	return failed
}

// answers makes a handler with one answer for whatever is asked about users.
func answers(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/user") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestAPIURL(t *testing.T) {
	for address, want := range map[string]string{
		"http://hub:8081/hub/api":       "http://hub:8081/hub/api",
		"http://hub:8081/hub/api/":      "http://hub:8081/hub/api",
		"http://hub:8081":               "http://hub:8081/hub/api",
		"http://hub:8081/":              "http://hub:8081/hub/api",
		"https://x.org/jupyter/":        "https://x.org/jupyter/hub/api",
		"https://x.org/jupyter/hub/api": "https://x.org/jupyter/hub/api",
		"http://[::1]:8081":             "http://[::1]:8081/hub/api",
		"http+unix://%2Fhub.sock":       "http+unix://%2Fhub.sock/hub/api",
		"unix+http://%2Fhub.sock/x/":    "http+unix://%2Fhub.sock/x/hub/api",
		"127.0.0.1:8081":                "http://127.0.0.1:8081/hub/api",
		"localhost:8000/hub/home":       "http://localhost:8000/hub/api",
		"http://x/hub":                  "http://x/hub/api",
		"http://x/hub/":                 "http://x/hub/api",
		"http://x/hub/home":             "http://x/hub/api",
		"http://x/jupyter/hub/admin/":   "http://x/jupyter/hub/api",
		"http://x/hub/api/users":        "http://x/hub/api",
		"http://x/hub/spawn/ada/gpu":    "http://x/hub/api",
		"http://x/hub/hub/api":          "http://x/hub/hub/api", // the base is /hub/
		"http://x/hub/hub/token":        "http://x/hub/hub/api",
		"http://x/hub/elsewhere":        "http://x/hub/api",
		"https+unix://%2Fhub.sock":      "https+unix://%2Fhub.sock/hub/api",
		"http://x/user":                 "http://x/user/hub/api",
	} {
		if got, err := hub.APIURL(address); err != nil || got.String() != want {
			t.Errorf("APIURL(%q) = %v, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{"", "hub:8081", "ftp://hub", "http://", "http://u:s3cret@hub", "http://hub?x=1", "http://hub#x", "http://u:s3cret@hub\x7f", "http://u:s3cret/x@hub", "http://u:s3cret%zz@hub", "http://x/user/ada/lab", "http://x/hub/login?next=%2Fhub%2F", "http+unix://u:s3cret@%2Fhub.sock"} {
		got, err := hub.APIURL(address)
		if err == nil {
			t.Errorf("APIURL(%q) = %v, want an error", address, got)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("APIURL(%q) shows a password: %v", address, err)
		}
	}
}

func TestListsEveryPageOnce(t *testing.T) {
	fake := newHub(people(3000)...)
	c := start(t, fake)
	got := list(t, c)
	if len(namesOf(got)) != 3000 {
		t.Errorf("got %d users, want 3000", len(namesOf(got)))
	}
	if want := "user-00008:group-1"; told(got)[8] != want {
		t.Errorf("got %q, want %q", told(got)[8], want)
	}
	if got.Inconsistent || got.GroupsError != nil {
		t.Errorf("inconsistent %v, groups' error %v", got.Inconsistent, got.GroupsError)
	}

	// The first refresh finds out that the token may not list groups, without being refused. After that
	// 3,000 users take 16 requests, each page beginning with the last user of the one before.
	if requests := fake.Requests(); len(requests) != 17 || requests[16] != "/hub/api/user" {
		t.Errorf("got %d requests at first, the last %q", len(requests), requests[len(requests)-1])
	}
	list(t, c)
	requests := fake.Requests()[17:]
	if len(requests) != 16 || requests[15] != "/hub/api/users?limit=200&offset=2985" {
		t.Errorf("got %d requests, the last %q", len(requests), requests[len(requests)-1])
	}
}

func TestAsksOneThingAtATimeOnOneConnection(t *testing.T) {
	fake := newHub(people(900)...)
	busy := make(chan struct{}, 1)
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		default:
			t.Error("two requests at once")
		}
		if r.Header.Get("Accept") != "application/jupyterhub-pagination+json" || r.Header.Get("User-Agent") != "groups-exporter/test" {
			t.Errorf("headers: %v", r.Header)
		}
		w.Header().Set("Transfer-Encoding", "chunked") // whose end is not seen with the last byte
		fake.ServeHTTP(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := client(t, server.URL)
	list(t, c)
	list(t, c)
	if connections.Load() != 1 {
		t.Errorf("%d connections, want 1", connections.Load())
	}
}

func TestGoesOnByNextWhateverThePagesHold(t *testing.T) {
	fake := newHub(people(130)...)
	fake.MaxLimit = 50 // an administrator's; a larger limit is clamped without a word
	if got := list(t, start(t, fake)); len(namesOf(got)) != 130 {
		t.Errorf("got %d users, want 130", len(namesOf(got)))
	}

	// Pages of one user can't overlap, and those of two do by one.
	for limit, requests := range map[int]int{1: 13, 2: 12, 3: 6} {
		fake := newHub(people(13)...)
		fake.MaxLimit = limit
		if got := list(t, start(t, fake)); len(namesOf(got)) != 13 || got.Inconsistent || len(fake.Requests()) != requests+1 {
			t.Errorf("%d a page: got %d users in %d requests, inconsistent: %v", limit, len(namesOf(got)), len(fake.Requests()), got.Inconsistent)
		}
	}
}

// A token may not see all rows, so a page may be short, even empty, while there are more.
func TestPagesWithInvisibleUsers(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		fake := newHub(people(1 + random.IntN(60))...)
		fake.MaxLimit = 1 + random.IntN(12)
		visible := map[string]bool{}
		var want []string
		for _, u := range people(60) {
			visible[u.Name] = random.IntN(3) > 0
		}
		hidden := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/hub/api/users" {
				fake.ServeHTTP(w, r)
				return
			}
			rewritten(t, w, r, fake, func(page *wirePage) {
				page.Items = slices.DeleteFunc(page.Items, func(item json.RawMessage) bool {
					var u fakehub.User
					return json.Unmarshal(item, &u) != nil || !visible[u.Name]
				})
			})
		})
		fake.Update(func(users []fakehub.User) []fakehub.User {
			for _, u := range users {
				if visible[u.Name] {
					want = append(want, u.Name)
				}
			}
			return users
		})
		got := list(t, inProcess(t, hidden))
		if names := namesOf(got); !slices.Equal(names, want) || got.Inconsistent {
			t.Errorf("seed %d: got %q, want %q, inconsistent: %v", seed, names, want, got.Inconsistent)
		}
	}
}

// wirePage is a page in an answer.
type wirePage struct {
	Items      []json.RawMessage `json:"items"`
	Pagination struct {
		Limit int `json:"limit"`
		Total int `json:"total"`
		Next  *struct {
			Offset int `json:"offset"`
		} `json:"next"`
	} `json:"_pagination"`
}

// rewritten answers a request with a page of the hub after a change.
func rewritten(t *testing.T, w http.ResponseWriter, r *http.Request, h http.Handler, change func(*wirePage)) {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	var page wirePage
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		t.Error(err)
	}
	change(&page)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page)
}

// namesOf returns the names of all users.
func namesOf(result hub.Result) []string {
	return slices.Collect(membership.New("", result.Listing, membership.Rules{}).Users())
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked = true
	}))
	t.Cleanup(elsewhere.Close)

	t.Run("next.url", func(t *testing.T) {
		fake := newHub(people(300)...)
		c := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Host = strings.TrimPrefix(elsewhere.URL, "http://")
			fake.ServeHTTP(w, r)
		}))
		if got := list(t, c); len(namesOf(got)) != 300 || asked {
			t.Errorf("got %d users, the other host was asked: %v", len(namesOf(got)), asked)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		c := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"?token="+token, http.StatusFound)
		}))
		if got := failure(t, c); got.Reason != remote.Status || got.Status != 302 || got.Problem != "redirect to "+elsewhere.URL || asked {
			t.Errorf("got %+v, the other host was asked: %v", got, asked)
		}
	})
}

// Whoever is there all the time is listed, whatever happens between two pages: somebody is deleted, so
// that others move into the page before, and created, so that the total is the same.
func TestNobodyIsMissingWhoStays(t *testing.T) {
	inconsistent := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		created := 0
		create := func() fakehub.User {
			created++
			return fakehub.User{Name: fmt.Sprintf("user-%05d", created)}
		}
		fake := newHub()
		fake.Update(func([]fakehub.User) (users []fakehub.User) {
			for range 1 + random.IntN(400) {
				users = append(users, create())
			}
			return users
		})
		fake.MaxLimit = []int{7, 50, 200}[random.IntN(3)]
		gone, before := map[string]bool{}, created
		most := random.IntN(fake.MaxLimit/2) + 1
		fake.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if offset := r.URL.Query().Get("offset"); offset == "" || offset == "0" {
				return false
			}
			fake.Update(func(users []fakehub.User) []fakehub.User {
				users = slices.Clone(users)
				for range random.IntN(most + 1) {
					if len(users) == 0 {
						break
					}
					i := random.IntN(len(users)) // also the last of a page, and the newest
					gone[users[i].Name] = true
					if random.IntN(5) == 0 {
						users[i] = create() // with another name in its place: renamed
						continue
					}
					users = append(slices.Delete(users, i, i+1), create())
				}
				return users
			})
			return false
		}
		got := list(t, inProcess(t, fake))
		if got.Inconsistent {
			inconsistent++
			continue
		}
		listed := map[string]bool{}
		for _, name := range namesOf(got) {
			listed[name] = true
		}
		for i := 1; i <= before; i++ {
			if name := fmt.Sprintf("user-%05d", i); !gone[name] && !listed[name] {
				t.Errorf("seed %d: %s is missing", seed, name)
			}
		}
		if len(fake.Requests()) > 3*(2*before/fake.MaxLimit+8) {
			t.Errorf("seed %d: %d requests for %d users, %d a page", seed, len(fake.Requests()), before, fake.MaxLimit)
		}
	}
	if inconsistent > 60 { // of small pages, half of which may be deleted at once
		t.Errorf("%d of 300 listings are inconsistent", inconsistent)
	}
}

func TestChangesBetweenPages(t *testing.T) {
	const first = "0 199 "
	remove := func(i, n int) func([]fakehub.User) []fakehub.User {
		return func(users []fakehub.User) []fakehub.User { return slices.Delete(users, i, i+n) }
	}
	for _, c := range []struct {
		what         string
		change       func([]fakehub.User) []fakehub.User
		offsets      string // of what is requested
		users        int
		inconsistent bool
	}{
		{"nothing", remove(0, 0), "0 199 398", 500, false},
		{"somebody new", func(users []fakehub.User) []fakehub.User { return append(users, fakehub.User{Name: "new"}) }, "0 199 398", 501, false},
		{"the first one deleted", remove(0, 1), first + "190 380", 500, false},
		{"the last one of a page deleted", remove(199, 1), first + "190 380", 499, false},
		{"the first one of the next page deleted", remove(200, 1), first + "398", 499, false},
		{"the newest one deleted", remove(499, 1), first + "398", 499, false},
		{"the last one of a page renamed", func(users []fakehub.User) []fakehub.User { users[199].Name = "renamed"; return users }, first + "190 380", 500, false},
		{"one deleted and one new", func(users []fakehub.User) []fakehub.User { return append(users[1:], fakehub.User{Name: "new"}) }, first + "190 380", 501, false},
		{"fifty deleted", remove(0, 50), first + "190 100 200 300", 500, false},
		{"all behind the page deleted", remove(200, 300), first, 200, false},
		{"nearly all deleted", remove(150, 350), first + "190 100", 150, false},
		{"half a page deleted", remove(0, 101), first + "190 100 200 0 199", 399, false},
		{"all deleted", remove(0, 500), first + "190 100 0", 0, false},
	} {
		fake := newHub(people(500)...)
		changed := false
		fake.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("offset") == "199" && !changed {
				changed = true
				fake.Update(func(users []fakehub.User) []fakehub.User { return c.change(slices.Clone(users)) })
			}
			return false
		}
		got := list(t, inProcess(t, fake))
		var offsets []string
		for _, request := range fake.Requests() {
			if _, offset, found := strings.Cut(request, "offset="); found {
				offsets = append(offsets, offset)
			}
		}
		if asked := strings.Join(offsets, " "); asked != strings.TrimSpace(c.offsets) || len(namesOf(got)) != c.users || got.Inconsistent != c.inconsistent {
			t.Errorf("%s: got %d users from offsets %s, want %d from %s; inconsistent: %v", c.what, len(namesOf(got)), asked, c.users, c.offsets, got.Inconsistent)
		}
	}
}

// A hub that loses half a page of users between any two requests is listed three times, and published
// all the same.
func TestAListThatNeverRests(t *testing.T) {
	for _, path := range []string{"/users", "/groups"} {
		fake := newHub(people(3000)...)
		fake.Grant(token, "users", "list:groups")
		for i := range 2000 {
			fake.AddGroups(fmt.Sprintf("empty-%d", i))
		}
		offset := 0
		hurried := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, path) && r.URL.Query().Get("offset") != "0" {
				offset += 101
				query := r.URL.Query()
				asked, _ := strconv.Atoi(query.Get("offset"))
				query.Set("offset", strconv.Itoa(asked+offset))
				r.URL.RawQuery = query.Encode()
				rewritten(t, w, r, fake, func(page *wirePage) {
					page.Pagination.Total -= offset
					if page.Pagination.Next != nil {
						page.Pagination.Next.Offset -= offset
					}
				})
				return
			}
			offset = 0
			fake.ServeHTTP(w, r)
		})
		got := list(t, inProcess(t, hurried))
		sweeps := fake.count(path + "?limit=200&offset=0")
		ofUsers := path == "/users"
		if got.Inconsistent != ofUsers || (got.GroupsError == nil) != ofUsers || ofUsers && sweeps != 3 || len(namesOf(got)) < 1000 {
			t.Errorf("%s: got %d users in %d sweeps, inconsistent: %v, groups: %v", path, len(namesOf(got)), sweeps, got.Inconsistent, got.GroupsError)
		}
	}
}

func TestAUserListedTwiceCountsOnce(t *testing.T) {
	body := `{"items":[{"name":"b","groups":[]},{"name":"a","groups":[]},{"name":"b","groups":[]}],"_pagination":{"offset":0,"limit":200,"total":2,"next":null}}`
	got := list(t, start(t, answers(200, "application/json", body)))
	if diff := cmp.Diff([]string{"a:-", "b:-", "-=2"}, told(got)); diff != "" || got.Inconsistent {
		t.Errorf("inconsistent %v, %s", got.Inconsistent, diff)
	}
}

func TestDetails(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	fake := newHub(
		fakehub.User{Name: "ada", LastActivity: at, Created: at.Add(-time.Hour), Servers: map[string]bool{"": true, "gpu": false}},
		fakehub.User{Name: "bob"})
	for _, c := range []struct {
		scopes  string
		created time.Time
		known   bool
	}{
		{"list:users read:users:groups read:users:activity read:servers", time.Time{}, false},
		{"list:users read:users read:servers", at.Add(-time.Hour), true},
		{"list:users read:users:groups read:users!user=ada read:servers", at.Add(-time.Hour), false},
	} {
		fake.Grant(token, strings.Fields(c.scopes)...)
		s := membership.New("hub", list(t, start(t, fake)).Listing, membership.Rules{})
		details := slices.Collect(s.Details())
		if got := details[0]; s.HasCreated() != c.known || !got.Created.Equal(c.created) || got.RunningServers != 1 || got.ActiveServers != 2 {
			t.Errorf("%s: got %+v, creation known %v; want a ready and an active server, created %v, known %v", c.scopes, got, s.HasCreated(), c.created, c.known)
		}
		if got := details[1]; !got.Created.IsZero() || !got.LastActivity.IsZero() || got.ActiveServers != 0 {
			t.Errorf("%s: got %+v, want no times and no servers", c.scopes, got)
		}
	}
}

func TestNamedServers(t *testing.T) {
	fake := newHub(
		fakehub.User{Name: "ada", Servers: map[string]bool{"": true, "gpu": false}, StoppedServers: []string{"cpu"}},
		fakehub.User{Name: "bob", StoppedServers: []string{""}},
	)
	for _, c := range []struct {
		stopped bool
		scopes  string
		want    map[string][]string
	}{
		{true, "list:users read:users:groups read:servers", map[string][]string{"ada": {"cpu", "gpu"}}},
		{true, "list:users read:users:groups", map[string][]string{}},
		{false, "list:users read:users:groups read:servers", map[string][]string{}},
	} {
		fake.Grant(token, strings.Fields(c.scopes)...)
		result := list(t, start(t, fake, func(o *hub.Options) { o.StoppedServers = c.stopped }))
		if diff := cmp.Diff(c.want, result.Servers); diff != "" {
			t.Errorf("stopped %v, %s (-want +got):\n%s", c.stopped, c.scopes, diff)
		}
		ada := slices.Collect(membership.New("hub", result.Listing, membership.Rules{}).Details())[0]
		if want := 2; strings.Contains(c.scopes, "read:servers") && ada.ActiveServers != want {
			t.Errorf("stopped %v: %d active servers, want %d", c.stopped, ada.ActiveServers, want)
		}
	}
}

func TestScopes(t *testing.T) {
	users := []fakehub.User{
		{Name: "ada", Groups: []string{"a"}, LastActivity: time.Now().Add(-time.Minute), Servers: map[string]bool{"": true, "gpu": false}},
		{Name: "bob", Groups: []string{"b"}, LastActivity: time.Now().Add(-2 * time.Hour)},
		{Name: "cy"},
	}
	const everybody = "ada:a bob:b cy:- -=1 a=1 b=1"
	for _, c := range []struct {
		scopes   string
		want     string
		missing  string
		filtered string
	}{
		{"list:users read:users:groups", everybody, "", ""},
		{"list:users", "", "read:users:groups", ""},
		{"list:users read:users", everybody + " active in an hour: map[a:1]", "", ""},
		{"read:users:name read:users:groups", "", "list:users", ""},
		{"list:groups", "", "list:users read:users:groups", ""},
		{"list:groups read:groups", "", "list:users read:users:groups", ""},
		{"users groups", everybody + " empty=0 active in an hour: map[a:1]", "", ""},
		{"list:users read:users:groups read:servers", everybody + " servers of -: 0 servers of a: 1 servers of b: 0", "", ""},
		// A part of the hub.
		{"list:users!group=a read:users:groups", "ada:a a=1", "", "list:users!group=a"},
		{"list:users!group=a read:users:groups!group=a", "ada:a a=1", "", "list:users!group=a read:users:groups!group=a"},
		{"users!user=cy", "cy:- -=1 active in an hour: map[]", "", "list:users!user=cy read:users:groups!user=cy"},
		{"list:users list:users!group=a read:users:groups", everybody, "", ""},
		// Some users have the key groups, and some don't.
		{"list:users!group=a list:users!group=b read:users:groups!group=b", "", "list:users read:users:groups", "list:users!group=a list:users!group=b read:users:groups!group=b"},
		{"list:users!group=a read:users:groups!group=b", "", "list:users read:users:groups", "list:users!group=a read:users:groups!group=b"},
		{"list:users read:users:groups!group=a", "", "read:users:groups", "read:users:groups!group=a"},
		{"list:users!group=a", "", "read:users:groups", ""},
	} {
		t.Run(c.scopes, func(t *testing.T) {
			fake := newHub(users...)
			fake.AddGroups("empty")
			fake.Grant(token, strings.Fields(c.scopes)...)
			client := start(t, fake)
			if c.missing != "" {
				want := "the hub token is missing the scope" + strings.ReplaceAll(" "+c.missing, " list:users ", "s list:users and ")
				if c.filtered != "" {
					want += " for the whole hub (it has " + strings.ReplaceAll(c.filtered, " ", ", ") + ")"
				}
				if got := failure(t, client); got.Reason != remote.Scope || got.Problem != want {
					t.Errorf("got %v, want %s", got, want)
				}
				return
			}
			began := time.Now()
			got := list(t, client)
			ended := time.Now()
			if strings.Join(got.Filtered, " ") != c.filtered || got.ScopesError != nil {
				t.Errorf("scopes for a part: %q, error %v, want %q", got.Filtered, got.ScopesError, c.filtered)
			}
			if diff := cmp.Diff(c.want, strings.Join(told(got), " ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if at := got.Listing.At; at.Before(began) || at.After(ended) {
				t.Errorf("the listing is of %v, want between %v and %v", at, began, ended)
			}
		})
	}
}

// A secret that was rotated needs no restart, whenever that happens.
func TestAReplacedTokenIsReadAgain(t *testing.T) {
	fake := newHub(people(450)...)
	current := token
	c := start(t, fake, func(o *hub.Options) { o.Token = func() (hub.Token, error) { return hub.NewToken(current), nil } })
	list(t, c)
	replace := func(next string) {
		fake.Grant(next, "list:users", "read:users:groups")
		fake.Revoke(current)
		current = next
	}
	replace("second")
	list(t, c)
	// Between two pages: the first was answered to the old one.
	fake.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("offset") == "199" && current == "second" {
			replace("third")
		}
		return false
	}
	if got := list(t, c); len(namesOf(got)) != 450 {
		t.Errorf("%d users, want 450", len(namesOf(got)))
	}
	fake.Revoke("third")
	before := len(fake.Requests())
	if got := failure(t, c); got.Reason != remote.BadToken || len(fake.Requests()) != before+2 {
		t.Errorf("the same token again: %v after %d requests", got, len(fake.Requests())-before)
	}
}

// A hub refuses a list to a token whose filter lets nobody be listed.
func TestAFilterThatListsNobody(t *testing.T) {
	fake := newHub(people(3)...)
	fake.Grant(token, "list:users!server=ada/", "read:users:groups")
	fake.Intercept = refuse("/users", http.StatusForbidden)
	if got := failure(t, start(t, fake)); got.Reason != remote.Scope || got.Error() != "the hub token is missing the scope list:users for the whole hub (it has list:users!server=ada/)" {
		t.Errorf("got %v", got)
	}
}

// A filter is whatever the hub says.
func TestAFilterIsSafeToPrint(t *testing.T) {
	fake := newHub(people(3)...)
	fake.Grant(token, "list:users!group=\x1b[31m"+token, "list:users!group=group-1", "read:users:groups")
	got := list(t, start(t, fake))
	if want := []string{"list:users!group= [31m[token]", "list:users!group=group-1"}; !slices.Equal(got.Filtered, want) {
		t.Errorf("got %q, want %q", got.Filtered, want)
	}
}

// A role is looked up once an hour while it is for the whole hub, each time while it isn't, and anew
// for another token.
func TestScopesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newHub(people(3)...)
		current := token
		c := inProcess(t, fake, func(o *hub.Options) {
			o.Token = func() (hub.Token, error) { return hub.NewToken(current), nil }
		})
		check := func(when string, filtered, asked int) {
			t.Helper()
			before := fake.count("/api/user") - fake.count("/api/users")
			result := list(t, c)
			got := fake.count("/api/user") - fake.count("/api/users") - before
			if len(result.Filtered) != filtered || got != asked {
				t.Errorf("%s: scopes for a part %q after %d requests, want %d after %d", when, result.Filtered, got, filtered, asked)
			}
		}
		part := []string{"list:users!group=group-1", "read:users:groups"}
		check("at first", 0, 1)
		fake.Grant(token, part...)
		check("within the hour", 0, 0)
		time.Sleep(time.Hour + time.Second)
		check("after an hour", 1, 1)
		check("while it is a part", 1, 1)
		fake.Grant(token, "list:users", "read:users:groups")
		check("when it is the whole again", 0, 1)
		check("after that", 0, 0)
		fake.Grant("other-token", part...)
		current = "other-token"
		check("with another token", 1, 1)
	})
}

func TestATokenThatCannotBeUsed(t *testing.T) {
	fake := newHub(people(3)...)
	if got := failure(t, start(t, newHub(), func(o *hub.Options) { o.Token = always("another") })); got.Reason != remote.BadToken {
		t.Errorf("unknown to the hub: got %v", got)
	}
	got := failure(t, start(t, fake, func(o *hub.Options) {
		o.Token = func() (hub.Token, error) { return hub.Token{}, errors.New("open token: no such file") }
	}))
	if got.Reason != remote.BadToken || !strings.Contains(got.Error(), "there is no token for the hub at http://127.0.0.1") || !strings.HasSuffix(got.Error(), ": open token: no such file") || len(fake.Requests()) > 0 {
		t.Errorf("got %v after %d requests", got, len(fake.Requests()))
	}
}

func TestScopesOf(t *testing.T) {
	fake := newHub()
	fake.Grant("caller", "access:services!service=x")
	c := start(t, fake)
	scopes, known, err := c.ScopesOf(t.Context(), hub.NewToken("caller"))
	if err != nil || !known || !slices.Equal(scopes, []string{"access:services!service=x"}) {
		t.Errorf("scopes %q, known %v, error %v", scopes, known, err)
	}
	if _, known, err = c.ScopesOf(t.Context(), hub.NewToken("nobody")); known || err != nil {
		t.Errorf("of a token that nobody has: known %v, error %v", known, err)
	}
	fake.Intercept = refuse("", http.StatusServiceUnavailable)
	before := len(fake.Requests())
	_, known, err = c.ScopesOf(t.Context(), hub.NewToken("caller"))
	if hubErr, ok := errors.AsType[*remote.Error](err); known || !ok || hubErr.Status != http.StatusServiceUnavailable || len(fake.Requests()) != before+1 {
		t.Errorf("of a hub that is away: known %v, error %v after %d requests", known, err, len(fake.Requests())-before)
	}
}

// A hub sends its version with every answer. What lacks it is somebody in between, who knows no token.
func TestAnAnswerThatIsNotTheHubs(t *testing.T) {
	for _, c := range []struct {
		what    string
		status  int
		headers map[string]string
		body    string
		want    string // with HUB for the hub and its address
	}{
		{"a service mesh", 403, map[string]string{"Server": "istio-envoy", "Content-Type": "text/plain"}, "RBAC: access\n denied",
			"a proxy in front of HUB answered 403 Forbidden: istio-envoy: RBAC: access denied"},
		{"a page", 403, map[string]string{"Content-Type": "text/html"}, "<p>no</p>", "a proxy in front of HUB answered 403 Forbidden"},
		{"a login page", 302, map[string]string{"Location": "https://login.example/?rd=x", "Content-Type": "text/plain"}, "",
			"a proxy in front of HUB answered 302 Found: redirect to https://login.example/"},
		{"the token and control characters", 401, map[string]string{"Server": "x-" + token, "Content-Type": "text/plain"}, "\x1b[31m" + token + "\r\n" + strings.Repeat("x", 1<<20),
			"a proxy in front of HUB answered 401 Unauthorized: x-[token]:  [31m[token] " + strings.Repeat("x", 276) + "…"},
		{"a hub of another version", 403, map[string]string{"X-JupyterHub-Version": "9.9.9"}, "", "HUB doesn't accept the token"},
		{"a hub", 500, map[string]string{"X-JupyterHub-Version": "5.5.1", "Content-Type": "text/html"}, "<title>500</title>", "HUB answered 500 Internal Server Error"},
	} {
		t.Run(c.what, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range c.headers {
					w.Header()[name] = []string{value}
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			client := start(t, handler)
			got := failure(t, client)
			if want := strings.ReplaceAll(c.want, "HUB", "the hub at "+got.URL); got.Error() != want || got.Intermediary != strings.Contains(c.want, "in front") {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			// A caller isn't refused for it either, unless the hub says so.
			_, known, err := client.ScopesOf(t.Context(), hub.NewToken("caller"))
			if refused := err == nil && !known; refused != (c.status == 403 && !got.Intermediary) {
				t.Errorf("of a caller: known %v, error %v", known, err)
			}
		})
	}
}

// Where a proxy removes the header from the hub's good answers, it is missing from the others too.
func TestAHubWhoseVersionIsRemoved(t *testing.T) {
	fake := newHub(people(3)...)
	c := client(t, "http://hub.test", func(o *hub.Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := inMemory{fake}.RoundTrip(r)
			response.Header.Del("X-JupyterHub-Version")
			return response, err
		})
	})
	list(t, c)
	fake.Revoke(token)
	if got := failure(t, c); got.Reason != remote.BadToken || got.Intermediary {
		t.Errorf("got %v", got)
	}
	if _, known, err := c.ScopesOf(t.Context(), hub.NewToken("nobody")); known || err != nil {
		t.Errorf("of a caller: known %v, error %v", known, err)
	}
}

func TestAFailedRefreshForgetsTheScopes(t *testing.T) {
	fake := newHub(people(3)...)
	c := start(t, fake)
	fake.AddGroups("empty")
	if got := told(list(t, c)); slices.Contains(got, "empty=0") {
		t.Errorf("got %v", got)
	}
	fake.Grant(token)
	failure(t, c)
	fake.Grant(token, "users", "list:groups")
	if got := told(list(t, c)); !slices.Contains(got, "empty=0") {
		t.Errorf("got %v, want the empty group too", got)
	}
}

// The list of groups is dear for a hub: it is asked for once an hour, as long as the token may.
func TestGroupsAreAskedForOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newHub(people(3)...)
		fake.AddGroups("empty")
		fake.Grant(token, "users", "list:groups")
		c := inProcess(t, fake)
		check := func(when string, want []string, asked int) {
			t.Helper()
			result := list(t, c)
			var empty []string
			for _, group := range told(result) {
				if name, isEmpty := strings.CutSuffix(group, "=0"); isEmpty {
					empty = append(empty, name)
				}
			}
			n := fake.count("/groups")
			if !slices.Equal(empty, want) || n != asked || result.GroupsError != nil {
				t.Errorf("%s: empty groups %q after %d lists of groups, error %v; want %q after %d", when, empty, n, result.GroupsError, want, asked)
			}
		}
		check("at first", []string{"empty"}, 1)
		fake.AddGroups("new")
		time.Sleep(30 * time.Minute)
		check("within the hour", []string{"empty"}, 1)
		time.Sleep(31 * time.Minute)
		check("after an hour", []string{"empty", "new"}, 2)
		fake.Grant(token, "users")
		time.Sleep(61 * time.Minute)
		check("when the scope is gone", nil, 2)
		fake.Grant(token, "users", "list:groups")
		time.Sleep(61 * time.Minute)
		check("when it is granted again", []string{"empty", "new"}, 3)
	})
}

func TestTheSameFailureIsTheSameText(t *testing.T) {
	t.Parallel()
	reset := func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = connection.(*net.TCPConn).SetLinger(0)
		_ = connection.Close()
	}
	c := start(t, http.HandlerFunc(reset))
	if first, second := failure(t, c).Error(), failure(t, c).Error(); first != second || !strings.Contains(first, "connection reset by peer") {
		t.Errorf("%q, then %q", first, second)
	}
}

func TestUsersCountWithoutTheListOfGroups(t *testing.T) {
	for _, broken := range []string{"/groups", "/user"} {
		fake := newHub(people(3)...)
		fake.Grant(token, "users", "list:groups")
		fake.Intercept = refuse(broken, http.StatusInternalServerError)
		got := list(t, start(t, fake))
		if len(namesOf(got)) != 3 || got.GroupsError == nil || (got.ScopesError == nil) != (broken == "/groups") {
			t.Errorf("without %s: got %d users, errors %v and %v", broken, len(namesOf(got)), got.GroupsError, got.ScopesError)
		}
	}
}

// Where not all groups can be read, none without members is known: they would come
// and go.
func TestGroupsAreReadAllOrNone(t *testing.T) {
	fake := newHub(people(3)...)
	fake.Grant(token, "list:users", "read:users:groups", "list:groups")
	fake.MaxLimit = 2
	fake.AddGroups("empty-1", "empty-2", "empty-3")
	fake.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		broken := strings.HasSuffix(r.URL.Path, "/groups") && r.URL.Query().Get("offset") == "4"
		if broken {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return broken
	}
	got := list(t, start(t, fake))
	if got.GroupsError == nil || strings.Contains(fmt.Sprint(told(got)), "empty") {
		t.Errorf("error %v, listing %q", got.GroupsError, told(got))
	}
}

// Whatever a server writes, an error shows neither the token that it repeats nor control characters.
func TestErrorsShowNoToken(t *testing.T) {
	const page = `HTTP/1.1 200 OK` + "\r\nContent-Type: application/json\r\n\r\n" + `{"items":[{"name":"ada","groups":[],`
	for what, answer := range map[string]string{
		"a status line":                 "HTTP/1.1 TOKEN\r\n\r\n",
		"no status line":                "TOKEN\x1b[31m\r\n\r\n",
		"a protocol":                    "TOKEN/1.1 200 OK\r\n\r\n",
		"a header without a colon":      "HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n",
		"a header's name":               "HTTP/1.1 200 OK\r\nX \x1bTOKEN: x\r\n\r\n",
		"the content's length":          "HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n",
		"the content's lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: TOKEN\r\n\r\n",
		"the transfer's encoding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n",
		"the content's encoding":        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: TOKEN\r\n\r\n{}",
		"the length of a chunk":         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nTOKEN\r\n",
		"the content's type":            "HTTP/1.1 200 OK\r\nContent-Type: text/TOKEN\r\n\r\n",
		"a redirect":                    "HTTP/1.1 302 Found\r\nLocation: /TOKEN/\x1b[31m?TOKEN\r\n\r\n",
		"the time of the last activity": page + `"last_activity":"TOKEN\n"}]}`,
		"a number":                      page + `"servers":123456789012}]}`,
		"a server":                      page + `"servers":{"TOKEN":7}}]}`,
		"a key":                         page + `"TOKEN":7}],"_pagination":{"total":"TOKEN"}}`,
		"what is no JSON":               page + `TOKEN`,
	} {
		for _, secret := range []string{token, "123456789012", `to"k\en`} {
			for _, repeated := range []string{secret, strings.ToUpper(secret)} {
				synctest.Test(t, func(t *testing.T) {
					_, err := client(t, "http://hub.test", func(o *hub.Options) {
						o.Token, o.Transport = always(secret), rawHub(strings.ReplaceAll(answer, "TOKEN", repeated))
					}).List(t.Context())
					if err == nil || strings.Contains(strings.ToLower(err.Error()), secret) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
						t.Errorf("%s: got %v", what, err)
					}
				})
			}
		}
	}
}

// rawHub is the way to a server that answers each request with a text, and then hangs up.
func rawHub(answer string) http.RoundTripper {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				_, _ = io.WriteString(there, answer)
			}
		}()
		return here, nil
	}}
}

func TestAnswersThatAreNotAHubs(t *testing.T) {
	page := func(item string) string {
		return `{"items":[` + item + `],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`
	}
	many := `{"name":"ada","groups":[""` + strings.Repeat(`,""`, 30_000) + `]}`
	for _, c := range []struct {
		what, contentType, body string
		reason                  remote.Reason
		problem                 string
	}{
		{"a web page", "text/html", "<html>", remote.Format, `its content type is "text/html", not JSON`},
		{"a web page said to be JSON", "application/json", "<html>", remote.Format, "invalid character '<' looking for beginning of value"},
		{"a bare list", "application/json", `[{"name":"ada","groups":[]}]`, remote.Format, "no pages in it"},
		{"another object", "application/json", `{"status":"ok"}`, remote.Format, "no pages in it"},
		{"a page without items", "application/json", `{"_pagination":{"total":1,"next":null}}`, remote.Format, "no pages in it"},
		{"a number for a name", "application/json", page(`{"name":5,"groups":[]}`), remote.Format, "json: cannot unmarshal number into Go struct field item.name of type string"},
		{"no name", "application/json", page(`{"groups":[]}`), remote.Format, "a user without a name"},
		{"null for groups", "application/json", page(`{"name":"ada","groups":null}`), remote.Format, "null as the groups of a user"},
		{"a string for groups", "application/json", page(`{"name":"ada","groups":"x"}`), remote.Format, "json: cannot unmarshal string into Go struct field item.groups of type []string"},
		{"a string", "application/json", `"ok"`, remote.Format, "no pages in it"},
		{"a number for the total", "application/json", `{"items":[],"_pagination":{"total":"9"}}`, remote.Format, "json: cannot unmarshal string into Go struct field .Total of type int"},
		{"an object as items", "application/json", `{"items":{},"_pagination":{}}`, remote.Format, "no list as its items"},
		{"null as items", "application/json", `{"items":null,"_pagination":{}}`, remote.Format, "no list as its items"},
		{"garbage between items", "application/json", `{"items":[{"name":"a","groups":[]} x`, remote.Format, "expected comma after array element"},
		{"a bad time", "application/json", page(`{"name":"ada","groups":[],"last_activity":"noon"}`), remote.Format, `parsing time "noon" as "2006-01-02T15:04:05Z07:00": cannot parse "noon" as "2006"`},
		{"a page that points to itself", "application/json", `{"items":[],"_pagination":{"offset":0,"limit":200,"total":9,"next":{"offset":0,"limit":200}}}`, remote.Format, "the page at offset 0 of 9 is followed by one at 0"},
		{"a next page of nothing", "application/json", `{"items":[],"_pagination":{"offset":0,"limit":200,"total":9,"next":{"offset":5,"limit":0}}}`, remote.Format, "the page at offset 5 of 9 is followed by one at 5"},
		{"a page past the end", "application/json", `{"items":[],"_pagination":{"offset":0,"limit":200,"total":9,"next":{"offset":200,"limit":200}}}`, remote.Format, "the page at offset 0 of 9 is followed by one at 200"},
		{"the same page for ever", "application/json", `{"items":[{"name":"ada","groups":[]}],"_pagination":{"offset":0,"limit":1,"total":9,"next":{"offset":1,"limit":1}}}`, remote.Format, "the page at offset 1 of 9 is followed by one at 1"},
		{"a page of more than a page", "application/json", `{"items":[{"name":"a","groups":[]}` + strings.Repeat(`,{"name":"a","groups":[]}`, 200) + `]}`, remote.TooLarge, "a page of it has more than 200 items"},
		{"no limit", "application/json", `{"items":[],"_pagination":{"total":1}}`, remote.Format, "no pages in it"},
		{"a long name", "application/json", page(`{"name":"` + strings.Repeat("a", 5<<10) + `","groups":[]}`), remote.TooLarge, "a name in it is over 4 KiB"},
		{"too much in one place", "application/json", page(`{"name":"` + strings.Repeat("a", 1<<20) + `","groups":[]}`), remote.TooLarge, "a part of it is over 1 MiB"},
		{"too much to keep", "application/json", `{"items":[` + strings.Repeat(many+",", 50) + many + `],"_pagination":{"limit":200,"total":1}}`, remote.TooLarge, "a page of it takes more than 16 MiB"},
		{"too much", "application/json", `{"items":[],` + strings.Repeat(`"x":"`+strings.Repeat("x", 1<<19)+`",`, 129) + `"_pagination":{"limit":200,"total":1}}`, remote.TooLarge, "it is over 64 MiB"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := failure(t, start(t, answers(http.StatusOK, c.contentType, c.body)))
			if got.Reason != c.reason || got.Problem != c.problem {
				t.Errorf("got %s: %q, want %s: %q", got.Reason, got.Problem, c.reason, c.problem)
			}
		})
	}
}

// Answers aren't compressed: a megabyte of gzip becomes a gigabyte.
func TestCompressedAnswersAreRefused(t *testing.T) {
	fake := newHub(people(3)...)
	fake.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if encoding := r.Header.Get("Accept-Encoding"); encoding != "identity" {
			t.Errorf("requested %q", encoding)
		}
		w.Header().Set("Content-Encoding", "gzip")
		return false
	}
	if got := failure(t, start(t, fake)); got.Reason != remote.Format || got.Problem != `its content encoding is "gzip", which was not requested` {
		t.Errorf("got %v", got)
	}
}

// A refresh ends, also if each answer comes in time and there is always one more.
func TestAListingTakesNoLongerThanItMay(t *testing.T) {
	for _, c := range []struct{ timeout, interval, want time.Duration }{
		{30 * time.Second, 0, 5 * time.Minute},
		{30 * time.Second, 15 * time.Second, 5 * time.Minute},
		{time.Second, time.Minute, time.Minute},
	} {
		for _, path := range []string{"/users", "/groups"} {
			synctest.Test(t, func(t *testing.T) {
				fake := newHub(people(3)...)
				fake.Grant(token, "users", "list:groups")
				fake.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, path) {
						return false
					}
					time.Sleep(min(2*time.Second, c.timeout*9/10))
					offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"items":[{"name":"%d","groups":[]},{"name":"%d","groups":[]}],"_pagination":{"limit":2,"total":%d,"next":{"offset":%d}}}`, offset, offset+1, offset+9, offset+2)
					return true
				}
				began := time.Now()
				result, err := inProcess(t, fake, func(o *hub.Options) {
					o.Timeout, o.Interval = c.timeout, c.interval
				}).List(t.Context())
				if took := time.Since(began); took < c.want || took > c.want+c.timeout {
					t.Errorf("%s: it took %v, want %v", path, took, c.want)
				}
				text := fmt.Sprintf("the hub at http://hub.test/hub/api doesn't answer in time: all requests together took longer than %v", c.want)
				if path == "/groups" { // users count without them
					if err != nil || len(namesOf(result)) != 3 {
						t.Fatalf("%s: error %v", path, err)
					}
					err = result.GroupsError
				}
				if reasonOf(err) != remote.Timeout || err.Error() != text {
					t.Errorf("%s: got %v", path, err)
				}
			})
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inMemory answers without a network, so that waits cost no time in a bubble.
type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	m.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// While a hub is polled, it rests after each page as long as the page took, but not for more than 5 s.
func TestPauses(t *testing.T) {
	for _, c := range []struct{ interval, page, want time.Duration }{
		{0, time.Second, 3 * time.Second},
		{time.Minute, time.Second, 5 * time.Second},
		{time.Minute, 8 * time.Second, 34 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := newHub(people(450)...)
			fake.Intercept = func(http.ResponseWriter, *http.Request) bool { time.Sleep(c.page); return false }
			polled := inProcess(t, fake, func(o *hub.Options) { o.Interval = c.interval })
			list(t, polled) // learns the scopes
			start := time.Now()
			list(t, polled)
			if took := time.Since(start); took != c.want {
				t.Errorf("every %v: three pages of %v took %v, want %v", c.interval, c.page, took, c.want)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), c.page+c.page/2, errors.New("enough"))
			defer cancel()
			if _, err := polled.List(ctx); err == nil || err.Error() != "enough" {
				t.Errorf("every %v: got %v after a stop in a pause, want its cause", c.interval, err)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		what     string
		status   int
		after    string // Retry-After
		times    int    // how often it answers so before it is well
		requests int
		reason   remote.Reason // of the error, if it stays one
		wait     time.Duration
	}{
		{"busy once", 503, "", 1, 2, "", 250 * time.Millisecond},
		{"bad gateway three times", 502, "", 3, 4, "", 1750 * time.Millisecond},
		{"gateway timeout for ever", 504, "", 99, 4, remote.Status, 1750 * time.Millisecond},
		{"told to wait", 429, "20", 1, 2, "", 20 * time.Second},
		{"told to wait until a time", 503, "Sat, 01 Jan 2000 00:00:30 GMT", 1, 2, "", 30 * time.Second},
		{"told to wait too long", 429, "120", 1, 1, remote.Status, 0},
		{"a server's error", 500, "", 1, 1, remote.Status, 0},
		{"not found", 404, "", 1, 1, remote.Status, 0},
		{"bad request", 400, "", 1, 1, remote.Status, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newHub(people(3)...)
				left := c.times
				fake.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
					if left == 0 || strings.HasSuffix(r.URL.Path, "/user") {
						return false
					}
					left--
					w.Header().Set("Retry-After", c.after)
					w.WriteHeader(c.status)
					return true
				}
				codes := map[int]int{}
				begin := time.Now()
				_, err := inProcess(t, fake, func(o *hub.Options) {
					o.OnAnswer = func(code int) { codes[code]++ }
				}).List(t.Context())
				if (err != nil) != (c.reason != "") || c.reason != "" && reasonOf(err) != c.reason {
					t.Errorf("got error %v, want reason %q", err, c.reason)
				}
				requests := fake.count("/users?")
				if requests != c.requests || codes[c.status] != min(c.times, c.requests) {
					t.Errorf("got %d requests, answers %v, want %d requests", requests, codes, c.requests)
				}
				// Waits vary by half, so that many clients don't come back at once.
				if took := time.Since(begin); took < c.wait || took > 3*c.wait+time.Millisecond {
					t.Errorf("took %v, want about %v", took, c.wait)
				}
			})
		})
	}
}

func TestConnectionErrors(t *testing.T) {
	t.Parallel()
	address, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	nobody := "http://" + address
	codes := map[int]int{}
	got := failure(t, client(t, nobody, func(o *hub.Options) { o.OnAnswer = func(code int) { codes[code]++ } }))
	if got.Reason != remote.Connect || codes[0] != 4 {
		t.Errorf("refused: got %+v after %v", got, codes)
	}
	if want := "the hub at " + nobody + "/hub/api/users can't be reached: connection refused"; got.Error() != want {
		t.Errorf("got %q, want %q", got, want)
	}

	cut := newHub(people(3)...)
	left := 2
	cut.Intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		if left == 0 {
			return false
		}
		left--
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"items":[`)
		return true
	}
	if got := list(t, start(t, cut)); len(namesOf(got)) != 3 {
		t.Errorf("cut off twice: got %d users, want 3", len(namesOf(got)))
	}
}

func TestTimeout(t *testing.T) {
	requests := 0
	c := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}), func(o *hub.Options) {
		o.Timeout = 50 * time.Millisecond
		o.OnAnswer = func(int) { requests++ }
	})
	if got := failure(t, c); got.Reason != remote.Timeout || requests != 1 {
		t.Errorf("got %+v after %d requests, want a timeout after 1", got, requests)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fake := newHub(people(900)...)
	fake.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("offset") == "398" {
			cancel()
		}
		return false
	}
	_, err := start(t, fake).List(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if n := len(fake.Requests()); n != 3 {
		t.Errorf("%d requests, want 3: none after it was stopped", n)
	}

	// Also when all users are there, and only the scopes are asked for.
	ctx, cancel = context.WithCancel(t.Context())
	fake.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/user") {
			cancel()
		}
		return false
	}
	if _, err := start(t, fake).List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestATokenIsNeverFormatted(t *testing.T) {
	secret := hub.NewToken(token)
	o := struct {
		Token  hub.Token
		hidden hub.Token
	}{secret, secret}
	for _, text := range []string{fmt.Sprint(o), fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o), fmt.Sprintf("%v %#v", secret, secret)} {
		if strings.Contains(text, token) {
			t.Errorf("shows the token: %s", text)
		}
	}
}

func TestABaseAddress(t *testing.T) {
	fake := newHub(people(3)...)
	fake.BaseURL = "/jupyter/"
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	if got := list(t, client(t, server.URL+"/jupyter")); len(namesOf(got)) != 3 {
		t.Errorf("got %d users, want 3", len(namesOf(got)))
	}
	if got := failure(t, client(t, server.URL)); got.Status != http.StatusFound {
		t.Errorf("the wrong base address: got %+v, want a redirect", got)
	}
}

// reasonOf returns the reason of an error, or "".
func reasonOf(err error) remote.Reason {
	if failed, ok := errors.AsType[*remote.Error](err); ok {
		return failed.Reason
	}
	return ""
}
