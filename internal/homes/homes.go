// Package homes finds the owners of home directories and volume claims, judges
// which of them can be deleted, and computes their names in the other naming
// scheme. It changes nothing.
//
// People delete data by its verdicts. So a home is an orphan only if no user of
// the hub can own it, and it is an error if anything that a verdict depends on is
// unknown.
package homes

import "slices"

// Kind is what a home is.
type Kind string

// The kinds of homes.
const (
	Directory Kind = "directory"
	Claim     Kind = "claim"
)

// Home is a home directory, or the volume claim of a server.
type Home struct {
	Kind Kind
	// Name is the name of a claim, or the last part of a directory's path.
	Name string
	// Path is the path of a directory as it was listed. Of a claim, it is the name.
	Path string
	// Size and Limit are in bytes, and nil if unknown. The size of a claim is its capacity: it takes that much, however
	// full it is.
	Size, Limit *int64
	// User and Server are the annotations of a claim. User is empty if it has none.
	User, Server string
}

// Combine returns the listed homes, with measured sizes and limits where the list has none. It adds measured homes only
// of a kind that isn't listed: the list is current, and a measured home may have been deleted since.
func Combine(listed, measured []Home) []Home {
	type key struct {
		kind Kind
		name string
	}
	isListed, byName := map[Kind]bool{}, map[key]*Home{}
	all := slices.Clone(listed)
	for i := range all {
		h := &all[i]
		isListed[h.Kind] = true
		k := key{h.Kind, h.Name}
		if _, twice := byName[k]; twice {
			byName[k] = nil // in two folders: which one was measured isn't known
		} else {
			byName[k] = h
		}
	}
	var added []Home
	for _, m := range measured {
		if !isListed[m.Kind] {
			added = append(added, m)
		} else if h := byName[key{m.Kind, m.Name}]; h != nil {
			if h.Size == nil {
				h.Size = m.Size
			}
			if h.Limit == nil {
				h.Limit = m.Limit
			}
		}
	}
	return append(all, added...)
}
