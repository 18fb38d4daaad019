package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// explainRow is a row of groups --explain in the output for programs.
type explainRow struct {
	Kind   groupmap.Kind `json:"kind"`
	Source string        `json:"source"`
	Target *string       `json:"target"` // nil if it is left out
	Line   *int          `json:"line"`   // nil if no line matches
}

// completeExplain checks the flags for --explain.
func (o *groupsOptions) completeExplain(getenv func(string) string) error {
	if o.by == byUser || o.sort == sortByMembers || len(o.groups)+len(o.users) > 0 || o.past.isSet() {
		return usagef("--explain shows the whole map with the current groups of the hub: remove --by, --sort, --group, --user, --at and --diff")
	}
	if err := cmp.Or(o.past.checkUnused(), o.hub.complete(getenv)); err != nil {
		return err
	}
	if o.hub.groupMap.Map == nil {
		return usagef("--explain needs --group-map")
	}
	return nil
}

// runExplain shows what becomes of each group of the hub, and says which lines of the map are never used.
func runExplain(ctx context.Context, out, errOut io.Writer, o groupsOptions) error {
	result, err := hub.New(o.hub.client()).List(ctx)
	if err != nil {
		return err
	}
	mapping := o.hub.groupMap.Map.For(result.Properties)
	rows, problem := mapping.Explain(result.Listing)
	if problem == nil {
		for _, notice := range o.hub.notices(membership.New(o.hub.namespace, result.Listing, o.hub.rules), result) {
			say(errOut, notice, "")
		}
	}
	unused := mapping.Unused()
	for _, line := range unused {
		say(errOut, o.hub.groupMap.file+": "+line.String(), "")
	}
	if err := writeExplanation(out, o.output, rows, len(unused)); err != nil {
		return err
	}
	return problem
}

func writeExplanation(out io.Writer, as output, rows []groupmap.Row, unused int) error {
	if as.isForPeople() {
		sortNaturally(rows, func(row groupmap.Row) (string, []string) { return string(row.Kind) + " " + row.Source, nil })
	}
	header := []string{"KIND", "SOURCE", "TARGET", "LINE"}
	data := []explainRow{}
	var shown, exact [][]string
	groups, mapped := 0, 0
	for _, row := range rows {
		one := explainRow{Kind: row.Kind, Source: row.Source}
		target, line := "–", "–"
		if row.Target != "" {
			one.Target, target = &row.Target, as.shown(row.Target)
		}
		lineText := ""
		if row.Line > 0 {
			lineText = strconv.Itoa(row.Line)
			one.Line, line = &row.Line, lineText
		}
		if row.Kind == groupmap.Group {
			groups++
			if row.Line > 0 {
				mapped++
			}
		}
		data = append(data, one)
		shown = append(shown, []string{string(row.Kind), as.shown(row.Source), target, line})
		exact = append(exact, []string{string(row.Kind), row.Source, row.Target, lineText})
	}
	total := fmt.Sprintf("\n%s, %d of them mapped; %s of the map never used\n", plural(groups, "group"), mapped, plural(unused, "line"))
	switch {
	case as == outputMarkdown:
		return writeMarkdown(out, []int{3}, header, shown)
	case as.isForPeople():
		width := terminalWidth(out)
		if err := writeTable(out, width > 0 && tableWidth(header, shown) <= width, []int{3}, header, shown); err != nil {
			return err
		}
		_, err := io.WriteString(out, total)
		return err
	default:
		return writeData(out, as, data, []string{"kind", "source", "target", "line"}, exact)
	}
}
