package metrics_test

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// Names with any characters come back from Prometheus' parser unchanged.
func FuzzLabels(f *testing.F) {
	for _, seed := range []string{"", "ada", `q"uote`, `back\slash`, `trailing\`, "new\nline", "\r\n", "tab\t", "日本 🦉", `{a="b"} 1`, "# EOF", "\x00", "\u2028", "é\\n", `\n`, `\"`, "a,b", "# HELP x", "trailing "} {
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, namespace, group, user string) {
		if !utf8.ValidString(namespace) || !utf8.ValidString(group) || !utf8.ValidString(user) {
			return // neither JSON nor labels can contain it
		}
		snapshot := membership.New(namespace, membership.NewListing(time.Now(), membership.User{Name: user, Groups: []string{group}}), membership.Rules{})
		page := text(t, metrics.Options{UserInfo: true, Share: true}, snapshot)
		parser := textparse.NewPromParser([]byte(page), labels.NewSymbolTable(), false)
		var seen []string
		for {
			entry, err := parser.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, page)
			}
			if entry != textparse.EntrySeries {
				continue
			}
			var series labels.Labels
			parser.Labels(&series)
			seen = append(seen, series.Get("__name__"))
			if series.Get("namespace") != namespace ||
				series.Has("username") && series.Get("username") != user ||
				series.Has("usergroup") && series.Get("usergroup") != cmp.Or(group, membership.EmptyName) {
				t.Errorf("%q, %q and %q: parsed as %s", namespace, group, user, series)
			}
		}
		want := []string{"jupyterhub_group_members", "jupyterhub_user_group_info", "jupyterhub_user_group_share", "jupyterhub_user_info"}
		if !slices.Equal(seen, want) {
			t.Errorf("got the series %q, want %q in\n%s", seen, want, page)
		}
	})
}
