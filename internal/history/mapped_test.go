package history_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/report"
)

func mapOf(t *testing.T, text string) *groupmap.Map {
	t.Helper()
	m, err := groupmap.Parse([]byte(text), membership.Rules{NoneName: "none", MultipleName: "multiple"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// switching is a Prometheus in which an exporter began to publish other groups after two days.
type switching struct{ before, after http.RoundTripper }

func (s switching) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	seconds, _ := strconv.ParseFloat(r.Form.Get("time"), 64)
	if at := time.Unix(int64(seconds), 0); at.After(time.Date(2026, 10, 3, 1, 0, 0, 0, time.UTC)) {
		return s.after.RoundTrip(r)
	}
	return s.before.RoundTrip(r)
}

// byGroups returns the memory of users who were in the same groups, and of those whose groups aren't known.
func byGroups(result *history.Result) map[string]float64 {
	sums := map[string]float64{}
	for _, use := range result.Uses[0].Uses {
		key := strings.Join(use.Groups, "+")
		if use.Kind != report.Known {
			key = use.Kind.String()
		}
		sums[key] += use.Amounts[report.Memory]
	}
	return sums
}

// The map corrects recorded memberships: those that were recorded before serve had a map, those of serve with this map,
// and a month that has both.
func TestGroupMap(t *testing.T) {
	recorded, mapped := map[string][]string{}, map[string][]string{}
	for i := range 60 {
		user := fmt.Sprintf("user-%d", i)
		switch i % 4 {
		case 0:
			recorded[user], mapped[user] = []string{fmt.Sprintf("chem-%d", i), "chem-x", "bio"}, []string{"bio", "chem"}
		case 1:
			recorded[user], mapped[user] = []string{"query-1"}, []string{"alone"}
		case 2:
			recorded[user], mapped[user] = []string{"none"}, []string{"alone"}
		default:
			recorded[user], mapped[user] = []string{"multiple"}, []string{"multiple"}
		}
	}
	m := mapOf(t, `{groups: [{match: 'chem-.*', name: chem}, {match: 'query-.*', drop: true}, {property: code}], users: [{match: 'user-.*', group: alone}]}`)
	before, after := fakeprometheus.New("hub", recorded), fakeprometheus.New("hub", mapped)
	want := byGroups(read(t, after, 4))
	for what, server := range map[string]http.RoundTripper{"without a map": before, "with the map": after, "with the map since the third day": switching{before, after}} {
		result, err := readMapped(t, server, 4, m)
		if err != nil {
			t.Errorf("recorded %s: %v", what, err)
			continue
		}
		got := byGroups(result)
		for groups, memory := range want {
			if math.Abs(got[groups]-memory) > 1e-6*memory {
				t.Errorf("recorded %s: got %v GiB hours of %q, want %v", what, got[groups], groups, memory)
			}
		}
		if len(got) != len(want) {
			t.Errorf("recorded %s: -want +got:\n%s", what, cmp.Diff(want, got))
		}
		if !slices.ContainsFunc(result.Notes, func(note string) bool { return strings.Contains(note, "properties of groups") }) {
			t.Errorf("recorded %s: no note on properties in %q", what, result.Notes)
		}
	}
}

// A group that exists beside those that are mapped to its name is an error, unless the map merges them.
func TestGroupMapConflict(t *testing.T) {
	server := fakeprometheus.New("hub", map[string][]string{"ada": {"chem-1"}, "bob": {"chem"}})
	_, err := readMapped(t, server, 2, mapOf(t, "groups:\n- {match: 'chem-.*', name: chem}"))
	const want = `the group map doesn't fit the memberships that were recorded for hub: line 2: "chem" is also a group that no line maps: choose another name, or set merge: true`
	if _, ok := errors.AsType[*groupmap.Error](err); !ok || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	result, err := readMapped(t, server, 2, mapOf(t, "groups: [{match: 'chem-.*', name: chem, merge: true}]"))
	if err != nil {
		t.Fatal(err)
	}
	if got := byGroups(result); len(got) > 2 || got["chem"] == 0 {
		t.Errorf("got memory by group %v, want that of chem", got)
	}
	if _, err = readMapped(t, server, 1, mapOf(t, "groups: [{match: 'chem-.*', name: x}, {match: x, name: y}]")); err == nil || !strings.Contains(err.Error(), `it makes "x", and line 1 changes that name again`) {
		t.Errorf("got %v, want an error about x", err)
	}
}
