package history_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// answering is a Prometheus that answers with the data that it returns for a request.
type answering func(r *http.Request) string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	fmt.Fprintf(w, `{"status": "success", "data": %s}`, a(r))
	return w.Result(), nil
}

// recorded returns the memberships of a year that a server answers with.
func recorded(t *testing.T, server answering) *history.Recorded {
	t.Helper()
	now := time.Date(2026, 8, 20, 15, 4, 5, 0, time.UTC)
	return history.NewRecorded(clientOf(t, server), promql.Queries{Hubs: []string{promql.Is("namespace", "hub")}}, now.AddDate(-1, 0, 0), now)
}

func TestRecordedUsers(t *testing.T) {
	var form url.Values
	r := recorded(t, func(r *http.Request) string { form = r.Form; return `["bob", "", "ada"]` })
	got, err := r.Users(t.Context())
	if err != nil || !slices.Equal(got, []string{"ada", "bob"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if diff := cmp.Diff([]string{`jupyterhub_user_group_info{namespace="hub"}`}, form["match[]"]); diff != "" {
		t.Error(diff)
	}
	if form.Get("start") != "1755702245" { // 2025-08-20
		t.Errorf("start: got %s", form.Get("start"))
	}
}

func TestLastSeen(t *testing.T) {
	var form url.Values
	r := recorded(t, func(r *http.Request) string {
		form = r.Form
		at := func(day int) int64 { return time.Date(2026, 8, day, 0, 0, 0, 0, time.UTC).Unix() }
		return fmt.Sprintf(`{"resultType": "matrix", "result": [
			{"metric": {"username": "a.b"}, "values": [[%d, "1"], [%d, "1"]]},
			{"metric": {"username": "ada"}, "values": [[%d, "1"]]}]}`, at(14), at(15), at(21))
	})
	got, err := r.LastSeen(t.Context(), []string{"a.b", "ada", "bob"})
	want := map[string]time.Time{"a.b": time.Date(2026, 8, 14, 0, 0, 0, 0, time.UTC), "ada": time.Date(2026, 8, 20, 0, 0, 0, 0, time.UTC)}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if want := `group by (username) (present_over_time(jupyterhub_user_group_info{namespace="hub",username=~"a\\.b|ada|bob"}[1d]))`; form.Get("query") != want {
		t.Errorf("got %s, want %s", form.Get("query"), want)
	}
	if end, step := form.Get("end"), form.Get("step"); end != "1787270400" || step != "86400" { // 2026-08-21, so that today counts
		t.Errorf("end %s, step %s", end, step)
	}
}

// Many users are queried in several parts.
func TestLastSeenOfMany(t *testing.T) {
	users, asked := slices.Sorted(maps.Keys(memberships(250))), 0
	r := recorded(t, func(r *http.Request) string {
		asked += strings.Count(r.Form.Get("query"), "user-")
		return `{"resultType": "matrix", "result": []}`
	})
	if got, err := r.LastSeen(t.Context(), users); err != nil || len(got) != 0 || asked != len(users) {
		t.Errorf("got %v, %v after asking for %d users, want nobody after %d", got, err, asked, len(users))
	}
}
