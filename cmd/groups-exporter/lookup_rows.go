package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
)

// lookupRow is a user that a name belongs to, or a name that belongs to nobody.
type lookupRow struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	User   string   `json:"user"`
	Server string   `json:"server"`
	Groups []string `json:"groups"`
	// Collides reports whether the name belongs to other users too.
	Collides bool `json:"collides"`
	// FormerUser is a user that the hub no longer has. LastSeen is the last day on which the user was recorded.
	FormerUser string `json:"former_user"`
	LastSeen   string `json:"last_seen"`

	first bool // of the rows of a name
}

// isUnmatched reports whether the name belongs to nobody.
func (r lookupRow) isUnmatched() bool { return r.User == "" && r.FormerUser == "" }

// rows returns the rows of all names, in their order.
func (l *lookup) rows(snapshot *membership.Snapshot) []lookupRow {
	groups := groupsByUser(snapshot, l.found)
	rows := []lookupRow{}
	for i, name := range l.names {
		first := len(rows)
		for _, m := range l.found[i] {
			rows = append(rows, lookupRow{Name: name, Kind: string(m.Kind), User: m.User, Server: m.Server, Groups: groups[m.User]})
		}
		if l.former != nil {
			for _, m := range l.former[i] {
				rows = append(rows, lookupRow{Name: name, Kind: string(m.Kind), Server: m.Server, Groups: []string{}, FormerUser: m.User, LastSeen: l.lastSeen[m.User]})
			}
		}
		if len(rows) == first {
			rows = append(rows, lookupRow{Name: name, Groups: []string{}})
		}
		rows[first].first = true
		markCollisions(rows[first:])
	}
	return rows
}

// markCollisions marks the rows of a name if they are about several users.
func markCollisions(rows []lookupRow) {
	users := map[[2]string]bool{}
	for _, row := range rows {
		users[[2]string{row.User, row.FormerUser}] = true
	}
	for i := range rows {
		rows[i].Collides = len(users) > 1
	}
}

// groupsByUser returns the groups of all users that were found.
func groupsByUser(snapshot *membership.Snapshot, found [][]owner.Match) map[string][]string {
	groups := map[string][]string{}
	for _, matches := range found {
		for _, m := range matches {
			groups[m.User] = []string{}
		}
	}
	for row := range snapshot.Rows() {
		if names, ok := groups[row.User]; ok {
			groups[row.User] = append(names, row.Group)
		}
	}
	return groups
}

// shownUser returns the user of a row for people.
func (r lookupRow) shownUser(as output) string {
	switch {
	case r.FormerUser == "":
		return as.shownIfAny(r.User)
	case r.LastSeen == "":
		return "was " + as.shown(r.FormerUser)
	default:
		return "was " + as.shown(r.FormerUser) + ", last seen " + r.LastSeen
	}
}

// writeLookup writes rows. csv and tsv have a line for each group.
func writeLookup(out io.Writer, as output, rows []lookupRow) error {
	if as.isForPeople() {
		return writeLookupTable(out, as, rows)
	}
	columns := []string{"name", "kind", "user", "server", "group", "collides", "former_user", "last_seen"}
	var cells [][]string
	for _, r := range rows {
		groups := r.Groups
		if len(groups) == 0 {
			groups = []string{""}
		}
		for _, group := range groups {
			cells = append(cells, []string{r.Name, r.Kind, r.User, r.Server, group, strconv.FormatBool(r.Collides), r.FormerUser, r.LastSeen})
		}
	}
	return writeData(out, as, rows, columns, cells)
}

func writeLookupTable(out io.Writer, as output, rows []lookupRow) error {
	list := listTable{header: []string{"NAME", "KIND", "USER", "SERVER", "GROUPS"}, total: lookupTotal(rows)}
	for _, r := range rows {
		kind := r.Kind
		if r.Collides {
			kind += " (collides)"
		}
		list.add(r.Groups, as.shown(r.Name), kind, r.shownUser(as), as.shownIfAny(r.Server))
	}
	return list.write(out, as)
}

// lookupTotal returns how many names there are, and how many of them match several users or no user.
func lookupTotal(rows []lookupRow) string {
	names, collide, unmatched := 0, 0, 0
	for _, r := range rows {
		if r.first {
			names++
		}
		if r.first && r.Collides {
			collide++
		}
		if r.isUnmatched() {
			unmatched++
		}
	}
	total := plural(names, "name")
	if collide > 0 {
		total += fmt.Sprintf(", %d with several users", collide)
	}
	if unmatched > 0 {
		total += fmt.Sprintf(", %d without a user", unmatched)
	}
	return total
}
