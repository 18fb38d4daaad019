package main

import (
	"iter"
	"math/rand/v2"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// demoHomes returns made-up home directories of users, most of which have names of kubespawner 7, and some of people who
// left.
func demoHomes(users iter.Seq[string]) []homes.Home {
	random := rand.New(rand.NewPCG(demoSeed, demoSeed))
	var list []homes.Home
	add := func(name string) {
		limit := int64(20 << 30)
		size := min(int64(random.ExpFloat64()*float64(3<<30)), limit)
		list = append(list, homes.Home{Kind: homes.Directory, Name: name, Path: "/home/" + name, Size: &size, Limit: &limit})
	}
	for user := range users {
		if random.IntN(10) > 0 {
			add(slug.Safe(user))
		}
		if escaped := slug.Escape(user); random.IntN(20) == 0 && escaped != slug.Safe(user) {
			add(escaped)
		}
	}
	for _, former := range []string{"carla.moreno@university.example", "guest7", "T_eriksen", "visitor-2024"} {
		add(slug.Escape(former))
	}
	return list
}
