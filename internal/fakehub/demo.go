package fakehub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// Demo is the hub of a made-up university. Users and changes depend only on the seed.
type Demo struct {
	Hub
	random *rand.Rand
	taken  map[string]bool // all names so far, also of deleted users
}

// demoGroups returns the names of courses and labs.
func demoGroups() []string {
	return []string{
		"astronomy-201", "bio-lab", "chem-101", "climate-lab", "cs-341", "data-8", "économie",
		"gpu-users", "hydrology", "Linguistics, 2nd year", "physics/theory", "staff",
	}
}

func demoNames() (first, last []string) {
	return []string{
			"ada", "aiko", "alan", "amara", "ana", "bao", "björn", "chen", "chloé", "daria", "diego", "elif",
			"emeka", "esther", "fatima", "george", "grace", "hana", "ibrahim", "ines", "jan", "julia", "kofi",
			"lars", "leila", "liam", "linus", "mei", "miguel", "mira", "noor", "olga", "paulo", "priya", "rosa",
			"samir", "sofia", "tariq", "tomás", "yuki", "zoë", "юлия",
		}, []string{
			"abe", "achebe", "andersson", "bauer", "borg", "costa", "diaz", "dubois", "evans", "fischer", "garcía",
			"haddad", "ito", "jensen", "kaya", "kim", "kovács", "lind", "mensah", "müller", "nguyen", "novak",
			"o'brien", "okafor", "patel", "rossi", "sato", "silva", "smith", "tanaka", "wang", "yılmaz",
		}
}

// NewDemo returns a hub with the given number of users. The token can read everything.
func NewDemo(seed uint64, users int, token string, now time.Time) *Demo {
	d := &Demo{random: rand.New(rand.NewPCG(seed, seed)), taken: map[string]bool{}}
	d.Grant(token, scopes.ListUsers, scopes.ReadUserGroups, scopes.ReadUserActivity, scopes.ReadServers, scopes.ReadUsers, scopes.ListGroups)
	d.AddGroups(demoGroups()...)
	d.AddGroups("seminar-2027") // has no members
	d.Update(func([]User) []User {
		var all []User
		for range users {
			all = append(all, d.person(now))
		}
		return all
	})
	return d
}

// Change makes one random change: a user joins or leaves a group, is created or is deleted. It returns a description.
func (d *Demo) Change(now time.Time) string {
	var what string
	d.Update(func(users []User) []User {
		users = slices.Clone(users)
		at := d.random.IntN(len(users))
		u := users[at]
		group := pick(d.random, demoGroups())
		switch kind := d.random.IntN(6); {
		case kind == 0:
			newcomer := d.person(now)
			what = newcomer.Name + " is new"
			return append(users, newcomer)
		case kind == 1 && len(users) > 100:
			what = u.Name + " is gone"
			return slices.Delete(users, at, at+1)
		case slices.Contains(u.Groups, group):
			what = fmt.Sprintf("%s left %s", u.Name, group)
			u.Groups = slices.DeleteFunc(slices.Clone(u.Groups), func(g string) bool { return g == group })
		default:
			what = fmt.Sprintf("%s joined %s", u.Name, group)
			u.Groups = append(slices.Clone(u.Groups), group)
		}
		u.LastActivity = now
		users[at] = u
		return users
	})
	return what
}

// person returns a new user with random groups and activity.
func (d *Demo) person(now time.Time) User {
	u := User{Name: d.newName(), Groups: []string{}, Created: now.AddDate(-1, 0, 0)}
	for range pick(d.random, []int{0, 1, 1, 1, 1, 2, 2, 3}) {
		if group := pick(d.random, demoGroups()); !slices.Contains(u.Groups, group) {
			u.Groups = append(u.Groups, group)
		}
	}
	// One user in ten has never logged in. Users who were active in the last 12 hours have a running server.
	if d.random.IntN(10) > 0 {
		away := time.Duration(d.random.ExpFloat64() * float64(8*24*time.Hour))
		u.LastActivity = now.Add(-away)
		if away < 12*time.Hour {
			u.Servers = map[string]bool{"": true}
		}
	}
	return u
}

// newName returns an unused name in one of the styles of common authenticators: an e-mail address, lower case, with a
// capital letter, or with a number.
func (d *Demo) newName() string {
	first, last := demoNames()
	for {
		f, l := pick(d.random, first), pick(d.random, last)
		initial := string([]rune(f)[0])
		name := pick(d.random, []string{
			f + "." + l + "@university.example",
			f + "-" + l,
			strings.ToUpper(initial) + strings.TrimPrefix(f, initial) + "_" + l,
			fmt.Sprintf("%s%s%d", initial, l, d.random.IntN(1000)),
		})
		if !d.taken[name] {
			d.taken[name] = true
			return name
		}
	}
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }
