package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// maxProperties is the most text of a group's properties, in bytes.
const maxProperties = 64 << 10

// groups holds the names of all groups of a hub, and some of their properties.
type groups struct {
	names      []string
	known      map[string]bool // the names, nil unless properties were read
	read       []string        // the properties that were read
	properties map[string]map[string]json.RawMessage
}

// covers reports whether the properties with some names are known for all groups of a listing. Otherwise a new group
// would be taken for one without properties.
func (g *groups) covers(properties []string, listing *membership.Listing) bool {
	if len(properties) == 0 {
		return true
	}
	return slices.Equal(g.read, properties) && !slices.ContainsFunc(listing.Groups(), func(name string) bool { return !g.known[name] })
}

// readGroups reads the names of all groups, because a group without members is in no user's list, and some of their
// properties. It reads nothing if the token may not list groups, because the hub would log a warning. The groups and a
// listing of the given size must fit into maxListing together. To list groups, the hub looks up all their members, and
// meanwhile answers nobody else: a quarter of a second with 3,000 users. So groups are read only once an hour.
func (c *Client) readGroups(ctx context.Context, held, properties []string, size int) error {
	c.groups = groups{}
	if lack := scopes.GroupProperties().Check(held); len(properties) > 0 && !lack.None() {
		return c.scopeError("groups", lack)
	}
	if !scopes.Has(held, scopes.ListGroups) {
		return nil
	}
	found := groups{read: properties}
	if len(properties) > 0 {
		found.known, found.properties = map[string]bool{}, map[string]map[string]json.RawMessage{}
	}
	whole, err := c.sweep(ctx, "groups", func(items []item) error {
		for _, g := range items {
			added, failed := found.add(g)
			if failed != nil {
				return c.failure("groups", *failed)
			}
			size += added
		}
		return c.checkSize("groups", size)
	})
	switch {
	case err != nil:
		return err
	case !whole:
		return c.failure("groups", remote.Error{Reason: remote.Format, Problem: "the list changed while it was read"})
	}
	c.groups = found
	return nil
}

// add adds a group, and returns its approximate memory in bytes.
func (g *groups) add(i item) (size int, failed *remote.Error) {
	g.names = append(g.names, i.Name)
	size = membership.GroupSize(i.Name)
	if len(g.read) == 0 {
		return size, nil
	}
	name := i.Name
	if name == "" {
		name = membership.EmptyName
	}
	g.known[name] = true
	var all map[string]json.RawMessage
	switch {
	case i.Properties == nil:
		return 0, &remote.Error{Reason: remote.Format, Problem: "groups have no properties before JupyterHub 4.0"}
	case len(i.Properties) > maxProperties:
		return 0, remote.Oversized("the properties of a group are over %d KiB", maxProperties>>10)
	}
	if err := json.Unmarshal(i.Properties, &all); err != nil {
		return 0, remote.Malformed("the properties of a group are not an object")
	}
	for _, property := range g.read {
		if value, ok := all[property]; ok {
			if g.properties[name] == nil {
				g.properties[name] = map[string]json.RawMessage{}
			}
			g.properties[name][property] = bytes.Clone(value)
			size += membership.GroupSize(property) + len(value)
		}
	}
	return size, nil
}
