package month

import (
	"slices"
	"time"
)

// Carried is how long memberships stay valid after their last sample.
const Carried = time.Hour

// Amounts maps the names of a report's columns to amounts.
type Amounts map[string]float64

// Use is what a user used while the user's groups stayed the same.
type Use struct {
	Namespace, User string
	// Groups are the user's groups, or none, unknown or unowned.
	Groups  []string
	Amounts Amounts
	// Session identifies a server. It is empty for other pods and for directories.
	Session string
}

// resources are the columns for requested resources, and the divisors to their units.
var resources = map[string]struct {
	column string
	unit   float64
}{
	"cpu": {"cpu_requested_core_hours", 1}, "memory": {"memory_requested_gib_hours", 1 << 30},
	"nvidia_com_gpu": {"gpu_hours", 1}, "amd_com_gpu": {"gpu_hours", 1}, "nvidia_com_mig_1g_5gb": {"gpu_slice_hours", 1},
}

// Used returns the usage in a span. The sizes of directories are multiplied by length, which is the length of the span
// in calendar months.
func (m *Month) Used(span Span, months float64) []Use {
	var uses []Use
	seen := 0.0
	for _, part := range span.without(m.Down) {
		seen += part.Hours()
	}
	for _, hub := range m.Hubs {
		for i := range hub.Pods {
			pod := &hub.Pods[i]
			if pod.Owner == "" {
				continue
			}
			for _, groups := range m.groupsOf(hub, pod.Owner, "unknown") {
				if use, ok := m.podIn(hub, pod, span, groups); ok {
					uses = append(uses, use)
				}
			}
		}
		for _, directory := range hub.Directories {
			for _, groups := range m.groupsOf(hub, directory.Owner, "unowned") {
				size := 0.0
				for _, part := range span.and(groups.Span).and(directory.Exists).without(m.Down) {
					size += directory.Size.Within(part, directory.Exists.From)
				}
				if size == 0 {
					continue
				}
				owner := directory.Owner
				if groups.Groups[0] == "unowned" {
					owner = "unowned"
				}
				uses = append(uses, Use{Namespace: hub.Namespace, User: owner, Groups: groups.Groups,
					Amounts: Amounts{"home_gib_months": size / (1 << 30) / seen * months}})
			}
		}
	}
	return uses
}

// podIn returns what a pod used in the part of a span in which its owner's groups stayed the same.
func (m *Month) podIn(hub *Hub, pod *Pod, span Span, groups Membership) (Use, bool) {
	amounts, hours := Amounts{}, 0.0
	for _, part := range span.and(groups.Span).and(pod.Runs).without(m.Down) {
		hours += part.Hours()
		for i := range pod.Containers {
			c := &pod.Containers[i]
			amounts["memory_gib_hours"] += c.Memory.Within(part, pod.Runs.From) / (1 << 30)
			amounts["cpu_core_hours"] += c.CPU.Within(part, pod.Runs.From)
			for resource, requested := range c.Requests {
				if r, counted := resources[resource]; counted {
					amounts[r.column] += requested / r.unit * part.Hours()
				}
			}
		}
	}
	use := Use{Namespace: hub.Namespace, User: pod.Owner, Groups: groups.Groups, Amounts: amounts}
	if pod.server() {
		amounts["server_hours"] = hours
		use.Session = hub.Namespace + "/" + pod.Name + "/" + pod.UID
	}
	return use, hours > 0
}

// groupsOf returns the groups of a user in the whole month. At times without a membership, the group has the given
// name.
func (m *Month) groupsOf(hub *Hub, user, without string) []Membership {
	var all []Membership
	var known []Span
	for _, u := range hub.Users {
		if u.Name != user {
			continue
		}
		for _, membership := range u.Memberships {
			groups := membership.Groups
			switch {
			case len(groups) == 0:
				groups = []string{"none"}
			case len(groups) > 1 && hub.MultiGroup == "multiple":
				groups = []string{"multiple"}
			}
			for _, part := range membership.without(m.unseen(hub)) {
				all = append(all, Membership{part, groups})
				known = append(known, part)
			}
		}
	}
	for _, part := range m.Span.without(known) {
		all = append(all, Membership{part, []string{without}})
	}
	return all
}

// unseen returns the times when the memberships of a hub aren't known: from one hour after the last exporter has
// failed.
func (m *Month) unseen(hub *Hub) []Span {
	var up []Span
	for _, exporter := range hub.Exporters {
		up = append(up, exporter.up(m).without(exporter.Down)...)
	}
	var unseen []Span
	for _, gap := range m.Span.without(up) {
		gap.From = gap.From.Add(Carried)
		if gap.Hours() > 0 {
			unseen = append(unseen, gap)
		}
	}
	return unseen
}

// up returns the time when a target exists.
func (t *Target) up(m *Month) Span {
	if t.Up == (Span{}) {
		return m.Span
	}
	return t.Up
}

// Key identifies a row of a report. Fields that the report isn't by are empty.
type Key struct{ Namespace, Group, User string }

// Row is a row of a report.
type Row struct {
	Amounts Amounts
	// Users and Sessions are distinct counts.
	Users, Sessions map[string]bool
}

// Rows sums usage by any of namespace, group and user, as by says. Users in several groups count by share, or in full.
func Rows(uses []Use, by []string, full bool) map[Key]*Row {
	rows := map[Key]*Row{}
	for _, use := range uses {
		part := 1 / float64(len(use.Groups))
		if full && slices.Contains(by, "group") {
			part = 1
		}
		for _, group := range use.Groups {
			key := use.key(group, by)
			if rows[key] == nil {
				rows[key] = &Row{Amounts{}, map[string]bool{}, map[string]bool{}}
			}
			rows[key].add(&use, part)
		}
	}
	return rows
}

func (u *Use) key(group string, by []string) Key {
	var key Key
	for _, dimension := range by {
		switch dimension {
		case "namespace":
			key.Namespace = u.Namespace
		case "group":
			key.Group = group
		case "user":
			key.User = u.User
		}
	}
	return key
}

func (r *Row) add(use *Use, part float64) {
	for column, amount := range use.Amounts {
		r.Amounts[column] += amount * part
	}
	if use.Session != "" {
		r.Sessions[use.Session] = true
		r.Users[use.Namespace+"/"+use.User] = true
	}
}
