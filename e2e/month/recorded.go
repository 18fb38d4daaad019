package month

import (
	"slices"
	"time"
)

// Recorded returns the groups of each user of a hub that were recorded at the last scrape of its exporters before a
// time, as groups-exporter shows them. It returns false if that scrape is two intervals old or older.
func (m *Month) Recorded(namespace string, at time.Time) (map[string][]string, bool) {
	hub := m.Hubs[slices.IndexFunc(m.Hubs, func(h *Hub) bool { return h.Namespace == namespace })]
	var last time.Time
	for i := range hub.Exporters {
		exporter := &hub.Exporters[i]
		scrapes := &Stored{month: m, target: exporter, during: exporter.up(m), down: exporter.Down, at: one}
		for t := range scrapes.Samples(Span{at.Add(time.Millisecond - 2*exporter.Every), at.Add(time.Millisecond)}) {
			if t.After(last) {
				last = t
			}
		}
	}
	if last.IsZero() {
		return nil, false
	}
	users := map[string][]string{}
	for _, user := range hub.Users {
		for _, membership := range user.Memberships {
			if !membership.Contains(last) {
				continue
			}
			users[user.Name] = slices.Sorted(slices.Values(membership.Groups))
			if len(membership.Groups) != 1 && hub.MultiGroup != "both" {
				users[user.Name] = slices.Sorted(slices.Values(hub.published(membership.Groups)))
			}
		}
	}
	return users, true
}
