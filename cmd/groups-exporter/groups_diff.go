package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// change is a membership that began or ended between two times.
type change struct {
	user, group string
	what        changeKind
}

type changeKind string

const (
	joined changeKind = "joined"
	left   changeKind = "left"
)

// runDiff shows who joined and who left since a time.
func runDiff(ctx context.Context, out, errOut io.Writer, o groupsOptions) error {
	after, until, err := o.after(ctx)
	if err != nil {
		return err
	}
	before, err := o.recorded(ctx, o.past.since, after.properties)
	if err != nil {
		return err
	}
	if !o.past.needsHub() && before.Namespace() != after.Namespace() {
		return &history.SeveralHubs{Namespaces: []string{before.Namespace(), after.Namespace()}}
	}
	notices := slices.Concat(before.notices, after.notices, o.diffNotices(before, after), o.unmatched(before.Snapshot, after.Snapshot))
	for _, notice := range notices {
		say(errOut, notice, "")
	}
	changes := o.changes(before, after)
	total := fmt.Sprintf("%s changed in %s from %s to %s", o.changeTotal(changes), printable(before.Namespace()), momentIn(o.past.since), until)
	return writeChanges(out, o.output, o.by, changes, total)
}

// after returns the memberships at the end of a comparison, and that time in words.
func (o *groupsOptions) after(ctx context.Context) (found *pointInTime, until string, err error) {
	if o.past.needsHub() {
		found, err = o.now(ctx)
		return found, "now", err
	}
	found, err = o.recorded(ctx, o.past.when, nil)
	return found, momentIn(o.past.when), err
}

// diffNotices returns what makes a comparison doubtful.
func (o *groupsOptions) diffNotices(before, after *pointInTime) []string {
	var notices []string
	if n := len(o.unclear(before, after)); n > 0 {
		notices = append(notices, fmt.Sprintf("the changes of %s are left out, because their groups weren't recorded, only %q (to include it, use --multi-group multiple)", plural(n, "user"), o.hub.rules.MultipleName))
	}
	users := map[string]bool{}
	for user := range before.Users() {
		users[user] = true
	}
	for user := range after.Users() {
		if users[user] {
			return notices
		}
	}
	return append(notices, fmt.Sprintf("the memberships of %s at the two times have no user in common: are they of the same hub (--namespace, --prometheus-matcher)?", quote(before.Namespace())))
}

// unclear returns the users whose changes can't be known. With --multi-group multiple, the pseudo-group is compared, and
// not the groups that it stands for.
func (o *groupsOptions) unclear(before, after *pointInTime) map[string]bool {
	users := map[string]bool{}
	if o.hub.rules.MultiGroup != membership.Multiple {
		maps.Copy(users, before.unclear)
		maps.Copy(users, after.unclear)
	}
	return users
}

// changes returns the matching changes between two times, sorted by group and then by user, or by user and then by group.
func (o *groupsOptions) changes(before, after *pointInTime) []change {
	type pair struct{ user, group string }
	users, groups, unclear := matcher(o.users), matcher(o.groups), o.unclear(before, after)
	pairs := func(of *pointInTime) map[pair]bool {
		all := map[pair]bool{}
		for row := range of.Rows() {
			if users(row.User) && groups(row.Group) && !unclear[row.User] {
				all[pair{row.User, row.Group}] = true
			}
		}
		return all
	}
	then, now := pairs(before), pairs(after)
	var all []change
	for p := range now {
		if !then[p] {
			all = append(all, change{p.user, p.group, joined})
		}
	}
	for p := range then {
		if !now[p] {
			all = append(all, change{p.user, p.group, left})
		}
	}
	slices.SortFunc(all, func(a, b change) int {
		if o.by == byUser {
			return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.group, b.group))
		}
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.user, b.user))
	})
	return all
}

// changeTotal returns the numbers of groups and users that changed, like "3 groups, 5 users". Pseudo-groups don't count.
func (o *groupsOptions) changeTotal(changes []change) string {
	groups, users := map[string]bool{}, map[string]bool{}
	for _, c := range changes {
		users[c.user] = true
		if c.group != o.hub.rules.NoneName && c.group != o.hub.rules.MultipleName {
			groups[c.group] = true
		}
	}
	return plural(len(groups), "group") + ", " + plural(len(users), "user")
}

// changeRow has the changes of one group or one user: the names of users or groups.
type changeRow struct {
	name         string
	joined, left []string
}

func changeRows(by by, changes []change) []changeRow {
	var rows []changeRow
	for _, c := range changes {
		name, other := c.group, c.user
		if by == byUser {
			name, other = other, name
		}
		if last := len(rows) - 1; last < 0 || rows[last].name != name {
			rows = append(rows, changeRow{name: name})
		}
		row := &rows[len(rows)-1]
		if c.what == joined {
			row.joined = append(row.joined, other)
		} else {
			row.left = append(row.left, other)
		}
	}
	return rows
}

func writeChanges(out io.Writer, as output, by by, changes []change, total string) error {
	rows := changeRows(by, changes)
	if as.isForPeople() {
		return writeChangeTable(out, as, by, rows, total)
	}
	key, header := "group", []string{"group", "username", "change"}
	if by == byUser {
		key, header = "username", []string{"username", "group", "change"}
	}
	records, lines := []any{}, [][]string{}
	for _, row := range rows {
		records = append(records, record{{key, row.name}, {"joined", list(row.joined)}, {"left", list(row.left)}})
	}
	for _, c := range changes {
		line := []string{c.group, c.user, string(c.what)}
		if by == byUser {
			line = []string{c.user, c.group, string(c.what)}
		}
		lines = append(lines, line)
	}
	return writeData(out, as, records, header, lines)
}

// writeChangeTable writes a table with two rows for a group or user, or with one if nobody joined or nobody left.
func writeChangeTable(out io.Writer, as output, by by, rows []changeRow, total string) error {
	table := listTable{header: []string{"GROUP", "CHANGE", "COUNT", "USERS"}, numbers: []int{2}, total: total}
	if by == byUser {
		table.header = []string{"USER", "CHANGE", "COUNT", "GROUPS"}
	}
	sortNaturally(rows, func(row changeRow) (string, []string) { return row.name, row.joined })
	sortNaturally(rows, func(row changeRow) (string, []string) { return row.name, row.left }) // and these names too
	for _, row := range rows {
		for _, part := range []struct {
			what  changeKind
			names []string
		}{{joined, row.joined}, {left, row.left}} {
			if len(part.names) > 0 {
				table.add(part.names, as.shown(row.name), string(part.what), strconv.Itoa(len(part.names)))
			}
		}
	}
	return table.write(out, as)
}
