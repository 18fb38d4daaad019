package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

const (
	namespace = "bench"
	token     = "bench"
)

// size is how many series a data set gives, or how many users it has.
type size struct{ series, users int }

// campus is a data set. The same seed and size give the same one, in every process.
type campus struct {
	users  []fakehub.User
	groups []string
}

// newCampus makes users with 2.7 groups on average, a tenth of them in none: a few
// large courses and many small ones.
func newCampus(seed uint64, s size) campus {
	random := rand.New(rand.NewPCG(seed, 1))
	var c campus
	for i := range 12 + max(s.series, 3*s.users)/500 {
		c.groups = append(c.groups, fmt.Sprintf("%s-%d", pick(random, "astronomy", "bio-lab", "chem", "climate", "cs", "data", "économie", "hydrology", "physics/lab"), 101+i))
	}
	first := strings.Fields("ada aiko alan amara ana bao björn chen chloé daria diego elif emeka esther fatima george grace hana ibrahim ines jan julia kofi lars leila liam mei miguel mira noor olga paulo priya rosa samir sofia tariq tomás yuki zoë")
	last := strings.Fields("abe achebe andersson bauer borg costa diaz dubois evans fischer garcía haddad ito jensen kaya kim kovács lind mensah müller nguyen novak o'brien okafor patel rossi sato silva smith tanaka wang yılmaz")
	// Each group has a series with its members, and so has the pseudo-group of those in none.
	series := len(c.groups) + 1
	for (s.series == 0 || series < s.series) && (s.users == 0 || len(c.users) < s.users) {
		f, l := pick(random, first...), pick(random, last...)
		number := len(c.users)*7 + random.IntN(7) // so that no two are the same
		name := pick(random,
			fmt.Sprintf("%s.%s%d@university.example", f, l, number),
			fmt.Sprintf("%s-%s-%d", f, l, number),
			fmt.Sprintf("%c%s%d", []rune(f)[0], l, number),
			fmt.Sprintf("%s_%s_%d", strings.ToUpper(f), l, number))
		u := fakehub.User{Name: name}
		n := pick(random, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6)
		if s.series > 0 {
			n = min(n, s.series-series)
		}
		for len(u.Groups) < n {
			group := c.groups[int(float64(len(c.groups))*random.Float64()*random.Float64())]
			if !slices.Contains(u.Groups, group) {
				u.Groups = append(u.Groups, group)
			}
		}
		series += max(len(u.Groups), 1)
		c.users = append(c.users, u)
	}
	return c
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// hub is a hub with these users, whose token may list users and groups.
func (c campus) hub() *fakehub.Hub {
	h := &fakehub.Hub{}
	h.AddGroups(c.groups...)
	h.SetUsers(c.users...)
	h.Grant(token, "list:users", "read:users:groups", "list:groups")
	return h
}

// snapshot is what the program makes of them.
func (c campus) snapshot() *membership.Snapshot {
	listing := membership.NewListing(time.Time{})
	listing.AddGroups(c.groups...)
	for _, u := range c.users {
		listing.Add(membership.User{Name: u.Name, Groups: u.Groups})
	}
	return membership.New(namespace, listing, membership.Rules{})
}

// series is how many there are of the hub.
func (c campus) series() int {
	s := c.snapshot()
	return s.Memberships() + len(s.Groups())
}

// family is a gauge as client_golang wants it: whoever uses that has the labels' values
// ready, and makes none of them at a scrape.
type family struct {
	name, help string
	labels     []string
	rows       []row
}

type row struct {
	values []string
	value  float64
}

// families are the series that each contestant serves.
func (c campus) families() []family {
	s := c.snapshot()
	members := family{
		name: metrics.Name("", metrics.GroupMembers), help: "Users in a group.",
		labels: []string{metrics.LabelNamespace, metrics.LabelUsergroup},
	}
	for _, g := range s.Groups() {
		members.rows = append(members.rows, row{[]string{namespace, g.Name}, float64(g.Members)})
	}
	info := family{
		name: metrics.Name("", metrics.UserGroupInfo), help: "Who is in which group. The value is always 1.",
		labels: []string{metrics.LabelNamespace, metrics.LabelUsergroup, metrics.LabelUsername, metrics.LabelEscaped, metrics.LabelSafe},
	}
	for r := range s.Rows() {
		info.rows = append(info.rows, row{[]string{namespace, r.Group, r.User, slug.Escape(r.User), slug.Safe(r.User)}, 1})
	}
	return []family{members, info}
}
