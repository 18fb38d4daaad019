package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
	"github.com/groups-exporter/groups-exporter/internal/history"
)

// changedPrometheus starts a Prometheus in which memberships changed at noon on 2026-10-10.
func changedPrometheus(t *testing.T, before, after map[string][]string) (address string) {
	t.Helper()
	changed := time.Date(2026, 10, 10, 12, 0, 0, 0, time.UTC)
	old, current := fakeprometheus.New("prod", before), fakeprometheus.New("prod", after)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		seconds, err := strconv.ParseFloat(r.Form.Get("time"), 64)
		if err == nil && time.UnixMilli(int64(seconds*1000)).Before(changed) {
			old.ServeHTTP(w, r)
			return
		}
		current.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// groupsOf runs groups.
func groupsOf(t *testing.T, getenv func(string) string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"groups"}, args...), getenv, nil, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func emptyEnvironment(string) string { return "" }

// groups shows the memberships of a time in the past, and changes, without a hub and in every form.
func TestGroupsInThePast(t *testing.T) {
	address := changedPrometheus(t,
		map[string][]string{"ada": {"bio-2"}, "bob": {"bio-2", "chem"}, "dan": {"none"}, "eve": {"bio-10"}, "gone": {"chem"}, "mia": {"multiple"}, "max": {"multiple"}},
		map[string][]string{"ada": {"bio-2", "bio-10"}, "bob": {"bio-2", "chem"}, "dan": {"chem"}, "eve": {"none"}, "new": {"chem"}, "mia": {"multiple"}, "max": {"chem"}})
	const several = "groups-exporter: the changes of 2 users are left out, because their groups weren't recorded, only \"multiple\" (to include it, use --multi-group multiple)\n"
	for _, c := range []struct{ args, out, errOut string }{
		{"--at 2026-10-09 -o csv", "group,username\nbio-10,eve\nbio-2,ada\nbio-2,bob\nchem,bob\nchem,gone\nmultiple,max\nmultiple,mia\nnone,dan\n", "groups-exporter: the groups of 2 users weren't recorded, only \"multiple\", because serve has --multi-group multiple\n"},
		{"--at 2026-10-12T08:30 --timezone Asia/Tokyo --user ada --user dan", `GROUP   MEMBERS  USERS
bio-2         1  ada
bio-10        1  ada
chem          1  dan

3 groups, 2 users in prod at 2026-10-12 08:30 JST
`, "groups-exporter: the groups of 1 user weren't recorded, only \"multiple\", because serve has --multi-group multiple\n"},
		{"--at 2026-10-12T08:30:00+02:00 --by user --group chem", "USER  GROUPS\nbob   chem\ndan   chem\nmax   chem\nnew   chem\n\n1 group, 4 users in prod at 2026-10-12 06:30 UTC\n", "groups-exporter: the groups of 1 user weren't recorded, only \"multiple\", because serve has --multi-group multiple\n"},
		{"--at 2026-10-09 --allow-group chem -o csv", "group,username\nchem,bob\nchem,gone\nmultiple,max\nmultiple,mia\nnone,ada\nnone,dan\nnone,eve\n", "groups-exporter: the groups of 2 users weren't recorded, only \"multiple\", because serve has --multi-group multiple\n"},
		{"--at 2026-10-09 --deny-group m* --deny-group bio-* -o csv", "group,username\nchem,bob\nchem,gone\nmultiple,max\nmultiple,mia\nnone,ada\nnone,dan\nnone,eve\n", "groups-exporter: the groups of 2 users weren't recorded, only \"multiple\", because serve has --multi-group multiple\n"},
		{"--at 2026-10-09 --multi-group multiple --user bob --user mia -o csv", "group,username\nmultiple,bob\nmultiple,mia\n", "groups-exporter: the groups of 2 users weren't recorded, only \"multiple\", because serve has --multi-group multiple\n"},
		{"--diff 2026-10-09 --at 2026-10-12", `GROUP   CHANGE  COUNT  USERS
bio-10  joined      1  ada
bio-10  left        1  eve
chem    joined      2  dan, new
chem    left        1  gone
none    joined      1  eve
none    left        1  dan

2 groups, 5 users changed in prod from 2026-10-09 00:00 UTC to 2026-10-12 00:00 UTC
`, several},
		{"--diff 2026-10-09 --at 2026-10-12 --by user --group bio-* -o wide", `USER  CHANGE  COUNT  GROUPS
ada   joined      1  bio-10
eve   left        1  bio-10

1 group, 2 users changed in prod from 2026-10-09 00:00 UTC to 2026-10-12 00:00 UTC
`, several},
		{"--diff 2026-10-09 --at 2026-10-12 -o csv", "group,username,change\nbio-10,ada,joined\nbio-10,eve,left\nchem,dan,joined\nchem,gone,left\nchem,new,joined\nnone,dan,left\nnone,eve,joined\n", several},
		{"--diff 2026-10-09 --at 2026-10-12 --by user --user dan -o tsv", "username\tgroup\tchange\ndan\tchem\tjoined\ndan\tnone\tleft\n", several},
		{"--diff 2026-10-09 --at 2026-10-12 --by user --user dan --user ada -o yaml", `- username: ada
  joined:
    - bio-10
  left: []
- username: dan
  joined:
    - chem
  left:
    - none
`, several},
		{"--diff 2026-10-09 --at 2026-10-12 --group chem -o json", `[
  {
    "group": "chem",
    "joined": [
      "dan",
      "new"
    ],
    "left": [
      "gone"
    ]
  }
]
`, several},
		{"--diff 2026-10-09 --at 2026-10-12 --group chem -o markdown", "| GROUP  | CHANGE | COUNT | USERS        |\n|:-------|:-------|------:|:-------------|\n| `chem` | joined |     2 | `dan`, `new` |\n| `chem` | left   |     1 | `gone`       |\n", several},
		{"--diff 2026-10-09 --at 2026-10-12 --multi-group multiple --user m* -o csv", "group,username,change\nchem,max,joined\nmultiple,max,left\n", ""},
		{"--diff 2026-10-11 --at 2026-10-12 --user ada -o json", "[]\n", "groups-exporter: the changes of 1 user are left out, because their groups weren't recorded, only \"multiple\" (to include it, use --multi-group multiple)\n"},
		{"--diff 2026-10-09 --at 2026-10-12 --group physics -o csv", "group,username,change\n", several + "groups-exporter: \"physics\" matches no group\n"},
	} {
		code, out, errOut := groupsOf(t, emptyEnvironment, append([]string{"--prometheus-url", address}, strings.Fields(c.args)...)...)
		if code != exitOK || out != c.out || errOut != c.errOut {
			t.Errorf("%s: got exit code %d, error %q and output\n%s\nwant error %q and output\n%s", c.args, code, errOut, out, c.errOut, c.out)
		}
	}
}

// Without --at, groups --diff compares with the hub.
func TestGroupsDiffWithHub(t *testing.T) {
	recorded := map[string][]string{"ada": {"bio"}, "bob": {"bio", "chem"}, "eve": {"none"}}
	address := changedPrometheus(t, recorded, recorded)
	environment := hubWith(t, fakehub.User{Name: "ada", Groups: []string{"bio", "chem"}}, fakehub.User{Name: "bob", Groups: []string{"chem"}}, fakehub.User{Name: "new"})
	code, out, errOut := groupsOf(t, environment, "--prometheus-url", address, "--diff", "2026-10-09", "--namespace", "prod", "-o", "csv")
	if want := "group,username,change\nbio,bob,left\nchem,ada,joined\nnone,eve,left\nnone,new,joined\n"; code != exitOK || out != want || errOut != "" {
		t.Errorf("got exit code %d, error %q and output\n%s\nwant\n%s", code, errOut, out, want)
	}
	code, _, errOut = groupsOf(t, hubWith(t, fakehub.User{Name: "zoe"}), "--prometheus-url", address, "--diff", "2026-10-09", "--namespace", "prod")
	if want := `the memberships of "prod" at the two times have no user in common: are they of the same hub (--namespace, --prometheus-matcher)?`; code != exitOK || !strings.Contains(errOut, want) {
		t.Errorf("another hub: got exit code %d and error %q, want %q", code, errOut, want)
	}
	code, out, errOut = groupsOf(t, emptyEnvironment, "--prometheus-url", address, "--diff", "2026-10-09")
	if code != exitUsage || out != "" || !strings.Contains(errOut, "no hub is configured") {
		t.Errorf("without a hub: got exit code %d, output %q and error %q", code, out, errOut)
	}
}

// What was recorded is compared by the properties that the groups have now, whether serve had the group map at that time
// or not.
func TestGroupsDiffWithProperties(t *testing.T) {
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada", Groups: []string{"bio"}}, fakehub.User{Name: "bob", Groups: []string{"chem"}})
	h.SetProperties("bio", map[string]any{"billing_code": "GEO-7"})
	h.Grant("x", "list:users", "read:users:groups", "list:groups", "read:groups")
	file := filepath.Join(t.TempDir(), "map.yaml")
	if err := os.WriteFile(file, []byte("groups: [{property: billing_code}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"bio", "GEO-7"} {
		recorded := map[string][]string{"ada": {group}, "bob": {group}}
		args := []string{"--prometheus-url", changedPrometheus(t, recorded, recorded), "--group-map", file, "--namespace", "prod", "-o", "csv", "--diff", "2026-10-09"}
		code, out, errOut := groupsOf(t, environmentOf(t, h), args...)
		if want := "group,username,change\nGEO-7,bob,left\nchem,bob,joined\n"; code != exitOK || out != want || errOut != "" {
			t.Errorf("%s: got exit code %d, error %q and output\n%s\nwant\n%s", group, code, errOut, out, want)
		}
		code, out, errOut = groupsOf(t, environmentOf(t, h), append(args, "--at", "2026-10-10")...)
		if code != exitOK || out != "group,username,change\n" || !strings.Contains(errOut, history.NoProperties) {
			t.Errorf("%s, until a time in the past: got exit code %d, error %q and output\n%s", group, code, errOut, out)
		}
	}
}

// If Prometheus fails, or its answer may be incomplete, groups prints nothing.
func TestGroupsInThePastFails(t *testing.T) {
	const empty = `{"status":"success","data":{"resultType":"vector","result":[]}`
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request) bool
		want  string
	}{
		"401":         {status(http.StatusUnauthorized), "hint: set the credentials in --prometheus.config.file"},
		"page":        {answers("", "<!DOCTYPE html><title>Log in</title>"), "doesn't answer like a Prometheus"},
		"warning":     {answers("count_over_time(jupyterhub_user_group_info", empty+`,"warnings":["a store didn't answer"]}`), "may be incomplete: a store didn't answer"},
		"isPartial":   {answers("groups_exporter_hub_partial", empty+`,"isPartial":true}`), "may be incomplete"},
		"nothing":     {answers("jupyterhub_user_group_info", empty+"}"), `Prometheus has no memberships (jupyterhub_user_group_info) at 2026-10-09T00:00:00Z` + "\ngroups-exporter: hint: check that Prometheus scrapes"},
		"other hub":   {noFault, "hint: check that Prometheus scrapes 'groups-exporter serve' with honor_labels, and that --namespace is that of the hub"},
		"partial hub": {partialHub, "the exporter's token saw only part of the hub at 2026-10-09 00:00 UTC\n"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--prometheus-url", samplePrometheus(t, c.fault), "--at", "2026-10-09", "--require-whole-hub"}
			if name == "other hub" {
				args[1] = samplePrometheus(t, answers(`namespace="other"`, empty+"}"))
				args = append(args, "--namespace", "other")
			}
			for _, more := range [][]string{nil, {"--diff", "2026-10-08"}} {
				code, out, errOut := groupsOf(t, emptyEnvironment, append(args, more...)...)
				if code != exitFailure || out != "" || !strings.Contains(strings.ReplaceAll(errOut, "2026-10-08", "2026-10-09"), c.want) {
					t.Errorf("%v: got exit code %d, output %q and error %q, want no output and an error with %q", more, code, out, errOut, c.want)
				}
			}
		})
	}
	code, out, errOut := groupsOf(t, emptyEnvironment, "--prometheus-url", samplePrometheus(t, partialHub), "--at", "2026-10-09", "-o", "csv")
	if code != exitOK || strings.Count(out, "\n") != 13 || !strings.Contains(errOut, "the exporter's token saw only part of the hub at 2026-10-09 00:00 UTC, so users and memberships may be missing (--require-whole-hub makes this an error)") {
		t.Errorf("of a part of the hub: got exit code %d, output %q and error %q", code, out, errOut)
	}
}

// partialHub answers that the exporter's token covered only a part of the hub.
func partialHub(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.Form.Get("query"), "groups_exporter_hub_partial") {
		return false
	}
	io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"namespace":"prod"},"values":[[1,"0"],[2,"1"]]}]}}`)
	return true
}
