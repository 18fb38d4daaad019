package homes

import (
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
)

// Status says what a change of the naming scheme does to a home directory.
type Status string

// The statuses.
const (
	Same     Status = "same"     // has the new name already
	Renamed  Status = "renamed"  // gets the new name
	Exists   Status = "exists"   // the old and the new name both exist
	Collides Status = "collides" // the old or the new name is also one of another user, or the new one can't be known
	Unowned  Status = "orphan"   // belongs to no user of the hub
)

// Move is what a change of the naming scheme means for a home directory.
type Move struct {
	Home
	// User is the owner, empty for an orphan.
	User string
	// NewName and NewPath are empty for an orphan, if several users can have the old name, and if the home is of a server
	// whose name isn't known.
	NewName, NewPath string
	// With has the other users who can have the old or the new name.
	With   []string
	Status Status
}

// Migrate returns what a change from one naming scheme to another means for each directory, named by a template. A
// directory is renamed only if neither name can be that of somebody else, in any of the schemes, so that a name means
// the same before, between and after the moves.
func Migrate(list []Home, users []membership.User, template owner.Template, from, to owner.Scheme) []Move {
	known := make([]owner.User, len(users))
	for i, u := range users {
		known[i].Name = u.Name
	}
	index := owner.NewIndex(known, owner.Templates{Directories: []owner.Template{template}})
	exists := make(map[string]bool, len(list))
	for _, h := range list {
		exists[h.Path] = true
	}
	moves := make([]Move, len(list))
	for i, h := range list {
		m := Move{Home: h, Status: Unowned}
		owners := usersOf(index, h.Path)
		switch len(owners) {
		case 0:
			m.With = index.Possible(h.Path, owner.KindDirectory)
			if len(m.With) > 0 {
				m.Status = Collides
			}
		case 1:
			m.User = owners[0].User
			name := func(scheme owner.Scheme) string {
				path := template.Expand(m.User, owners[0].Server, scheme)
				return path[strings.LastIndexByte(path, '/')+1:]
			}
			m.rename(index, name(from), name(to), exists)
		default:
			m.Status = Collides
			for _, o := range owners {
				m.With = append(m.With, o.User)
			}
		}
		moves[i] = m
	}
	return moves
}

// rename sets the new name and the status of a home with a single owner.
func (m *Move) rename(index *owner.Index, from, to string, exists map[string]bool) {
	folder := strings.TrimSuffix(m.Path, m.Name)
	m.NewName, m.NewPath = to, folder+to
	for _, o := range usersOf(index, m.NewPath) {
		if o.User != m.User {
			m.With = append(m.With, o.User)
		}
	}
	switch {
	case m.Name == to:
		m.Status = Same
	case m.Name != from: // it is of a server whose name isn't known
		m.NewName, m.NewPath, m.With, m.Status = "", "", nil, Collides
	case len(m.With) > 0:
		m.Status = Collides
	case exists[m.NewPath]:
		m.Status = Exists
	default:
		m.Status = Renamed
	}
}

// usersOf returns a match for each user who can have a directory.
func usersOf(index *owner.Index, path string) []owner.Match {
	matches := index.FindAll(path, owner.KindDirectory) // sorted by user
	return slices.CompactFunc(matches, func(a, b owner.Match) bool { return a.User == b.User })
}
