package hub

import (
	"context"
	"fmt"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// Inspection is what a few requests show about a hub and the client's token.
type Inspection struct {
	Version    string
	Kind, Name string   // of the token's owner, which is a "user" or a "service"
	Scopes     []string // of the token; hubs before 2.0 have none, and none of what follows
	PageLimit  int      // how many users the hub returns on a page, 0 if the token may not list them
	// Users and Groups are how many there are, nil if the token may not list them.
	Users, Groups *int
	// Alone is the number of users on the first page, if that shows that none of them is in a group.
	Alone int
	// First has the users on the first page and their groups. It is empty if the token may not list users.
	First *membership.Listing
}

// Inspect finds out what the token may do, without reading whole lists. Any error is a *remote.Error, or the
// context's.
func (c *Client) Inspect(ctx context.Context) (*Inspection, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	if err := c.readToken(); err != nil {
		return nil, err
	}
	var found struct{ Version string }
	if err := c.get(ctx, "/", nil, func(d *remote.Decoder) error { return d.Decode(&found) }); err != nil {
		return nil, err
	}
	if found.Version == "" {
		return nil, c.failure("/", remote.Error{Reason: remote.Format, Problem: "no version in it"})
	}
	self, err := c.identity(ctx)
	if err != nil {
		return nil, err
	}
	i := &Inspection{
		Version: found.Version, Kind: self.Kind, Name: self.Name, Scopes: self.Scopes,
		First: &membership.Listing{},
	}
	if !i.HasPages() {
		return i, nil
	}
	users, err := c.firstPage(ctx, i, "users", pageLimit)
	if err != nil {
		return nil, err
	}
	if users != nil {
		i.Users, i.PageLimit = &users.Pagination.Total, users.Pagination.Limit
		if !slices.ContainsFunc(users.Items, func(u item) bool { return !u.Groups.present || len(u.Groups.value) > 0 }) {
			i.Alone = len(users.Items)
		}
		for _, u := range users.Items {
			i.First.Add(membership.User{Name: u.Name, Groups: u.Groups.value})
		}
	}
	// Only the number of groups matters, and a group comes with all its members.
	groups, err := c.firstPage(ctx, i, "groups", 1)
	if err != nil {
		return nil, err
	}
	if groups != nil {
		i.Groups = &groups.Pagination.Total
	}
	return i, nil
}

// firstPage reads the first page of a list. It returns nil if the token may not list it.
func (c *Client) firstPage(ctx context.Context, i *Inspection, path string, limit int) (*page, error) {
	whole, parts := scopes.Grants(i.Scopes, "list:"+path)
	if !whole && len(parts) == 0 {
		return nil, nil //nolint:nilnil // nothing to see is no error
	}
	p, err := c.readPage(ctx, path, 0, limit)
	if isForbidden(err) && !whole {
		return nil, nil //nolint:nilnil // a filter that the hub refuses, like "!server="
	}
	return &p, err
}

// HasPages reports whether the hub has pages and scopes, both of which came with JupyterHub 2.0.
func (i *Inspection) HasPages() bool { return !i.Before(2) }

// Before reports whether the hub is older than a version, given as its numbers. It is false if the
// hub's own version can't be parsed.
func (i *Inspection) Before(version ...int) bool {
	var own [3]int
	n, _ := fmt.Sscanf(i.Version, "%d.%d.%d", &own[0], &own[1], &own[2]) // leaves "b1" behind them
	return n > 0 && slices.Compare(own[:n], version) < 0
}

// Requests returns the number of requests that list everything the token may list, 0 if it may not list
// users.
func (i *Inspection) Requests() int {
	if i.Users == nil {
		return 0
	}
	requests := i.pages(*i.Users)
	if i.Groups != nil {
		requests += i.pages(*i.Groups)
	}
	return requests
}

// pages returns how many pages a list takes, each of which begins with the last item of the one before.
func (i *Inspection) pages(total int) int {
	return 1 + max(0, total-2)/max(1, i.PageLimit-1)
}
