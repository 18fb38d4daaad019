package history_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/history"
)

// exporter is an exporter that Prometheus scraped, with the memberships at each scrape: groups by user.
type exporter struct {
	labels   []string
	interval time.Duration
	scrapes  map[time.Time]map[string][]string
}

// recording makes up what Prometheus recorded of a hub, from the start on.
type recording struct {
	*rand.Rand
	groups    map[string][]string // now
	exporters []*exporter
	scrapes   []time.Time
}

// change puts a user into other groups, or removes the user from the hub.
func (r *recording) change(user string) {
	delete(r.groups, user)
	all := [][]string{{"none"}, {"bio"}, {"chem"}, {"bio", "chem"}, {"multiple"}, {"bio", "chem", "multiple"}, nil}
	if groups := all[r.IntN(len(all))]; groups != nil {
		r.groups[user] = groups
	}
}

// record scrapes an exporter, or two in parallel, for some time. Between scrapes, users change with some probability.
func (r *recording) record(interval, from, to time.Duration, users []string, changes float64) {
	var parallel []*exporter
	for i := range 1 + r.IntN(4)/3 {
		labels := append([]string{"instance", strconv.Itoa(len(r.exporters) + i)}, [][]string{nil, {"pod", "a"}, {"job", "other"}}[r.IntN(3)]...)
		parallel = append(parallel, &exporter{labels, interval, map[time.Time]map[string][]string{}})
	}
	r.exporters = append(r.exporters, parallel...)
	mass := from + time.Duration(r.Float64()*2*float64(to-from)) // every second time, all change at once
	for now := from; now < to; now += interval {
		for i, one := range parallel {
			when := now + interval*time.Duration(i)/3
			for _, user := range users {
				if r.Float64() < changes || i == 0 && mass <= now && now < mass+interval {
					r.change(user)
				}
			}
			if r.IntN(40) > 0 && when < to && len(r.groups) > 0 { // an empty hub has no samples
				one.scrapes[start.Add(when)] = maps.Clone(r.groups)
				r.scrapes = append(r.scrapes, start.Add(when))
			}
		}
	}
}

func (r *recording) stored() stored {
	all := map[string]*series{}
	for _, one := range r.exporters {
		for when, memberships := range one.scrapes {
			for user, groups := range memberships {
				for _, group := range groups {
					safe := fmt.Sprint(when.Sub(start) / (7 * hours)) // changes now and then
					s := member(user, group, nil, append(slices.Clone(one.labels), "username_safe", safe)...)
					if before := all[s.labels.String()]; before != nil {
						s.times = before.times
					}
					s.times = append(s.times, when)
					all[s.labels.String()] = &s
				}
			}
		}
	}
	var found stored
	for _, one := range all {
		found = append(found, *one)
	}
	return found
}

// check compares what is read with each scrape. Groups that another exporter published shortly before may count, too, if it
// was scraped again, or if a gap follows.
func (r *recording) check(t *testing.T, interval time.Duration, at func(string, time.Time) ([]string, bool), users []string) {
	t.Helper()
	isLast := func(when time.Time) bool { // no exporter is scraped from when the next scrape is due until much later
		return !slices.ContainsFunc(r.scrapes, func(t time.Time) bool { return t.Sub(when) >= interval*3/2 && t.Sub(when) < 4*interval })
	}
	for _, one := range r.exporters {
		for when, memberships := range one.scrapes {
			for _, user := range users {
				must, recorded := actual(memberships[user]), memberships[user] != nil
				may := slices.Clone(must)
				for _, other := range r.exporters {
					for before, others := range other.scrapes {
						_, again := other.scrapes[before.Add(other.interval)]
						if age := when.Sub(before); other != one && 0 < age && age < interval && others[user] != nil && (again || isLast(before)) {
							may, recorded = append(may, actual(others[user])...), true
						}
					}
				}
				got, known := at(user, when)
				lacks := slices.ContainsFunc(must, func(group string) bool { return !slices.Contains(got, group) && group != "multiple" })
				exceeds := slices.ContainsFunc(got, func(group string) bool { return !slices.Contains(may, group) })
				if lacks || exceeds || known && !recorded || !known && memberships[user] != nil {
					t.Errorf("%s at %s: got %q (%v), want %q of %q", user, when.Sub(start), got, known, must, may)
				}
			}
		}
	}
}

// actual returns groups without the pseudo-groups.
func actual(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(group string) bool { return group == "none" || group == "multiple" && len(groups) > 1 })
}

// The memberships at each scrape are those that were recorded, whether samples are read or counted.
func TestReadTimelines(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := &recording{Rand: rand.New(rand.NewPCG(seed, 1)), groups: map[string][]string{}}
			users := []string{"ada", "bob", "eve", "joe", "kim", "lea"}[:2+r.IntN(5)]
			interval := []time.Duration{5 * minutes, 10 * minutes, 20 * minutes, hours}[r.IntN(4)]
			changes := []float64{0, 0.002, 0.02}[r.IntN(3)]
			end := time.Duration(0)
			for end < 30*hours {
				r.change(users[r.IntN(len(users))]) // while no exporter is scraped
				from := end + []time.Duration{interval, interval / 3, 5 * interval}[r.IntN(3)]
				end = from + time.Duration(1+r.IntN(20*60))*minutes
				r.record(interval/time.Duration(1+r.IntN(5)/4*2), from, end, users, changes) // a third of the interval now and then
			}
			var server http.RoundTripper = r.stored()
			if seed%2 == 0 {
				server = prometheus2{r.stored()}
			}
			at, err := history.ReadTimelines(t.Context(), clientOf(t, server), 1+r.IntN(200), start.Add(-hours), start, start.Add(10*hours+20*minutes+time.Duration(seed%3)*time.Millisecond), start.Add(11*hours), start.Add(end))
			if err != nil {
				t.Fatal(err)
			}
			r.check(t, interval, at, users)
		})
	}
}

// A window with a single scrape isn't empty.
func TestSingleScrapeInAWindow(t *testing.T) {
	server := stored{member("ada", "bio", []time.Time{start})}
	at, err := history.ReadTimelines(t.Context(), clientOf(t, server), 1000, start.Add(-30*minutes), start.Add(30*minutes))
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 29 * minutes} {
		if groups, known := at("ada", start.Add(after)); !known || !slices.Equal(groups, []string{"bio"}) {
			t.Errorf("after %v: got %q (%v), want bio", after, groups, known)
		}
	}
}
