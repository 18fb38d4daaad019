package homes_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

func template(t *testing.T, text string) owner.Template {
	t.Helper()
	parsed, err := owner.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestMigrate(t *testing.T) {
	users := []membership.User{active("ada@uni.example"), active("has-hyphen"), active("has-2dhyphen"), active("two.homes"), active("bob"), active("a.b")}
	for _, c := range []struct {
		name, template string
		from, to       owner.Scheme
		list           []string
		want           []string
	}{
		{
			"to safe", "{username}", owner.Escape, owner.Safe,
			[]string{"/home/ada-40uni-2eexample", "/home/bob", "/home/two-2ehomes", "/home/two-homes---3552487c", "/home/gone", "/home/has-2dhyphen", "/home/has-2d2dhyphen", "/home/has-hyphen"},
			[]string{
				"renamed /home/ada-uni-example---5b41514d", "same /home/bob", "exists /home/two-homes---3552487c", "same /home/two-homes---3552487c", "orphan",
				"collides with has-2dhyphen, has-hyphen", "collides /home/has-2dhyphen with has-hyphen", "same /home/has-hyphen",
			},
		},
		{
			"to escape", "{username}", owner.Safe, owner.Escape,
			[]string{"ada-uni-example---5b41514d", "bob", "ada-40uni-2eexample", "has-hyphen", "has-2d2dhyphen"},
			[]string{"exists ada-40uni-2eexample", "same bob", "same ada-40uni-2eexample", "collides has-2dhyphen with has-2dhyphen", "same has-2d2dhyphen"},
		},
		{"what exists in another folder", "{username}", owner.Escape, owner.Safe,
			[]string{"/a/two-2ehomes", "/b/two-homes---3552487c"}, []string{"renamed /a/two-homes---3552487c", "same /b/two-homes---3552487c"}},
		{"a template with a path", "home/{username}", owner.Escape, owner.Safe, []string{"/data/home/a-2eb"}, []string{"renamed /data/home/" + slug.Safe("a.b")}},
		{"a template with a text", "home-{username}-x", owner.Escape, owner.Safe, []string{"home-a-2eb-x", "a-2eb"}, []string{"renamed home-" + slug.Safe("a.b") + "-x", "orphan"}},
		{"a template with one scheme", "{escaped_username}", owner.Escape, owner.Safe, []string{"a-2eb"}, []string{"same a-2eb"}},
		{"named servers", "{user_server}", owner.Escape, owner.Safe, []string{"a-2eb--gpu", "a-2eb"}, []string{"renamed " + slug.SafeUserServer("a.b", "gpu"), "renamed " + slug.Safe("a.b")}},
		{"a server whose name isn't known", "{user_server}", owner.Safe, owner.Escape, []string{slug.SafeUserServer("a.b", "GPU Box")}, []string{"collides"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []homes.Home
			for _, path := range c.list {
				list = append(list, directory(path))
			}
			var got []string
			for _, m := range homes.Migrate(list, users, template(t, c.template), c.from, c.to) {
				text := strings.TrimSpace(string(m.Status) + " " + m.NewPath)
				if len(m.With) > 0 {
					text += " with " + strings.Join(m.With, ", ")
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Whatever subset of the moves has been done, and in whatever order, no home gets a name that means another user, none
// replaces another one, and all get their old names
// back.
func TestMovesAreSafe(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	plain := template(t, "{username}")
	for range 500 {
		var users []membership.User
		for _, name := range hostileNames(random, 12) {
			users = append(users, active(name))
		}
		disk := map[string]string{} // by name, the user who has put data there
		for _, u := range users {
			name := slug.Escape(u.Name)
			if random.IntN(4) == 0 {
				name = slug.Safe(u.Name)
			}
			if random.IntN(4) > 0 && disk[name] == "" {
				disk[name] = u.Name
			}
			if other := slug.Safe(u.Name); random.IntN(8) == 0 && disk[other] == "" {
				disk[other] = u.Name // has both
			}
		}
		before := maps.Clone(disk)
		for range 3 { // each time, only some of the moves are done
			move(t, random, users, disk, plain, owner.Escape, owner.Safe, 2)
		}
		move(t, random, users, disk, plain, owner.Escape, owner.Safe, 1)
		for name, user := range disk {
			if name != slug.Escape(user) && name != slug.Safe(user) {
				t.Fatalf("%q has the data of %q", name, user)
			}
		}
		move(t, random, users, disk, plain, owner.Safe, owner.Escape, 1)
		for name, user := range before {
			if name == slug.Escape(user) && disk[name] != user || len(disk) != len(before) {
				t.Fatalf("there and back:\n%q\n%q", before, disk)
			}
		}
	}
}

// hostileNames returns random names, many of which are forms of others.
func hostileNames(random *rand.Rand, n int) []string {
	pieces := []string{"a", "b", "-", ".", "2d", "2e", "A", "---", "ü", "\n", "\x01", "0", " ", "'"}
	var names []string
	for len(names) < n {
		var text strings.Builder
		for range 1 + random.IntN(4) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		name := text.String()
		if kind := random.IntN(5); len(names) > 0 && kind < 2 {
			form := []func(string) string{slug.Escape, slug.Safe}[kind]
			name = form(names[random.IntN(len(names))])
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// move does one of every few moves, in random order.
func move(t *testing.T, random *rand.Rand, users []membership.User, disk map[string]string, plain owner.Template, from, to owner.Scheme, oneOf int) {
	t.Helper()
	var list []homes.Home
	for name := range disk {
		list = append(list, directory(name))
	}
	moves := homes.Migrate(list, users, plain, from, to)
	random.Shuffle(len(moves), func(i, j int) { moves[i], moves[j] = moves[j], moves[i] })
	for _, m := range moves {
		if m.Status != homes.Renamed || random.IntN(oneOf) > 0 {
			continue
		}
		if disk[m.NewPath] != "" {
			t.Fatalf("%q would replace the home of %q", m.Path, disk[m.NewPath])
		}
		if disk[m.Path] != m.User {
			t.Fatalf("%q is said to be of %q, and has the data of %q", m.Path, m.User, disk[m.Path])
		}
		disk[m.NewPath] = disk[m.Path]
		delete(disk, m.Path)
	}
}

// With 100,000 homes and users, judging takes ten times as long as with 10,000, more or less.
func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var users []membership.User
			var list []homes.Home
			for i := range n {
				users = append(users, active(fmt.Sprintf("user.%d@uni.example", i)))
				list = append(list, directory(slug.Safe(fmt.Sprintf("user.%d@uni.example", 2*i))))
			}
			for b.Loop() {
				if _, err := homes.Judge(list, homes.Hub{Users: users, Templates: owner.DefaultTemplates()}, ago(180)); err != nil {
					b.Fatal(err)
				}
				homes.Migrate(list, users, owner.DefaultTemplates().Directories[0], owner.Escape, owner.Safe)
			}
		})
	}
}
