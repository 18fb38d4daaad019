//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/e2e/pages"
)

// homesReader has the scopes that all verdicts need, and no right to write.
var homesReader = service{name: "homes", scopes: []string{"list:users", "read:users", "read:servers"}}

type homeRow struct {
	Name, Path, Verdict string
	Size                *int64 `json:"size_bytes"`
	Limit               *int64 `json:"limit_bytes"`
	Owners              []string
	MatchedBy           []string `json:"matched_by"`
	LastSeen            *string  `json:"last_seen"`
}

// verdicts returns the verdict and the owners of each home, by path.
func verdicts(t *testing.T, env []string, stdin string, args ...string) map[string]string {
	t.Helper()
	r := run(t, env, stdin, append([]string{"homes", "--output=json"}, args...)...)
	if r.code != 0 {
		t.Fatalf("%q: exit code %d\n%s", args, r.code, r.stderr)
	}
	all := map[string]string{}
	for _, row := range decode[[]homeRow](t, r.stdout) {
		all[row.Path] = strings.TrimSpace(row.Verdict + " " + strings.Join(row.Owners, ","))
	}
	return all
}

// Verdicts about users of real hubs who are active, were, never were, run a server, were deleted and were renamed.
func TestHomes(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		const halfAYear = 24 * 200
		people := []user{
			{Name: "active@uni.example", HoursAgo: 1}, {Name: "away", HoursAgo: halfAYear}, {Name: "running", HoursAgo: halfAYear}, {Name: "never"},
			{Name: "deleted", HoursAgo: 1}, {Name: "before", HoursAgo: 1}, {Name: "has-hyphen", HoursAgo: halfAYear}, {Name: "has-2dhyphen", HoursAgo: halfAYear},
		}
		lesser := map[string]service{}
		for name, scopes := range map[string][]string{
			"without-creation": {"list:users", "read:users:groups", "read:users:activity", "read:servers"},
			"without-activity": {"list:users", "read:users:groups"},
			"without-servers":  {"list:users", "read:users"},
			"filtered":         {"list:users!user=away", "read:users", "read:servers"},
			"one-server":       {"list:users", "read:users", "read:servers!user=running"},
		} {
			lesser[name] = service{name: name, scopes: scopes}
		}
		services := []service{homesReader}
		for _, s := range lesser {
			services = append(services, s)
		}
		h := startHub(t, version, people, services...)
		env := h.of(token(homesReader.name))
		names := []string{"active-40uni-2eexample", "away", "running", "never", "deleted", "before", "has-2dhyphen", "_shared", "lost+found", ".snapshot"}
		list := "4096\t./" + strings.Join(names, "\x00"+"4096\t./") + "\x00" + "40960\t.\x00"
		args := []string{"--directories=-", "--null"}
		h.change("DELETE", "/users/deleted", nil)
		h.change("PATCH", "/users/before", map[string]string{"name": "after"})
		report(t, "verdicts", same(map[string]string{
			"./active-40uni-2eexample": "ok active@uni.example", "./away": "stale away", "./running": "stale running", "./never": "ok never",
			"./deleted": "orphan", "./before": "orphan", "./has-2dhyphen": "ambiguous has-2dhyphen,has-hyphen",
		}, verdicts(t, env, list, args...)))

		h.change("POST", "/users/running/server", nil)
		time.Sleep(1100 * time.Millisecond)
		report(t, "everybody is inactive after a second, but for a server", same(map[string]string{
			"./active-40uni-2eexample": "stale active@uni.example", "./away": "stale away", "./running": "ok running", "./never": "stale never",
			"./deleted": "orphan", "./before": "orphan", "./has-2dhyphen": "ambiguous has-2dhyphen,has-hyphen",
		}, verdicts(t, env, list, append(args, "--inactive=1s")...)))

		for name := range lesser {
			r := run(t, h.of(token(name)), list, append([]string{"homes"}, args...)...)
			if r.code != 1 || r.stdout != "" || strings.Count(r.stderr, "\n") != 2 || !strings.Contains(r.stderr, "hint: give the token's role the scope") {
				t.Errorf("%s: exit code %d, want 1, nothing on standard output, a line and a hint\n%s%s", name, r.code, r.stdout, r.stderr)
			}
		}
		without := verdicts(t, h.of(token("without-activity")), list, append(args, "--only=orphan,ambiguous,double")...)
		report(t, "without activity", same(map[string]string{"./deleted": "orphan", "./before": "orphan", "./has-2dhyphen": "ambiguous has-2dhyphen,has-hyphen"}, without))
		h.change("DELETE", "/users/running/server", nil)
	})
}

const kubespawner7Page = "../docs/how-to/kubespawner7.md"

// homeFiles returns the content of all files below a folder, by path.
func homeFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	noError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		noError(t, err)
		files[name] = read(t, path)
		return nil
	}))
	return files
}

// The loop on the page renames homes with hostile names, there and back. It touches nothing else, replaces nothing, and
// can be interrupted and repeated.
func TestMoveHomes(t *testing.T) {
	t.Parallel()
	names := append(slices.Clone(oddUsers), "-rf", "--help", " ", "it's", "$(touch pwned)", "*", "a\nb\n", "ada@uni.example", "bob", "has-hyphen", "has-2dhyphen", "both.names", "taken.name")
	names = slices.DeleteFunc(names, func(name string) bool { return len(name) > 80 }) // an escaped name has up to three characters for each
	slices.Sort(names)
	names = slices.Compact(names)
	h := startHub(t, versions[0], peopleNamed(names...), reader)
	forms := decode[[]struct{ Username, Escape, Safe string }](t, run(t, environment(), strings.Join(names, "\x00")+"\x00", "escape", "--null", "--output=json").stdout)

	folder := t.TempDir()
	home := func(name, content string) {
		noError(t, os.MkdirAll(filepath.Join(folder, name), 0o755))
		writeFile(t, filepath.Join(folder, name, "of"), content, 0o644)
	}
	moved, moves := map[string]string{}, 0 // the files after all moves
	for _, f := range forms {
		home(f.Escape, f.Username)
		switch f.Username {
		case "has-hyphen", "has-2dhyphen", "both.names", "taken.name":
			moved[f.Escape+"/of"] = f.Username // stays
		default:
			moved[f.Safe+"/of"] = f.Username
			if f.Escape != f.Safe {
				moves++
			}
		}
		if f.Username == "both.names" {
			home(f.Safe, "another home")
			moved[f.Safe+"/of"] = "another home"
		}
		if f.Username == "taken.name" {
			writeFile(t, filepath.Join(folder, f.Safe), "a file", 0o644)
			moved[f.Safe] = "a file"
		}
	}
	for _, stray := range []string{"-rf", "a b", "it's", `quo"te`, "new\nline", "日本", "$(touch pwned)", "_shared", "lost+found", ".hidden", "*", "\xff", "gone-2euser", "trailing "} {
		home(stray, "stray")
		moved[stray+"/of"] = "stray"
	}
	before := homeFiles(t, folder)
	if len(before) != len(moved) {
		t.Fatalf("%d files before and %d after: some of the names are the same", len(before), len(moved))
	}

	env := append(h.of(token(reader.name)), "PATH="+programFolder(t)+":/usr/bin:/bin")
	blocks := blocks(t, kubespawner7Page, "sh")
	blocks = slices.DeleteFunc(blocks, func(b pages.Block) bool {
		return !strings.Contains(b.Text, "--migrate") && !strings.Contains(b.Text, "mv ")
	})
	if len(blocks) != 5 {
		t.Fatalf("%d blocks on the page, want: what changes, a list, the loop, a check, the way back", len(blocks))
	}
	plan := filepath.Join(t.TempDir(), "moves")
	shell := func(text string) string {
		t.Helper()
		text = strings.NewReplacer("cd /home\n", "", "/var/tmp/moves", plan).Replace(text)
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "set -eo pipefail\n"+text)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = folder, env, &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, &out)
		}
		return out.String()
	}
	shell(blocks[0].Text)
	shell(blocks[1].Text)
	report(t, "nothing is moved before the loop", same(before, homeFiles(t, folder)))

	// Interrupted after three moves.
	list := read(t, plan)
	pairs := strings.SplitAfter(list, "\x00")
	writeFile(t, plan, strings.Join(pairs[:6], ""), 0o644)
	shell(blocks[2].Text)
	for range 2 {
		writeFile(t, plan, list, 0o644)
		shell(blocks[2].Text)
		report(t, "the way there", same(moved, homeFiles(t, folder)))
		if text := shell(blocks[3].Text); regexp.MustCompile(`(?m) renamed( |$)`).MatchString(text) {
			t.Errorf("there is still something to rename:\n%s", text)
		}
		shell(blocks[1].Text) // from a new list
		shell(blocks[2].Text)
	}
	report(t, "the way there, again", same(moved, homeFiles(t, folder)))
	for range 2 {
		shell(blocks[4].Text)
		report(t, "the way back", same(before, homeFiles(t, folder)))
	}
	if len(pairs)-1 != 2*moves {
		t.Errorf("%d moves, want %d", (len(pairs)-1)/2, moves)
	}
}

// A real Prometheus has sizes, limits, claims and users who were deleted.
func TestHomesInPrometheus(t *testing.T) {
	onEach(t, prometheusVersions, func(t *testing.T, version string) {
		h := startHub(t, versions[0], []user{{Name: "ada@uni.example", HoursAgo: 1}, {Name: "bob", HoursAgo: 1}, {Name: "gone@uni.example", HoursAgo: 1}}, homesReader)
		env := h.of(token(homesReader.name))
		exporter, target := serve(t, env, "--namespace=prod", "--refresh-interval=1s")
		exporter.untilReady(target)
		p := &prometheus{version: version, url: freeAddress(t)}
		storage := serveText(t, `dirsize_total_size_bytes{namespace="prod",directory="ada-40uni-2eexample"} 2147483648
dirsize_total_size_bytes{namespace="prod",directory="gone-40uni-2eexample"} 1073741824
dirsize_total_size_bytes{namespace="other",directory="elsewhere"} 1
dirsize_hard_limit_bytes{namespace="prod",directory="ada-40uni-2eexample"} 4294967296
dirsize_hard_limit_bytes{namespace="prod",directory="gone-40uni-2eexample"} 0
kube_persistentvolumeclaim_annotations{namespace="prod",persistentvolumeclaim="claim-bob",annotation_hub_jupyter_org_username="bob"} 1
kube_persistentvolumeclaim_annotations{namespace="prod",persistentvolumeclaim="claim-bob--gpu",annotation_hub_jupyter_org_username="bob",annotation_hub_jupyter_org_servername="gpu"} 1
kube_persistentvolumeclaim_annotations{namespace="prod",persistentvolumeclaim="claim-gone",annotation_hub_jupyter_org_username="gone@uni.example"} 1
kube_persistentvolumeclaim_annotations{namespace="prod",persistentvolumeclaim="hub-db-dir"} 1
kube_persistentvolumeclaim_resource_requests_storage_bytes{namespace="prod",persistentvolumeclaim="claim-bob"} 10737418240
kube_persistentvolumeclaim_resource_requests_storage_bytes{namespace="prod",persistentvolumeclaim="hub-db-dir"} 1073741824
`)
		p.start(t, map[string]string{"prometheus.yml": fmt.Sprintf(
			"scrape_configs: [{job_name: all, honor_labels: true, scrape_interval: 1s, static_configs: [{targets: [%q, %q]}]}]\n",
			strings.TrimPrefix(target, "http://"), strings.TrimPrefix(storage, "http://"))})
		p.until("Prometheus has the users and the directories", time.Minute, func() error {
			got, err := p.query(`jupyterhub_user_group_info{username="gone@uni.example"} or dirsize_total_size_bytes{directory="gone-40uni-2eexample"}`)
			if err == nil && len(got) != 2 {
				err = fmt.Errorf("%d series", len(got))
			}
			return err
		})
		h.change("DELETE", "/users/gone@uni.example", nil)

		args := []string{"--prometheus-url=" + p.url, "--namespace=prod"}
		report(t, "verdicts", same(map[string]string{
			"ada-40uni-2eexample": "ok ada@uni.example", "gone-40uni-2eexample": "orphan gone@uni.example",
			"claim-bob": "ok bob", "claim-bob--gpu": "ok bob", "claim-gone": "orphan gone@uni.example",
		}, verdicts(t, env, "", args...)))
		for _, row := range decode[[]homeRow](t, succeed(t, env, append([]string{"homes", "--output=json"}, args...)...)) {
			if (row.LastSeen != nil) != (row.Verdict == "orphan") {
				t.Errorf("%s: last seen %v", row.Name, row.LastSeen)
			}
		}
		report(t, "a list says what there is", same(map[string]string{
			"./ada-40uni-2eexample": "ok ada@uni.example", "claim-bob": "ok bob", "claim-bob--gpu": "ok bob", "claim-gone": "orphan gone@uni.example",
		}, verdicts(t, env, "./ada-40uni-2eexample\n", append(args, "--directories=-")...)))
		csv := succeed(t, env, append([]string{"homes", "--output=csv", "--larger=1GiB"}, args...)...)
		want := []string{"claim,claim-bob,claim-bob,10737418240,10737418240,bob,annotation,", "directory,ada-40uni-2eexample,ada-40uni-2eexample,2147483648,4294967296,ada@uni.example,escape,"}
		lines := strings.Split(strings.TrimSpace(csv), "\n")[1:]
		if len(lines) != len(want) || !strings.HasPrefix(lines[0], want[0]) || !strings.HasPrefix(lines[1], want[1]) {
			t.Errorf("got\n%s\nwant lines that begin with %q", csv, want)
		}
		for _, missing := range [][]string{{"--namespace=elsewhere"}, {"--namespace=prod", `--prometheus-matcher=job="none"`}} {
			r := run(t, env, "", append([]string{"homes", "--prometheus-url=" + p.url}, missing...)...)
			if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "Prometheus has no home directories or claims") {
				t.Errorf("%q: exit code %d, want 1\n%s%s", missing, r.code, r.stdout, r.stderr)
			}
		}
	})
}

// serveText serves a text at every path, and returns the address.
func serveText(t *testing.T, text string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
