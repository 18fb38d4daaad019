package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/maruel/natural"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

type by string

const (
	byGroup by = "group"
	byUser  by = "user"
)

type groupSort string

const (
	sortByName    groupSort = "name"
	sortByMembers groupSort = "members"
)

type groupsOptions struct {
	hub    hubOptions
	by     by
	sort   groupSort
	groups []string
	users  []string
	output output
	past   pastOptions
	// explain shows what the group map does.
	explain bool
}

func (o *groupsOptions) addFlags(cmd *cobra.Command) {
	o.by, o.sort, o.output, o.hub.ignoring = byGroup, sortByName, outputTable, true
	addChoice(cmd, &o.by, "by", "what each row shows", byGroup, byUser)
	cmd.Flags().StringArrayVar(&o.groups, "group", nil, "show only these groups (`glob`, repeatable)")
	cmd.Flags().StringArrayVar(&o.users, "user", nil, "show only these users (`glob`, repeatable)")
	addOutput(cmd, &o.output, outputTable, outputWide, outputCSV, outputTSV, outputJSON, outputYAML, outputMarkdown)
	addChoice(cmd, &o.sort, "sort", "order of the groups, largest first for members", sortByName, sortByMembers)
	cmd.Flags().BoolVar(&o.explain, "explain", false, "show what --group-map does to each group, and its unused lines")
	o.past.addMainFlags(cmd)
	setHeading(cmd, mainHeading)
	o.hub.addFlags(cmd)
	o.past.addFlags(cmd)
}

func (o *groupsOptions) complete(ctx context.Context, getenv func(string) string, args []string) error {
	o.groups = append(o.groups, args...)
	if err := checkPatterns(slices.Concat(o.groups, o.users)); err != nil {
		return err
	}
	if o.by == byUser && o.sort == sortByMembers {
		return usagef("--sort members is for groups: remove it or --by user")
	}
	if o.explain {
		return o.completeExplain(getenv)
	}
	if !o.past.isSet() {
		return cmp.Or(o.past.checkUnused(), o.hub.complete(getenv))
	}
	if o.past.diff != "" && o.sort == sortByMembers {
		return usagef("--sort members is not for changes: remove it or --diff")
	}
	if err := o.past.complete(ctx, getenv, &o.hub); err != nil {
		return err
	}
	if o.past.needsHub() {
		return o.hub.complete(getenv)
	}
	return o.hub.checkRules()
}

func newGroupsCommand(getenv func(string) string) *cobra.Command {
	var o groupsOptions
	cmd := &cobra.Command{
		Use:   "groups [GROUP...]",
		Short: "Show group memberships",
		Long: `Read the hub once and show its memberships, with a row for each group or user.
Arguments are groups to show, like --group. Users in no group are in "none".

--at shows the memberships that Prometheus recorded at a time, and needs no hub.
--diff shows what has changed since a time, until now or until --at. Write times
as 2026-10-01 (the start of that day in --timezone), 2026-10-01T14:00 or
2026-10-01T14:00:00Z. If Prometheus has several hubs, select one by --namespace.

On a terminal the table fits its width, and "+3" stands for three more names.
--output wide shows them all, and so does a table of one group. csv and tsv have
a line for each membership.

Tables sort names naturally: group-2 comes before group-10. csv, tsv, json and
yaml sort them byte by byte, as in the metrics, and have no totals.

` + exitCodes,
		Example: `  groups-exporter groups
  groups-exporter groups bio-lab
  groups-exporter groups 'course-*' --output wide
  groups-exporter groups --sort members
  groups-exporter groups --by user --user 'ada*'
  groups-exporter groups --at 2026-10-01 --prometheus-url http://127.0.0.1:9090
  groups-exporter groups --diff 2026-10-01 --prometheus-url http://127.0.0.1:9090
  groups-exporter groups --output csv > memberships.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd.Context(), getenv, args); err != nil {
				return err
			}
			if o.explain {
				return runExplain(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
			}
			if o.past.diff != "" {
				return runDiff(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
			}
			return runGroups(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	o.addFlags(cmd)
	groups := hubNames(getenv, &o.hub, groupNames)
	cmd.ValidArgsFunction = groups
	completeFlag(cmd, "group", groups)
	completeFlag(cmd, "user", hubNames(getenv, &o.hub, userNames))
	completeRules(cmd, getenv, &o.hub)
	return cmd
}

// groupRow is a group in the output for programs.
type groupRow struct {
	Group   string   `json:"group"`
	Parent  string   `json:"parent,omitempty"`
	Members int      `json:"members"`
	Users   []string `json:"users"`
}

// userRow is a user in the output for programs.
type userRow struct {
	Username string   `json:"username"`
	Escaped  string   `json:"username_escaped"`
	Safe     string   `json:"username_safe"`
	Groups   []string `json:"groups"`
}

func runGroups(ctx context.Context, out, errOut io.Writer, o groupsOptions) error {
	read := o.now
	if o.past.isSet() {
		read = func(ctx context.Context) (*pointInTime, error) { return o.recorded(ctx, o.past.when, nil) }
	}
	found, err := read(ctx)
	if err != nil {
		return err
	}
	snapshot := found.Snapshot
	for _, notice := range slices.Concat(found.notices, o.unmatched(snapshot)) {
		say(errOut, notice, "")
	}
	if o.by == byUser {
		rows := o.userRows(snapshot)
		if o.output.isForPeople() {
			sortNaturally(rows, func(row userRow) (string, []string) { return row.Username, row.Groups })
		}
		return writeUsers(out, o.output, rows, o.total(snapshot))
	}
	rows := o.groupRows(snapshot)
	if o.output.isForPeople() {
		sortNaturally(rows, func(row groupRow) (string, []string) { return row.Group, row.Users })
	}
	if o.sort == sortByMembers {
		slices.SortStableFunc(rows, func(a, b groupRow) int { return cmp.Compare(b.Members, a.Members) })
	}
	return writeGroups(out, o.output, rows, o.hub.groupMap.hasParents(), o.total(snapshot))
}

// sortNaturally sorts rows by name, and the list of names in each row. It puts group-2 before group-10.
func sortNaturally[T any](rows []T, of func(T) (name string, list []string)) {
	compare := func(a, b string) int { return cmp.Or(natural.Compare(a, b), cmp.Compare(a, b)) }
	for _, row := range rows {
		_, list := of(row)
		slices.SortFunc(list, compare)
	}
	slices.SortFunc(rows, func(a, b T) int {
		first, _ := of(a)
		second, _ := of(b)
		return compare(first, second)
	})
}

// unmatched returns a notice for each pattern that matches nothing, because programs couldn't tell that from a group
// without members.
func (o *groupsOptions) unmatched(snapshots ...*membership.Snapshot) []string {
	var notices, groups, users []string
	for _, snapshot := range snapshots {
		groups = append(groups, groupNames(snapshot)...)
		users = append(users, userNames(snapshot)...)
	}
	for _, filter := range []struct {
		what            string
		patterns, names []string
	}{{"group", o.groups, groups}, {"user", o.users, users}} {
		for _, pattern := range filter.patterns {
			if !slices.ContainsFunc(filter.names, membership.Globs([]string{pattern})) {
				notices = append(notices, fmt.Sprintf("%s matches no %s", quote(pattern), filter.what))
			}
		}
	}
	return notices
}

// groupRows returns the matching groups with their matching members.
func (o *groupsOptions) groupRows(snapshot *membership.Snapshot) []groupRow {
	users := map[string][]string{}
	matches := matcher(o.users)
	for row := range snapshot.Rows() {
		if matches(row.User) {
			users[row.Group] = append(users[row.Group], row.User)
		}
	}
	rows := []groupRow{}
	matches = matcher(o.groups)
	for _, g := range snapshot.Groups() {
		members := users[g.Name]
		if matches(g.Name) && (len(members) > 0 || len(o.users) == 0) {
			rows = append(rows, groupRow{g.Name, o.hub.groupMap.parent(g.Name), len(members), append([]string{}, members...)})
		}
	}
	return rows
}

// userRows returns the matching users with their matching groups.
func (o *groupsOptions) userRows(snapshot *membership.Snapshot) []userRow {
	rows := []userRow{}
	users, groups := matcher(o.users), matcher(o.groups)
	for row := range snapshot.Rows() {
		if !users(row.User) || !groups(row.Group) {
			continue
		}
		if last := len(rows) - 1; last < 0 || rows[last].Username != row.User {
			rows = append(rows, userRow{Username: row.User, Escaped: slug.Escape(row.User), Safe: slug.Safe(row.User)})
		}
		last := len(rows) - 1
		rows[last].Groups = append(rows[last].Groups, row.Group)
	}
	return rows
}

// matcher returns a function that reports whether a name matches one of the patterns. Without patterns, all names
// match.
func matcher(patterns []string) func(string) bool {
	matches := membership.Globs(patterns)
	return func(name string) bool { return len(patterns) == 0 || matches(name) }
}

// total returns the numbers of groups and users that are shown, like "3 groups, 5 users", and for recorded memberships
// of which hub and time they are. Pseudo-groups don't count.
func (o *groupsOptions) total(snapshot *membership.Snapshot) string {
	groups, users := 0, map[string]bool{}
	for _, row := range o.groupRows(snapshot) {
		if !o.isPseudo(snapshot, row.Group) {
			groups++
		}
		for _, user := range row.Users {
			users[user] = true
		}
	}
	total := plural(groups, "group") + ", " + plural(len(users), "user")
	if o.past.isSet() {
		total += " in " + printable(snapshot.Namespace()) + " at " + momentIn(o.past.when)
	}
	return total
}

// isPseudo reports whether a name stands for a pseudo-group and for no group of the hub. In recorded memberships, it
// always does.
func (o *groupsOptions) isPseudo(snapshot *membership.Snapshot, name string) bool {
	if o.past.isSet() {
		return name == o.hub.rules.NoneName || name == o.hub.rules.MultipleName
	}
	return slices.Contains(o.hub.rules.PseudoNames(), name) && !slices.Contains(snapshot.Ambiguous(), name)
}

// writeGroups writes a row for each group, with the parents of groups if the map has any.
func writeGroups(out io.Writer, as output, groups []groupRow, parents bool, total string) error {
	list := listTable{header: []string{"GROUP", "MEMBERS", "USERS"}, numbers: []int{1}, total: total}
	header := []string{"group", "username"}
	if parents {
		list.header, list.numbers = []string{"GROUP", "PARENT", "MEMBERS", "USERS"}, []int{2}
		header = append(header, "parent")
	}
	var pairs [][]string
	for _, g := range groups {
		users := g.Users
		if len(users) == 0 {
			users = []string{""}
		}
		cells := []string{as.shown(g.Group)}
		if parents {
			cells = append(cells, as.shownIfAny(g.Parent))
		}
		for _, user := range users {
			pair := []string{g.Group, user}
			if parents {
				pair = append(pair, g.Parent)
			}
			pairs = append(pairs, pair)
		}
		list.add(g.Users, append(cells, strconv.Itoa(g.Members))...)
	}
	if as.isForPeople() {
		return list.write(out, as)
	}
	return writeData(out, as, groups, header, pairs)
}

func writeUsers(out io.Writer, as output, users []userRow, total string) error {
	list := listTable{header: []string{"USER", "GROUPS"}, total: total}
	if as == outputWide {
		list.header = []string{"USER", "ESCAPED", "SAFE", "GROUPS"}
	}
	var pairs [][]string
	for _, u := range users {
		for _, group := range u.Groups {
			pairs = append(pairs, []string{u.Username, group})
		}
		cells := []string{as.shown(u.Username)}
		if as == outputWide {
			cells = append(cells, u.Escaped, u.Safe)
		}
		list.add(u.Groups, cells...)
	}
	if as.isForPeople() {
		return list.write(out, as)
	}
	return writeData(out, as, users, []string{"username", "group"}, pairs)
}
