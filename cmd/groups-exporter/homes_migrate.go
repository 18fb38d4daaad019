package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/owner"
)

// migration is a change of the naming scheme.
type migration string

const (
	toSafe   migration = "escape:safe"
	toEscape migration = "safe:escape"
)

func (m migration) schemes() (from, to owner.Scheme) {
	if m == toSafe {
		return owner.Escape, owner.Safe
	}
	return owner.Safe, owner.Escape
}

// check returns an error for a template whose last folder isn't named by the user, or whose other folders differ between
// users or servers: only the last folder is renamed.
func (m migration) check(template owner.Template) error {
	split := func(user, server string) (parents, last string) {
		path := template.Expand(user, server, owner.Safe)
		i := strings.LastIndexByte(path, '/') + 1
		return path[:i], path[i:]
	}
	parents, last := split("a", "x")
	_, lastOfOther := split("b", "x")
	parentsOfOther, _ := split("b", "y")
	if last == lastOfOther || parents != parentsOfOther {
		return usagef("--migrate needs a --directory-template whose last folder contains the user's name, and whose other folders have no fields")
	}
	return nil
}

// moveRow is a Move in the output for programs.
type moveRow struct {
	Name    string       `json:"name"`
	Path    string       `json:"path"`
	NewName string       `json:"new_name"`
	NewPath string       `json:"new_path"`
	Size    *int64       `json:"size_bytes"`
	Owner   string       `json:"owner"`
	Status  homes.Status `json:"status"`
	With    []string     `json:"with"`
}

// writeMoves writes moves in the form of --output. The form names has pairs of the old and the new path.
func (o *homesOptions) writeMoves(out, errOut io.Writer, moves []homes.Move) error {
	sortBySize(moves, func(m homes.Move) homes.Home { return m.Home })
	counts := map[homes.Status]int{}
	for _, m := range moves {
		counts[m.Status]++
	}
	if stay := counts[homes.Collides] + counts[homes.Exists]; stay > 0 {
		say(errOut, fmt.Sprintf("directories that can't be renamed: %d (collides: %d, exists: %d)", stay, counts[homes.Collides], counts[homes.Exists]), "")
	}
	if o.output == outputNames {
		var pairs strings.Builder
		for _, m := range moves {
			if m.Status == homes.Renamed {
				pairs.WriteString(m.Path + "\x00" + m.NewPath + "\x00")
			}
		}
		_, err := io.WriteString(out, pairs.String())
		return err
	}
	return o.writeMoveRows(out, moves, counts)
}

func (o *homesOptions) writeMoveRows(out io.Writer, moves []homes.Move, counts map[homes.Status]int) error {
	order := []homes.Status{homes.Renamed, homes.Same, homes.Exists, homes.Collides, homes.Unowned}
	list := listTable{header: []string{"NAME", "NEW NAME", "OWNER", "STATUS", "WITH"}, total: withCounts(plural(len(moves), "home"), counts, order)}
	rows := make([]moveRow, 0, len(moves))
	var cells [][]string
	for _, m := range moves {
		if err := o.checkText(m.Path); err != nil {
			return err
		}
		with := append([]string{}, m.With...)
		rows = append(rows, moveRow{m.Name, m.Path, m.NewName, m.NewPath, m.Size, m.User, m.Status, with})
		cells = append(cells, []string{m.Name, m.Path, m.NewName, m.NewPath, number(m.Size), m.User, string(m.Status), listCell(with)})
		list.add(with, o.output.shown(m.Path), o.output.shownIfAny(m.NewName), o.output.shownIfAny(m.User), string(m.Status))
	}
	if o.output.isForPeople() {
		return list.write(out, o.output)
	}
	return writeData(out, o.output, rows, []string{"name", "path", "new_name", "new_path", "size_bytes", "owner", "status", "with"}, cells)
}
