package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/clock"
	"github.com/groups-exporter/groups-exporter/internal/exposition"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// newTestExporter returns an exporter for the namespace n, with an hour between two polls, and its log.
func newTestExporter(o Options) (*Exporter, *bytes.Buffer) {
	var log bytes.Buffer
	schedule := Schedule{Interval: time.Hour, MaxStaleness: 2 * time.Hour}
	o.Namespace, o.Schedule, o.Log = "n", schedule, slog.New(slog.NewTextHandler(&log, nil))
	if o.Hub.API == nil {
		o.Hub.API = &url.URL{}
	}
	if o.Usage != nil {
		o.Usage.Sources, o.Usage.Schedules = schedule, map[usage.Resource]Schedule{}
		for _, resource := range usage.Resources() {
			o.Usage.Schedules[resource] = schedule
		}
	}
	o.Words = Words{
		Explain: func(err error) error { return err },
		Hub: func(_ *membership.Snapshot, result hub.Result) (notices []string) {
			return append(notices, result.Filtered...)
		},
		Sources: func(*prometheus.Sources) []string { return nil },
	}
	return New(o), &log
}

// snapshotOf returns a snapshot with n users.
func snapshotOf(n int) *membership.Snapshot {
	var users []membership.User
	for i := range n {
		users = append(users, membership.User{Name: fmt.Sprint("user", i)})
	}
	return membership.New("n", membership.NewListing(time.Now(), users...), membership.Rules{})
}

// After a suspend, a scrape contains nothing that is too old. The exporter then polls again at once: the hub, and
// Prometheus for each resource on its own.
func TestExpireOnScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		suspended := map[string]time.Duration{}
		clockOf := func(source string) func() clock.Instant {
			return func() clock.Instant {
				now := clock.Now()
				now.Wall = now.Wall.Add(suspended[source])
				return now
			}
		}
		e, _ := newTestExporter(Options{MaxSeries: 100, Usage: &Usage{Attribution: usage.Full}})
		e.hub.Clock = clockOf("hub")
		e.hub.Refresh = func(context.Context) (reading, error) { return reading{snapshot: snapshotOf(1)}, nil }
		e.sources.Refresh = func(context.Context) (*prometheus.Sources, error) { return &prometheus.Sources{}, nil }
		for resource, poller := range e.usage {
			poller.Clock = clockOf(string(resource))
			poller.Refresh = func(context.Context) (*usage.Answer, error) {
				return usage.NewAnswer(resource, map[string]float64{"user0": 1}), nil
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); e.Run(ctx) }()
		synctest.Wait()
		stop() // ends all refreshes
		<-done

		has := func(want bool, lines ...string) {
			t.Helper()
			text := textOf(t, e.State().Page)
			for _, line := range lines {
				if strings.Contains(text, "\n"+line) != want {
					t.Errorf("%q is published: %v, want %v, in\n%s", line, !want, want, text)
				}
			}
		}
		// The published size is that of the page, even if only usage has changed.
		sized := func() {
			t.Helper()
			page := textOf(t, exposition.Join(e.State().hub...))
			series := len(regexp.MustCompile(`(?m)^[^#]`).FindAllString(page, -1))
			has(true, fmt.Sprintf("groups_exporter_page_size_bytes{namespace=\"n\"} %d\n", len(page)), fmt.Sprintf("groups_exporter_page_series{namespace=\"n\"} %d\n", series))
		}
		sized()
		const hubMetric, ofHub = "jupyterhub_user_group_info{", "groups_exporter_users{"
		const cpu, memory = "jupyterhub_user_group_cpu_seconds{", "jupyterhub_user_group_memory_bytes{"
		has(true, hubMetric, ofHub, cpu, memory)
		suspended[string(usage.CPU)] = 2 * time.Hour
		has(false, cpu)
		sized()
		has(true, hubMetric, ofHub, memory)
		suspended["hub"] = 2 * time.Hour
		has(false, hubMetric, ofHub, cpu, memory, "groups_exporter_page_")
		if status := e.State().Status; status.Published || len(status.Groups) > 0 {
			t.Errorf("the landing page still shows memberships: %+v", status)
		}
		if len(e.hub.now) != 1 {
			t.Error("the hub isn't polled at once")
		}
		for resource, poller := range e.usage {
			if got, want := len(poller.now) == 1, resource == usage.CPU; got != want {
				t.Errorf("Prometheus is queried for %s at once: %v, want %v", resource, got, want)
			}
		}
	})
}

// The users on a page, the exporter's number of users and the status come from the same refresh.
func TestStateIsConsistent(t *testing.T) {
	e, _ := newTestExporter(Options{MaxSeries: 1000})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			if i%4 == 3 {
				e.dropHub()
			} else if _, err := e.publishHub(reading{snapshot: snapshotOf(1 + i%4)}); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		state := e.State()
		text := textOf(t, state.Page)
		users := strings.Count(text, "\njupyterhub_user_group_info{")
		want := fmt.Sprintf("\ngroups_exporter_users{namespace=\"n\"} %d\n", users)
		if users == 0 && strings.Contains(text, "\ngroups_exporter_users{") || users > 0 && !strings.Contains(text, want) {
			t.Fatalf("%d users on the page, but the exporter's own metrics are of another refresh:\n%s", users, text)
		}
		if status := state.Status; status.Users != users || status.Published != (users > 0) {
			t.Fatalf("%d users on the page, but the status is of another refresh: %+v", users, status)
		}
	}
}

// hubExporter is an exporter of a fake hub. It refreshes only when refreshed is called.
type hubExporter struct {
	*Exporter
	t   *testing.T
	log *bytes.Buffer
}

func newHubExporter(t *testing.T, h *fakehub.Hub) *hubExporter {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	api, err := hub.APIURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	token := func() (hub.Token, error) { return hub.NewToken("x"), nil }
	e, log := newTestExporter(Options{Hub: hub.Options{API: api, Timeout: time.Minute, Token: token}, MaxSeries: 100})
	return &hubExporter{e, t, log}
}

// refreshed refreshes and returns the text of a scrape.
func (e *hubExporter) refreshed() string {
	e.t.Helper()
	r, err := e.readHub(e.t.Context())
	if err == nil {
		_, err = e.publishHub(r)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return textOf(e.t, e.State().Page)
}

// A list of users that changes between all reads is published and counted.
func TestInconsistentRefresh(t *testing.T) {
	h := &fakehub.Hub{MaxLimit: 2}
	var users []fakehub.User
	for name := range strings.SplitSeq("abcdefgh", "") {
		users = append(users, fakehub.User{Name: name})
	}
	h.SetUsers(users...)
	h.Grant("x", "list:users", "read:users:groups")
	h.Intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("offset") == "2" {
			h.Update(func(users []fakehub.User) []fakehub.User { return slices.Clone(users[1:]) })
		}
		return false
	}
	text := newHubExporter(t, h).refreshed()
	for _, want := range []string{"\njupyterhub_user_group_info{", "\ngroups_exporter_inconsistent_refreshes_total{namespace=\"n\"} 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// A part of a hub is published with a notice and a metric.
func TestPartialHub(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio", "chem"}}, fakehub.User{Name: "bob", Groups: []string{"bio"}})
	h.Grant("x", "list:users!group=chem", "read:users:groups")
	e := newHubExporter(t, h)
	check := func(when string, partial int) {
		t.Helper()
		text := e.refreshed()
		if want := fmt.Sprintf("\ngroups_exporter_hub_partial{namespace=\"n\"} %d\n", partial); !strings.Contains(text, want) {
			t.Errorf("%s: %q is missing in\n%s", when, want, text)
		}
	}
	check("at first", 1)
	check("again", 1)
	if n := strings.Count(e.log.String(), "list:users!group=chem"); n != 1 {
		t.Errorf("the notice is logged %d times, want once:\n%s", n, e.log)
	}
	h.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		broken := strings.HasSuffix(r.URL.Path, "/user")
		if broken {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return broken
	}
	check("while the scopes can't be read", 1)
	h.Intercept = nil
	h.Grant("x", "list:users", "read:users:groups")
	check("with the whole hub", 0)
}

// Usage is published as soon as there are memberships to join it with, each resource on its own.
func TestPublishUsage(t *testing.T) {
	e, _ := newTestExporter(Options{MaxSeries: 4, Usage: &Usage{Attribution: usage.Full}})
	check := func(when string, want ...string) {
		t.Helper()
		var got []string
		for line := range strings.Lines(textOf(t, exposition.Join(e.State().hub...))) {
			if name, _, isSample := strings.Cut(line, "{"); isSample {
				got = append(got, strings.TrimPrefix(name, "jupyterhub_"))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: published %q, want %q", when, got, want)
		}
	}
	publishHub := func() error {
		listing := membership.NewListing(time.Now(), membership.User{Name: "ada", Groups: []string{"bio"}})
		_, err := e.publishHub(reading{snapshot: membership.New("n", listing, membership.Rules{})})
		return err
	}
	publishUsage := func(resource usage.Resource) error {
		_, err := e.publishUsage(usage.NewAnswer(resource, map[string]float64{"ada": 1}))
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mustBeTooMany := func(err error) {
		t.Helper()
		if !errors.As(err, new(exposition.TooManySeries)) {
			t.Errorf("got %v, want an error about too many series", err)
		}
	}
	must(publishUsage(usage.CPU))
	check("before the hub's first answer")
	must(publishHub())
	check("with it", "group_members", "user_group_info", "user_group_cpu_seconds")
	must(publishUsage(usage.HomeDir))
	mustBeTooMany(publishUsage(usage.Memory))
	check("at the limit", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_cpu_seconds")

	e.o.MaxSeries = 1
	mustBeTooMany(publishHub())
	check("after a refresh with too many memberships", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_cpu_seconds")
	e.o.MaxSeries = 2
	must(publishHub())
	check("with room for memberships only", "group_members", "user_group_info")
	if text := textOf(t, e.State().Page); !strings.Contains(text, `groups_exporter_usage_failures_total{namespace="n",reason="max_series",resource="cpu"} 1`) {
		t.Errorf("dropped usage isn't counted as a failure:\n%s", text)
	}

	e.o.MaxSeries = 100
	must(publishHub())
	check("with more room, before Prometheus answers again", "group_members", "user_group_info")
	for _, resource := range []usage.Resource{usage.HomeDir, usage.CPU, usage.Memory} {
		must(publishUsage(resource))
	}
	check("after that", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_memory_bytes", "user_group_cpu_seconds")
	e.dropUsage(usage.CPU)
	check("without CPU, which is too old", "group_members", "user_group_info", "user_group_home_dir_bytes", "user_group_memory_bytes")
	e.dropHub()
	must(publishUsage(usage.CPU))
	check("without memberships")
	must(publishHub())
	e.dropUsage(usage.HomeDir)
	check("with memberships again", "group_members", "user_group_info", "user_group_memory_bytes", "user_group_cpu_seconds")
}
