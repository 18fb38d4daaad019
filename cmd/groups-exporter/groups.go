package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// by says what a row of the table is.
type by string

const (
	byGroup by = "group"
	byUser  by = "user"
)

type groupsOptions struct {
	hub    hubOptions
	by     by
	groups []string
	users  []string
	output output
}

func (o *groupsOptions) addFlags(cmd *cobra.Command) {
	o.by, o.output = byGroup, outputTable
	addChoice(cmd, &o.by, "by", "what each row shows", byGroup, byUser)
	cmd.Flags().StringArrayVar(&o.groups, "group", nil, "show only these groups (`glob`, repeatable)")
	cmd.Flags().StringArrayVar(&o.users, "user", nil, "show only these users (`glob`, repeatable)")
	cmd.Flags().VarP(choice[output]{&o.output, groupsOutputs()}, "output", "o", "format of the output")
	completeWords(cmd, "output", words(groupsOutputs()))
	setHeading(cmd, mainHeading)
	o.hub.addFlags(cmd)
}

func groupsOutputs() []output {
	return []output{outputTable, outputWide, outputCSV, outputTSV, outputJSON, outputYAML, outputMarkdown}
}

func newGroupsCommand(getenv func(string) string) *cobra.Command {
	var o groupsOptions
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "Show group memberships",
		Long: `Read the hub once and show its memberships, with a row for each group or user.
Arguments are groups to show. Users in no group are in "none".

On a terminal the table fits its width, and "+3" stands for three more names.
--output wide shows them all. csv and tsv have a line for each membership.

` + exitCodes,
		Example: `  groups-exporter groups
  groups-exporter groups 'course-*' --output wide
  groups-exporter groups --by user --user 'ada*'
  groups-exporter groups --output csv > memberships.csv`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPatterns(slices.Concat(o.groups, o.users)); err != nil {
				return err
			}
			if err := o.hub.complete(getenv); err != nil {
				return err
			}
			return interruptible(cmd.Context(), func() error {
				return runGroups(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
			})
		},
	}
	o.addFlags(cmd)
	completeFromHub(cmd, getenv, &o.hub, "group", func(s *membership.Snapshot) iter.Seq[string] {
		return func(yield func(string) bool) {
			for _, g := range s.Groups() {
				if !yield(g.Name) {
					return
				}
			}
		}
	})
	completeFromHub(cmd, getenv, &o.hub, "user", (*membership.Snapshot).Users)
	return cmd
}

// completionTime is how long a shell waits for a hub.
const completionTime = time.Second

// completeFromHub makes shells complete a flag's value with harmless names from the hub,
// if a hub is configured and answers soon. Errors are silent, because somebody is typing.
func completeFromHub(cmd *cobra.Command, getenv func(string) string, o *hubOptions, flag string, names func(*membership.Snapshot) iter.Seq[string]) {
	complete := func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		err := setFlags(cmd.Flags(), flagsOfServe(cmd), getenv)
		if err == nil {
			err = o.complete(getenv)
		}
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		snapshot, _, err := o.snapshot(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for name := range names(snapshot) {
			if strings.HasPrefix(name, typed) && isHarmless(name) {
				found = append(found, name)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the flag was just added
	}
}

// isHarmless reports whether every shell takes an unquoted name literally. The generated
// completions insert names as they are, and evaluate the line at the next Tab. So a name
// may have only letters, digits, and a few signs that mean nothing within a word. The signs
// @ . + : and - may not come first.
func isHarmless(name string) bool {
	for i, r := range name {
		isSign := strings.ContainsRune("_/", r) || i > 0 && strings.ContainsRune("@.+:-", r)
		if !isSign && (!unicode.IsLetter(r) && !unicode.IsDigit(r) || !isVisible(r)) {
			return false
		}
	}
	return name != ""
}

// groupRow and userRow are what programs read.
type groupRow struct {
	Group   string   `json:"group"`
	Members int      `json:"members"`
	Users   []string `json:"users"`
}

// MarshalYAML returns what JSON has, too, with quotes around names that need them.
func (r groupRow) MarshalYAML() (any, error) { //nolint:unparam // it is a yaml.Marshaler
	return struct {
		Group   *yaml.Node
		Members int
		Users   []*yaml.Node
	}{yamlText(r.Group), r.Members, yamlTexts(r.Users)}, nil
}

type userRow struct {
	Username string   `json:"username"`
	Escaped  string   `json:"username_escaped"`
	Safe     string   `json:"username_safe"`
	Groups   []string `json:"groups"`
}

// MarshalYAML returns what JSON has, too, with quotes around names that need them.
func (r userRow) MarshalYAML() (any, error) { //nolint:unparam // it is a yaml.Marshaler
	return struct {
		Username *yaml.Node
		Escaped  *yaml.Node `yaml:"username_escaped"`
		Safe     *yaml.Node `yaml:"username_safe"`
		Groups   []*yaml.Node
	}{yamlText(r.Username), yamlText(r.Escaped), yamlText(r.Safe), yamlTexts(r.Groups)}, nil
}

func runGroups(ctx context.Context, out, errOut io.Writer, o groupsOptions) error {
	snapshot, result, err := o.hub.snapshot(ctx)
	if err != nil {
		return err
	}
	for _, notice := range o.hub.notices(snapshot, result) {
		say(errOut, notice, "")
	}
	for _, notice := range o.unmatched(snapshot) {
		say(errOut, notice, "")
	}
	if o.by == byUser {
		return writeUsers(out, o.output, o.userRows(snapshot))
	}
	return writeGroups(out, o.output, o.groupRows(snapshot))
}

// unmatched returns a notice for each filter that matches nothing. In a pipe, this couldn't
// be told from a group without members otherwise.
func (o *groupsOptions) unmatched(snapshot *membership.Snapshot) []string {
	var groups []string
	for _, g := range snapshot.Groups() {
		groups = append(groups, g.Name)
	}
	users := slices.Collect(snapshot.Users())
	var notices []string
	for _, filter := range []struct {
		flag, what      string
		patterns, names []string
	}{{"--group", "group", o.groups, groups}, {"--user", "user", o.users, users}} {
		for _, pattern := range filter.patterns {
			if !slices.ContainsFunc(filter.names, membership.Globs([]string{pattern})) {
				notices = append(notices, fmt.Sprintf("%s %s matches no %s", filter.flag, quote(pattern), filter.what))
			}
		}
	}
	// If only groups are filtered, a group without members is a result.
	both := len(o.groups) > 0 && (len(o.users) > 0 || o.by == byUser)
	if len(notices) == 0 && both && len(o.userRows(snapshot)) == 0 {
		notices = append(notices, "no user who matches is in a group that matches")
	}
	return notices
}

// groupRows are the groups that were asked for, with those members that were.
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
			rows = append(rows, groupRow{g.Name, len(members), append([]string{}, members...)})
		}
	}
	return rows
}

// userRows are the users that were asked for, with those groups that were.
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

// matcher tells whether a name matches one of the patterns, or there are none.
func matcher(patterns []string) func(string) bool {
	matches := membership.Globs(patterns)
	return func(name string) bool { return len(patterns) == 0 || matches(name) }
}

func writeGroups(out io.Writer, as output, groups []groupRow) error {
	var pairs [][]string
	var rows []listRow
	for _, g := range groups {
		for _, user := range g.Users {
			pairs = append(pairs, []string{g.Group, user})
		}
		if len(g.Users) == 0 {
			pairs = append(pairs, []string{g.Group, ""})
		}
		rows = append(rows, listRow{[]string{as.shown(g.Group), strconv.Itoa(g.Members)}, g.Users})
	}
	return writeRows(out, as, groups, []string{"group", "username"}, pairs, []string{"GROUP", "MEMBERS", "USERS"}, rows)
}

func writeUsers(out io.Writer, as output, users []userRow) error {
	header := []string{"USER", "GROUPS"}
	if as == outputWide {
		header = []string{"USER", "ESCAPED", "SAFE", "GROUPS"}
	}
	var pairs [][]string
	var rows []listRow
	for _, u := range users {
		for _, group := range u.Groups {
			pairs = append(pairs, []string{u.Username, group})
		}
		cells := []string{as.shown(u.Username)}
		if as == outputWide {
			cells = append(cells, u.Escaped, u.Safe)
		}
		rows = append(rows, listRow{cells, u.Groups})
	}
	return writeRows(out, as, users, []string{"username", "group"}, pairs, header, rows)
}

// listRow is a row of a table whose last cell is a list of names.
type listRow struct {
	cells []string
	names []string
}

// writeRows writes a value, its pairs or its rows: what the form of output takes.
func writeRows(out io.Writer, as output, value any, pairHeader []string, pairs [][]string, header []string, rows []listRow) error {
	switch as {
	case outputJSON:
		return writeJSON(out, value)
	case outputYAML:
		return writeYAML(out, value)
	case outputCSV:
		return writeCSV(out, ',', pairHeader, pairs)
	case outputTSV:
		return writeCSV(out, '\t', pairHeader, pairs)
	}
	width := terminalWidth(out)
	room := 0
	if as == outputTable && width > 0 {
		room = fit(width, header, rows)
	}
	cells := make([][]string, len(rows))
	for i, row := range rows {
		cells[i] = append(row.cells, joinNames(as, row.names, room))
	}
	if as == outputMarkdown {
		return writeMarkdown(out, header, cells)
	}
	return writeTable(out, width > 0, header, cells)
}

// fit makes a table with borders as wide as the terminal: it gives the room for
// the list of names, and where that would be little, cuts the rows' first cells.
func fit(width int, header []string, rows []listRow) int {
	cells := make([][]string, len(rows))
	for i, row := range rows {
		cells[i] = append(slices.Clip(row.cells), "")
	}
	last := header[len(header)-1]
	room := width - tableWidth(header, cells) + len(last)
	least := max(len(last), width/3)
	if room >= least {
		return room
	}
	first := max(columnWidth(0, header, cells)-(least-room), len(header[0])+1)
	for i := range rows {
		rows[i].cells[0] = cut(rows[i].cells[0], first)
		cells[i][0] = rows[i].cells[0]
	}
	return max(width-tableWidth(header, cells)+len(last), len(last))
}

// cut cuts text to a width, with a sign where something is missing.
func cut(text string, width int) string {
	if twwidth.Width(text) <= width {
		return text
	}
	return twwidth.Truncate(text, width-1) + "…"
}

// joinNames joins names, as many as there is room for; 0 is room for all. "+3"
// stands for three that were left off.
func joinNames(as output, names []string, room int) string {
	var joined strings.Builder
	for i, name := range names {
		next := as.shown(name)
		if as != outputMarkdown && strings.Contains(name, ",") {
			next = quote(name) // it would look like two
		}
		if i > 0 {
			next = ", " + next
		}
		more := ""
		if left := len(names) - i - 1; left > 0 {
			more = fmt.Sprintf(" +%d", left)
		}
		if room > 0 && twwidth.Width(joined.String()+next+more) > room {
			if i == 0 {
				return cut(next, max(room-len(more), 2)) + more
			}
			fmt.Fprintf(&joined, " +%d", len(names)-i)
			return joined.String()
		}
		joined.WriteString(next)
	}
	return joined.String()
}
