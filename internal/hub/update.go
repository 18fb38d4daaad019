package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// Source is what memberships are read from, once all users are known.
type Source string

// The sources.
const (
	// FromUsers reads all users with their groups each time.
	FromUsers Source = "users"
	// FromGroups reads all groups with their members, and of the users those who are new.
	FromGroups Source = "groups"
	// FromEither is FromGroups where it costs the hub less and holds up nobody else for long.
	FromEither Source = "auto"
)

const (
	// maxPause is how long a hub may take for a page of groups by FromEither: so long
	// everybody else waits, and a group comes with all its members.
	maxPause = 100 * time.Millisecond
	// settling is for how long a hub that was away isn't asked for all its users, if that can
	// wait: JupyterHub 4 builds them anew after a start, for more than a millisecond each.
	settling = 5 * time.Minute
)

// base is what the next listing goes on from.
type base struct {
	listing *membership.Listing
	// users is how many the hub lists, and newest the last of them: they are in the order of
	// their creation. As long as that one has its place none was deleted, and those behind
	// are new.
	users   int
	newest  string
	sweptAt time.Time          // when all users were read
	cost    swept              // of that
	pages   map[int]groupsPage // by offset
}

// groupsPage is a page of groups as last told, without their members, and what to ask
// with whether it is the same.
type groupsPage struct {
	page[membersJSON]
	etag string
}

// errUnfit tells that what a hub says doesn't follow from what it said before: somebody was
// deleted or renamed, or the token may read less. Reading all users helps.
var errUnfit = errors.New("the hub's lists don't fit together")

// needed are the scopes without which there is no listing.
func (c *Client) needed() []string {
	scopes := []string{"list:users", "read:users:groups"}
	if c.source == FromGroups {
		scopes = append(scopes, "list:groups", "read:groups")
	}
	return scopes
}

// continuation gives all users as the base of the next listing, if that is to be made of
// groups, and else nil. The error is of a token that may not.
func (c *Client) continuation(all *base, result Result) (*base, error) {
	var missing []string
	for _, scope := range []string{"list:users", "list:groups", "read:groups"} {
		if !slices.Contains(c.scopes, scope) { // with a filter the lists have different ends
			missing = append(missing, scope)
		}
	}
	switch {
	case c.source == FromUsers:
		return nil, nil
	case c.source == FromGroups && result.GroupsError != nil:
		return nil, result.GroupsError
	case c.source == FromGroups && len(missing) > 0:
		return nil, &Error{Reason: Scope, URL: c.url("groups"), Scopes: missing}
	case c.source == FromEither && (!c.isCheap || len(missing) > 0):
		return nil, nil
	case result.Inconsistent || all.users == 0:
		return nil, nil
	}
	return all, nil
}

// Forget makes the next List read all users.
func (c *Client) Forget() { c.base = nil }

// isDue tells whether all users are to be read again.
func (c *Client) isDue() bool {
	return time.Since(c.base.sweptAt) >= c.usersInterval && time.Since(c.failedAt) >= settling
}

// isCheaperThan tells whether a list cost the hub less than another, and nobody else a long wait.
func (s swept) isCheaperThan(other swept) bool {
	return s.took <= other.took && s.slowest <= maxPause
}

// update reads the users who are new and all groups, and makes the next listing of these and
// the last one. Its error is an errUnfit, an *Error or the context's.
func (c *Client) update(ctx context.Context) (*membership.Listing, error) {
	for range maxSweeps {
		next := *c.base
		next.pages = map[int]groupsPage{}
		update := c.base.listing.Update()
		if err := c.readNewUsers(ctx, &next, update); err != nil {
			return nil, err
		}
		cost, err := c.readGroups(ctx, &next, update)
		if err != nil {
			return nil, err
		}
		if !cost.steady {
			continue
		}
		if next.listing = update.Listing(); next.listing.Len() != next.users {
			break // two of one name
		}
		c.groups, c.isCheap = next.listing.Groups(), cost.isCheaperThan(next.cost)
		if c.base = &next; c.source == FromEither && !c.isCheap {
			c.base = nil
		}
		return next.listing, nil
	}
	return nil, errUnfit
}

// readNewUsers adds the users behind the newest one of the base.
func (c *Client) readNewUsers(ctx context.Context, next *base, update *membership.Update) error {
	known := false // whether the newest one was seen
	s, err := sweep(ctx, c, "users", next.users-1, fetchFrom[userJSON](c, "users"), func(items []userJSON, _ int) error {
		for _, u := range items {
			if err := c.checkUser(u); err != nil {
				return err
			}
			if !known {
				if u.Name != next.newest {
					return errUnfit
				}
				known = true
				continue
			}
			update.AddUser(u.user())
			next.users, next.newest = next.users+1, u.Name
		}
		return c.checkSize("users", update.Size())
	})
	if err == nil && (!s.steady || s.total != next.users) {
		err = errUnfit
	}
	return err
}

// readGroups tells an update the members of all groups.
func (c *Client) readGroups(ctx context.Context, next *base, update *membership.Update) (swept, error) {
	groups := 0
	s, err := sweep(ctx, c, "groups", 0, c.fetchGroups(next, update), func(items []membersJSON, _ int) error {
		groups += len(items)
		for _, g := range items {
			switch {
			case g.same:
				update.KeepMembers(g.Name)
			case len(g.Name) > maxName:
				return c.tooLarge("groups", fmt.Sprintf("a name in it is over %d KiB", maxName>>10))
			case !g.Users.present || g.Users.null:
				return errUnfit
			case g.unknown > 0:
				return errUnfit
			default:
				update.SetMembers(g.Name, g.members)
			}
		}
		return c.checkSize("groups", update.Size())
	})
	if err == nil && s.steady && groups != s.total {
		err = errUnfit // the total counts those too that the token may not read
	}
	return s, err
}

// fetchGroups asks for pages of groups, and for those that the base knows only whether
// they are the same.
func (c *Client) fetchGroups(next *base, update *membership.Update) fetch[membersJSON] {
	last := c.base.pages
	shrink := func(g *membersJSON) { // a page names all members of its groups
		g.members, g.unknown = update.Find(g.Users.value)
		g.Users.value = nil
	}
	return func(ctx context.Context, offset, limit int) (page[membersJSON], error) {
		told := last[offset]
		p := page[membersJSON]{shrink: shrink}
		answer, err := c.ask(ctx, pageOf("groups", offset, limit, told.etag), p.decode)
		if err != nil {
			return p, err
		}
		if !answer.same {
			told.page, told.shrink, told.etag = p, nil, answer.etag
			told.items = make([]membersJSON, len(p.items))
			for i, g := range p.items {
				told.items[i] = membersJSON{groupJSON: g.groupJSON, same: true}
			}
		} else {
			p = told.page
		}
		next.pages[offset] = told
		p.took = answer.took
		return p, nil
	}
}
