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

// size is the size of a population, as a number of series or a number of users.
type size struct{ series, users int }

// population is a set of made-up users and groups. It depends only on the seed and the size, so all processes generate
// the same one.
type population struct {
	users  []fakehub.User
	groups []string
}

// newPopulation returns a population with a few large groups and many small ones. Its users are in 2.7 groups on
// average. One user in ten is in no group.
func newPopulation(seed uint64, s size) population {
	random := rand.New(rand.NewPCG(seed, 1))
	var p population
	for i := range 12 + max(s.series, 3*s.users)/500 {
		p.groups = append(p.groups, fmt.Sprintf("%s-%d", pick(random, "astronomy", "bio-lab", "chem", "climate", "cs", "data", "économie", "hydrology", "physics/lab"), 101+i))
	}
	first := strings.Fields("ada aiko alan amara ana bao björn chen chloé daria diego elif emeka esther fatima george grace hana ibrahim ines jan julia kofi lars leila liam mei miguel mira noor olga paulo priya rosa samir sofia tariq tomás yuki zoë")
	last := strings.Fields("abe achebe andersson bauer borg costa diaz dubois evans fischer garcía haddad ito jensen kaya kim kovács lind mensah müller nguyen novak o'brien okafor patel rossi sato silva smith tanaka wang yılmaz")
	// Each group has a series with its number of members, and so does the pseudo-group for users without a group.
	series := len(p.groups) + 1
	for (s.series == 0 || series < s.series) && (s.users == 0 || len(p.users) < s.users) {
		f, l := pick(random, first...), pick(random, last...)
		number := len(p.users)*7 + random.IntN(7) // makes names unique
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
			group := p.groups[int(float64(len(p.groups))*random.Float64()*random.Float64())]
			if !slices.Contains(u.Groups, group) {
				u.Groups = append(u.Groups, group)
			}
		}
		series += max(len(u.Groups), 1)
		p.users = append(p.users, u)
	}
	return p
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// hub returns a fake hub with the population, and with a token that can list users and groups.
func (p population) hub() *fakehub.Hub {
	h := &fakehub.Hub{}
	h.AddGroups(p.groups...)
	h.SetUsers(p.users...)
	h.Grant(token, "list:users", "read:users:groups", "list:groups")
	return h
}

// snapshot returns the exporter's snapshot of the population.
func (p population) snapshot() *membership.Snapshot {
	listing := membership.NewListing(time.Time{})
	listing.AddGroups(p.groups...)
	for _, u := range p.users {
		listing.Add(membership.User{Name: u.Name, Groups: u.Groups})
	}
	return membership.New(namespace, listing, membership.Rules{})
}

// series returns the number of series about the hub.
func (p population) series() int {
	s := p.snapshot()
	return s.Memberships() + len(s.Groups())
}

// family is a gauge family for client_golang. Its label values are computed in advance, so scrapes don't pay for them.
type family struct {
	name, help string
	labels     []string
	rows       []row
}

type row struct {
	values []string
	value  float64
}

// families returns the series that each contestant serves.
func (p population) families() []family {
	s := p.snapshot()
	members := family{
		name: metrics.Name("", metrics.GroupMembers), help: "Number of users in the group.",
		labels: []string{metrics.LabelNamespace, metrics.LabelUsergroup},
	}
	for _, g := range s.Groups() {
		members.rows = append(members.rows, row{[]string{namespace, g.Name}, float64(g.Members)})
	}
	info := family{
		name: metrics.Name("", metrics.UserGroupInfo), help: "Group memberships of users. The value is always 1.",
		labels: []string{metrics.LabelNamespace, metrics.LabelUsergroup, metrics.LabelUsername, metrics.LabelEscaped, metrics.LabelSafe},
	}
	for r := range s.Rows() {
		info.rows = append(info.rows, row{[]string{namespace, r.Group, r.User, slug.Escape(r.User), slug.Safe(r.User)}, 1})
	}
	return []family{members, info}
}
