//go:build e2e

package e2e

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/month"
	"github.com/groups-exporter/groups-exporter/internal/fakehub"
)

// groupsInThePast checks that groups shows the memberships of a month as they were recorded, and their changes.
func groupsInThePast(t *testing.T, m *month.Month, server string) {
	chance := rand.New(rand.NewPCG(2026, 10))
	for _, hub := range []struct{ namespace, change, gap string }{
		{"prod", "2026-10-15T14:23:00+02:00", "2026-10-08T14:00:00+02:00"},
		{"lab", "2026-10-20T11:20:00+02:00", "2026-10-17T09:00:00+02:00"},
		{"twin", "2026-10-07T09:00:00+02:00", "2026-10-20T11:20:00+02:00"},
	} {
		var times []time.Time
		for _, text := range []string{hub.change, hub.gap} {
			moment, err := time.Parse(time.RFC3339, text)
			noError(t, err)
			for _, seconds := range []int{-3000, -1, 20, 70, 119, 161, 240, 700, 3*3600 - 1, 3*3600 + 70} {
				times = append(times, moment.Add(time.Duration(seconds)*time.Second))
			}
		}
		for range 10 {
			times = append(times, month.October.From.Add(time.Duration(chance.Int64N(int64(month.October.To.Sub(month.October.From))))).Truncate(time.Second))
		}
		var known []time.Time
		for _, at := range times {
			if recordedGroups(t, m, server, hub.namespace, at) {
				known = append(known, at)
			}
		}
		if len(known) < 10 || len(known) == len(times) {
			t.Errorf("%s: memberships are known at %d of %d times, want most but not all", hub.namespace, len(known), len(times))
		}
		slices.SortFunc(known, time.Time.Compare)
		for i := range len(known) / 2 {
			recordedChanges(t, m, server, hub.namespace, known[i], known[len(known)-1-i])
		}
	}
	r := run(t, environment(), "", "groups", "--prometheus-url="+server, "--at=2026-10-15")
	if want := `several hubs, in the namespaces ["lab" "prod" "twin"]`; r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, want) {
		t.Errorf("of three hubs: got exit code %d, output %q and error %q, want an error with %s", r.code, r.stdout, r.stderr, want)
	}
}

// recordedGroups checks the memberships at a time, and returns whether there are any.
func recordedGroups(t *testing.T, m *month.Month, server, namespace string, at time.Time) bool {
	t.Helper()
	want, known := m.Recorded(namespace, at)
	args := []string{"groups", "--prometheus-url=" + server, "--namespace=" + namespace, "--output=json", "--by=user"}
	r := run(t, environment(), "", append(args, "--at="+at.Format(time.RFC3339))...)
	if known {
		if r.code != 0 {
			t.Errorf("%s at %s: exit code %d: %s", namespace, at, r.code, r.stderr)
			return true
		}
		report(t, fmt.Sprint(namespace, " at ", at), same(want, tableByUser(t, r.stdout)))
		return true
	}
	nearest := regexp.MustCompile(`: the nearest are from (\S+) and (\S+)\n`).FindStringSubmatch(r.stderr)
	if r.code != 1 || r.stdout != "" || nearest == nil {
		t.Errorf("%s at %s: got exit code %d, %d bytes and error %q, want the nearest times", namespace, at, r.code, len(r.stdout), r.stderr)
		return false
	}
	for _, text := range nearest[1:] {
		moment, err := time.Parse(time.RFC3339, text)
		noError(t, err)
		if _, known := m.Recorded(namespace, moment); !known {
			t.Errorf("%s at %s: memberships at the nearest time %s aren't known", namespace, at, text)
		}
		if before, after := moment.Add(-3*time.Minute), moment.Add(3*time.Minute); moment.Before(at) {
			if _, known := m.Recorded(namespace, after); known {
				t.Errorf("%s at %s: memberships are known after %s", namespace, at, text)
			}
		} else if _, known := m.Recorded(namespace, before); known {
			t.Errorf("%s at %s: memberships are known before %s", namespace, at, text)
		}
	}
	return false
}

// recordedChanges checks the changes between two times at which memberships are known.
func recordedChanges(t *testing.T, m *month.Month, server, namespace string, since, until time.Time) {
	t.Helper()
	if !since.Before(until) {
		return
	}
	before, _ := m.Recorded(namespace, since)
	after, _ := m.Recorded(namespace, until)
	got := succeed(t, environment(), "groups", "--prometheus-url="+server, "--namespace="+namespace, "--output=csv",
		"--diff="+since.Format(time.RFC3339), "--at="+until.Format(time.RFC3339), "--multi-group=multiple")
	report(t, fmt.Sprint(namespace, " from ", since, " to ", until), same(changesOf(inMultiples(before), inMultiples(after)), linesOf(t, got)))
}

// inMultiples returns the groups of users, with users in several groups in "multiple".
func inMultiples(users map[string][]string) map[string][]string {
	users = maps.Clone(users)
	for user, groups := range users {
		switch {
		case len(groups) == 0:
			users[user] = []string{"none"}
		case len(groups) > 1:
			users[user] = []string{"multiple"}
		}
	}
	return users
}

// changesOf returns the lines of groups --diff --output=csv for two states, sorted.
func changesOf(before, after map[string][]string) [][]string {
	lines := [][]string{}
	add := func(these, those map[string][]string, change string) {
		for user, groups := range these {
			for _, group := range groups {
				if !slices.Contains(those[user], group) {
					lines = append(lines, []string{group, user, change})
				}
			}
		}
	}
	add(after, before, "joined")
	add(before, after, "left")
	slices.SortFunc(lines, slices.Compare)
	return lines
}

// linesOf returns the lines of a CSV after the header, sorted.
func linesOf(t *testing.T, text string) [][]string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	noError(t, err)
	lines = append([][]string{}, lines[1:]...)
	slices.SortFunc(lines, slices.Compare)
	return lines
}

// groups shows what a real Prometheus recorded of a real hub, before and after changes and while nothing was scraped,
// and what has changed since.
func TestGroupsInThePast(t *testing.T) {
	t.Parallel()
	everybody := slices.DeleteFunc(people(), func(u user) bool { // these groups look like the exporter's own
		return slices.Contains(u.Groups, "none") || slices.Contains(u.Groups, "multiple")
	})
	h := startHub(t, versions[0], everybody, reader)
	env := h.of(token("reader"))
	exporter, target := serve(t, env, "--refresh-interval=1s", "--namespace=prod")
	exporter.untilReady(target)
	p := &prometheus{version: prometheusVersions[len(prometheusVersions)-1], url: freeAddress(t)}
	p.start(t, map[string]string{"prometheus.yml": fmt.Sprintf(
		"scrape_configs: [{job_name: groups, honor_labels: true, scrape_interval: 1s, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(target, "http://"))})
	past := func(env []string, args ...string) result {
		return run(t, env, "", append([]string{"groups", "--prometheus-url=" + p.url}, args...)...)
	}
	at := func(when time.Time) string { return "--at=" + when.UTC().Format(time.RFC3339) }
	// recorded waits until the memberships are recorded, and returns the time.
	recorded := func(want map[string][]string) (when time.Time) {
		t.Helper()
		p.until("the memberships are recorded", time.Minute, func() error {
			when = time.Now().Truncate(time.Second)
			r := past(environment(), at(when), "--by=user", "--output=json")
			if r.code != 0 {
				return fmt.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			return same(want, tableByUser(t, r.stdout))
		})
		return when
	}
	first := published(everybody)
	before := recorded(first)

	h.change("POST", "/users", map[string]any{"usernames": []string{"newcomer"}})
	h.change("DELETE", "/groups/alpha/users", map[string]any{"users": []string{"user-001", "user-003"}})
	h.change("POST", "/groups/"+url.PathEscape("grp/slash")+"/users", map[string]any{"users": []string{"user-001"}})
	h.change("DELETE", "/users/user-006", nil)
	second := maps.Clone(first)
	second["newcomer"], second["user-001"], second["user-003"] = []string{"none"}, []string{"grp/slash"}, []string{"beta"}
	delete(second, "user-006")
	after := recorded(second)

	exporter.end(syscall.SIGTERM)
	time.Sleep(5 * time.Second)
	gap := time.Now()
	for when, want := range map[time.Time]map[string][]string{before: first, after: second} {
		r := past(environment(), at(when), "--by=user", "--output=json")
		report(t, fmt.Sprint("at ", when), same(want, tableByUser(t, r.stdout)))
	}
	want := changesOf(first, second)
	for name, r := range map[string]result{
		"between":          past(environment(), "--diff="+before.UTC().Format(time.RFC3339), at(after), "--output=csv"),
		"until now":        past(env, "--diff="+before.UTC().Format(time.RFC3339), "--output=csv"),
		"with a namespace": past(append(env, "NAMESPACE=prod"), "--diff="+before.UTC().Format(time.RFC3339), "--output=csv"),
	} {
		if r.code != 0 || r.stderr != "" {
			t.Errorf("%s: exit code %d: %s", name, r.code, r.stderr)
			continue
		}
		report(t, name, same(want, linesOf(t, r.stdout)))
	}
	if r := past(environment(), at(gap)); r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, ": the last ones are from "+gap.UTC().Format("2006-01-02T")) {
		t.Errorf("in a gap: exit code %d, %d bytes, %s", r.code, len(r.stdout), r.stderr)
	}
}

// groups shows the recorded memberships of 100,000 users, also while an exporter is replaced by another.
func TestGroupsInThePastOfMany(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(fakehub.NewDemo(1, 100_000, token("many"), time.Now()))
	t.Cleanup(api.Close)
	env := environment("JUPYTERHUB_API_URL="+api.URL+"/hub/api", "JUPYTERHUB_API_TOKEN="+token("many"))
	p := &prometheus{version: prometheusVersions[len(prometheusVersions)-1], url: freeAddress(t)}
	p.start(t, map[string]string{
		"prometheus.yml": "scrape_configs: [{job_name: groups, honor_labels: true, scrape_interval: 5s, file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]}]\n",
		"targets.json":   "[]",
	})
	want := succeed(t, env, "groups", "--by=user", "--output=csv")
	for _, name := range []string{"first", "second"} {
		exporter, target := serve(t, env, "--namespace=prod")
		exporter.untilReady(target)
		instance := strings.TrimPrefix(target, "http://")
		writeFile(t, filepath.Join(p.cmd.Dir, "targets.json"), fmt.Sprintf("[{\"targets\": [%q]}]", instance), 0o600)
		p.until("the exporter is scraped", time.Minute, func() error {
			found, err := p.query(fmt.Sprintf("count(jupyterhub_user_group_info{instance=%q})", instance))
			if err == nil && len(found) == 0 {
				err = errors.New("no memberships")
			}
			return err
		})
		time.Sleep(time.Second) // --at has whole seconds
		got := succeed(t, environment(), "groups", "--by=user", "--prometheus-url="+p.url, "--at="+time.Now().UTC().Format(time.RFC3339), "--output=csv")
		report(t, "memberships of the "+name+" exporter", same(want, got))
		exporter.end(syscall.SIGTERM)
	}
}
