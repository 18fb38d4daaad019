package homes

import (
	"maps"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/owner"
)

// AddFormer finds the owners of orphans without an annotation among former users of the hub: those for whom kubespawner
// makes the name of the home. It returns the owners of all orphans, sorted.
func AddFormer(rows []Row, users []string, templates owner.Templates) []string {
	accounts := make([]owner.User, len(users))
	for i, name := range users {
		accounts[i].Name = name
	}
	index := owner.NewIndex(accounts, templates)
	all := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if r.Verdict != Orphan {
			continue
		}
		if len(r.Owners) == 0 {
			for _, m := range find(index, r.Home) {
				r.Owners = add(r.Owners, Owner{User: m.User, MatchedBy: ByHistory})
			}
		}
		for _, o := range r.Owners {
			all[o.User] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// SetLastSeen sets when the former owners of orphans were last recorded.
func SetLastSeen(rows []Row, seen map[string]time.Time) {
	for _, r := range rows {
		for i := range r.Owners {
			if r.Verdict == Orphan {
				r.Owners[i].LastSeen = seen[r.Owners[i].User]
			}
		}
	}
}
