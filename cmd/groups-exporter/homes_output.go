package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// outputNames is nothing but the names.
const outputNames output = "names"

// verdicts returns all verdicts, in the order in which they are shown.
func verdicts() []homes.Verdict {
	return []homes.Verdict{homes.OK, homes.Orphan, homes.Stale, homes.Double, homes.Ambiguous}
}

// homeRow is a home in the output for programs.
type homeRow struct {
	Kind         homes.Kind        `json:"kind"`
	Name         string            `json:"name"`
	Path         string            `json:"path"`
	Size         *int64            `json:"size_bytes"`
	Limit        *int64            `json:"limit_bytes"`
	Owners       []string          `json:"owners"`
	MatchedBy    []homes.MatchedBy `json:"matched_by"`
	LastActivity *time.Time        `json:"last_activity"`
	LastSeen     *string           `json:"last_seen"` // a day
	Servers      *int              `json:"servers"`
	Groups       []string          `json:"groups"`
	Verdict      homes.Verdict     `json:"verdict"`
}

func newHomeRow(r homes.Row, snapshot *membership.Snapshot) homeRow {
	row := homeRow{
		Kind: r.Kind, Name: r.Name, Path: r.Path, Size: r.Size, Limit: r.Limit,
		Owners: []string{}, MatchedBy: []homes.MatchedBy{}, Groups: []string{}, Verdict: r.Verdict,
	}
	for _, o := range r.Owners {
		row.Owners = append(row.Owners, o.User)
		row.MatchedBy = append(row.MatchedBy, o.MatchedBy)
		if day := o.LastSeen.Format(time.DateOnly); !o.LastSeen.IsZero() && (row.LastSeen == nil || day > *row.LastSeen) {
			row.LastSeen = &day
		}
	}
	if r.User == nil {
		return row
	}
	row.Groups = r.User.Groups
	if snapshot.HasActivity() && !r.User.LastActivity.IsZero() {
		row.LastActivity = &r.User.LastActivity
	}
	if snapshot.HasServers() {
		row.Servers = &r.User.ActiveServers
	}
	return row
}

// write writes homes in the form of --output.
func (o *homesOptions) write(out io.Writer, selected []homes.Row, snapshot *membership.Snapshot) error {
	if o.output == outputNames {
		var list []homes.Home
		for _, r := range selected {
			list = append(list, r.Home)
		}
		return o.writeNames(out, list)
	}
	rows := make([]homeRow, 0, len(selected))
	for _, r := range selected {
		rows = append(rows, newHomeRow(r, snapshot))
	}
	if o.output.isForPeople() {
		return o.writeHomesTable(out, rows, snapshot)
	}
	header := []string{"kind", "name", "path", "size_bytes", "limit_bytes", "owners", "matched_by", "last_activity", "last_seen", "servers", "groups", "verdict"}
	var cells [][]string
	for _, r := range rows {
		if err := o.checkText(r.Path); err != nil {
			return err
		}
		lastSeen := ""
		if r.LastSeen != nil {
			lastSeen = *r.LastSeen
		}
		cells = append(cells, []string{
			string(r.Kind), r.Name, r.Path, number(r.Size), number(r.Limit), listCell(r.Owners), strings.Join(words(r.MatchedBy), ", "),
			timeCell(r.LastActivity), lastSeen, number(r.Servers), listCell(r.Groups), string(r.Verdict),
		})
	}
	return writeData(out, o.output, rows, header, cells)
}

// checkText returns an error if the output can't contain a name as it is.
func (o *homesOptions) checkText(name string) error {
	if !utf8.ValidString(name) && (o.output == outputJSON || o.output == outputYAML) {
		return fmt.Errorf("%s is not UTF-8, so it can't be written as %s: leave it out with --ignore, or use --output csv or names", quote(name), o.output)
	}
	return nil
}

// writeNames writes the paths of directories, or the names of claims.
func (o *homesOptions) writeNames(out io.Writer, list []homes.Home) error {
	end := "\n"
	if o.sources.null {
		end = "\x00"
	}
	var text strings.Builder
	for _, h := range list {
		if h.Kind != list[0].Kind {
			return errors.New("--output names can't show directories and claims together, because their names look the same: use --output csv, or only one of --directories and --claims")
		}
		if strings.Contains(h.Path, end) {
			return fmt.Errorf("%s has a line break: use --null", quote(h.Path))
		}
		text.WriteString(h.Path + end)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func (o *homesOptions) writeHomesTable(out io.Writer, rows []homeRow, snapshot *membership.Snapshot) error {
	list := listTable{
		header: []string{"NAME", "SIZE (GiB)", "LIMIT (GiB)", "OWNER", "MATCHED BY", "LAST ACTIVITY", "VERDICT", "GROUPS"}, numbers: []int{1, 2},
		total: totalOfHomes(rows),
	}
	mixed := slices.ContainsFunc(rows, func(r homeRow) bool { return r.Kind != rows[0].Kind })
	if mixed {
		list.header, list.numbers = append([]string{"KIND"}, list.header...), []int{2, 3}
	}
	for _, r := range rows {
		cells := []string{
			o.output.shown(r.Path), gibibytes(r.Size), gibibytes(r.Limit), o.ownerCell(r), strings.Join(words(r.MatchedBy), ", "),
			activityCell(r, snapshot), string(r.Verdict),
		}
		if mixed {
			cells = append([]string{string(r.Kind)}, cells...)
		}
		list.add(r.Groups, cells...)
	}
	return list.write(out, o.output)
}

// ownerCell returns the owners of a home, and when one who was deleted was last seen.
func (o *homesOptions) ownerCell(r homeRow) string {
	owners := strings.Join(shownInList(o.output, r.Owners), ", ")
	if r.LastSeen != nil {
		owners += " (last seen " + *r.LastSeen + ")"
	}
	return owners
}

// activityCell returns when the user was last active, if there is only one.
func activityCell(r homeRow, snapshot *membership.Snapshot) string {
	switch {
	case r.Servers != nil && *r.Servers > 0:
		return "now"
	case r.LastActivity != nil:
		return r.LastActivity.Format(time.DateOnly)
	case r.Servers != nil && snapshot.HasActivity():
		return "never"
	default:
		return ""
	}
}

// totalOfHomes counts homes by verdict, like "3 homes (12.50 GiB): 2 ok, 1 orphan".
func totalOfHomes(rows []homeRow) string {
	counts, size := map[homes.Verdict]int{}, int64(0)
	for _, r := range rows {
		counts[r.Verdict]++
		if r.Size != nil {
			size += *r.Size
		}
	}
	total := plural(len(rows), "home")
	if size > 0 {
		total += " (" + gibibytes(&size) + " GiB)"
	}
	return withCounts(total, counts, verdicts())
}

// withCounts returns a total and what it consists of, like "3 homes: 2 ok, 1 orphan".
func withCounts[T ~string](total string, counts map[T]int, order []T) string {
	var parts []string
	for _, what := range order {
		if n := counts[what]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	if len(parts) == 0 {
		return total
	}
	return total + ": " + strings.Join(parts, ", ")
}

// sortBySize sorts rows by the size of their homes, the largest first, and then by name.
func sortBySize[T any](rows []T, of func(T) homes.Home) {
	size := func(h homes.Home) int64 {
		if h.Size == nil {
			return -1
		}
		return *h.Size
	}
	slices.SortFunc(rows, func(a, b T) int {
		return cmp.Or(cmp.Compare(size(of(b)), size(of(a))), cmp.Compare(of(a).Path, of(b).Path), cmp.Compare(of(a).Kind, of(b).Kind))
	})
}

func gibibytes(bytes *int64) string {
	if bytes == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*bytes)/(1<<30), 'f', 2, 64)
}

func number[T int | int64](n *T) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(int64(*n), 10)
}

func timeCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}

// listCell returns a single name as it is, or several with commas between them.
func listCell(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(shownInList(outputCSV, names), ", ")
}
