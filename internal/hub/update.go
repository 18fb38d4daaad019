package hub

import (
	"context"
	"errors"
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
	// maxCostly is how often in a row groups may cost a hub too much before FromEither leaves
	// them. Now and then Python frees memory, which takes as long as a page of groups may: on
	// JupyterHub 6.1.1 with 3,000 users at every tenth refresh.
	maxCostly = 3
	// maxNew bounds the new users of a group, or of all; with more of them all users are read.
	maxNew = 5000
	// settling is for how long a hub that was away isn't asked for all its users, if that can
	// wait: JupyterHub 4 builds them anew after a start, for more than a millisecond each.
	settling = 5 * time.Minute
	// maxSettling is for how long at most: a hub may fail again and again.
	maxSettling = time.Hour
)

// base is what the next listing goes on from.
type base struct {
	listing *membership.Listing
	// users is how many the hub lists, and newest the last of them: they are in the order of
	// their creation. As long as that one has its place none was deleted, and those behind
	// are new.
	users  int
	newest string
	cost   swept              // of reading all users, at the listing's time
	pages  map[int]groupsPage // by offset, nil after all users were read
}

// groupsPage is a page of groups as last told, without their members, and what to ask
// with whether it is the same.
type groupsPage struct {
	names      []string
	pagination *pagination
	etag       string
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
	case c.source == FromEither && (c.costly >= maxCostly || len(missing) > 0):
		return nil, nil
	case result.Inconsistent || all.users == 0:
		return nil, nil
	}
	return all, nil
}

// isDue tells whether all users are to be read again.
func (c *Client) isDue() bool {
	age := time.Since(c.base.listing.At)
	return age >= c.usersInterval && time.Since(c.failedAt) >= settling || age >= c.usersInterval+maxSettling
}

// judge compares what reading groups cost the hub with what all users did. Groups have to be
// on one page too, which tells them at one moment.
func (c *Client) judge(groups, users swept) {
	if groups.pages == 1 && groups.took <= users.took && groups.slowest <= maxPause {
		c.costly = 0
	} else {
		c.costly++
	}
}

// isAway tells whether a hub gave no answer, or said that it is busy.
func isAway(err error) bool {
	hubErr, ok := errors.AsType[*Error](err)
	return ok && (hubErr.temporary() || hubErr.Reason == Timeout)
}

// isOfGroups tells whether an error is of groups, and not of users.
func (c *Client) isOfGroups(err error) bool {
	hubErr, ok := errors.AsType[*Error](err)
	return ok && hubErr.URL == c.url("groups")
}

// update reads all groups and the users who are new, and makes the next listing of these and
// the last one. Its error is an errUnfit, an *Error or the context's.
//
// Users come second: they are checked to be those that the groups were told of. Who came in
// between is told with groups as all users are, and if somebody went, nothing fits.
func (c *Client) update(ctx context.Context) (*membership.Listing, error) {
	for range maxSweeps {
		next := *c.base
		next.pages = map[int]groupsPage{}
		update := c.base.listing.Update()
		cost, unknown, err := c.readGroups(ctx, &next, update)
		if err != nil {
			return nil, err
		}
		if !cost.steady {
			continue
		}
		if err := c.readNewUsers(ctx, &next, update, unknown); err != nil {
			return nil, err
		}
		if next.listing = update.Listing(); next.listing.Len() != next.users {
			break // two of one name
		}
		c.judge(cost, next.cost)
		if c.base = &next; c.source == FromEither && c.costly >= maxCostly {
			c.base = nil
		}
		c.groups = next.listing.Groups()
		return next.listing, nil
	}
	return nil, errUnfit
}

// readNewUsers adds the users behind the newest one of the base, who have to be all that
// are unknown, and takes them off these.
func (c *Client) readNewUsers(ctx context.Context, next *base, update *membership.Update, unknown map[string]bool) error {
	known := false // whether the newest one was seen
	s, err := sweep(ctx, c, "users", next.users-1, fetchFrom[userJSON](c, "users"), func(items []userJSON, _ int) error {
		for _, u := range items {
			if err := c.checkUser(u); err != nil {
				return err
			}
			if !known {
				if u.Name != next.newest || u.tellsLessThan(next.listing) {
					return errUnfit
				}
				known = true
				continue
			}
			update.AddUser(u.user())
			delete(unknown, u.Name)
			next.users, next.newest = next.users+1, u.Name
		}
		return c.checkSize("users", update.Size())
	})
	if err == nil && (!known || !s.steady || s.total != next.users || len(unknown) > 0) {
		err = errUnfit
	}
	return err
}

// tellsLessThan tells whether the token may no longer read of a user what it could.
func (u userJSON) tellsLessThan(l *membership.Listing) bool {
	return l.HasActivity && !u.LastActivity.present || l.HasServers && !u.Servers.present
}

// readGroups tells an update the members of all groups. It gives the names of those that the
// base doesn't know.
func (c *Client) readGroups(ctx context.Context, next *base, update *membership.Update) (swept, map[string]bool, error) {
	groups, unknown := 0, map[string]bool{}
	s, err := sweep(ctx, c, "groups", 0, c.fetchGroups(next, update), func(items []membersJSON, _ int) error {
		groups += len(items)
		for _, g := range items {
			if err := c.checkGroup(g.groupJSON); err != nil {
				return err
			}
			switch {
			case g.same:
				update.KeepMembers(g.Name)
			case !g.Users.present || g.Users.null:
				return errUnfit
			default:
				update.SetMembers(g.Name, g.found)
				for _, name := range g.unknown {
					unknown[name] = true
				}
			}
		}
		if len(unknown) > maxNew {
			return errUnfit
		}
		return c.checkSize("groups", update.Size())
	})
	if err == nil && s.steady && groups != s.total {
		err = errUnfit // the total counts those too that the token may not read
	}
	return s, unknown, err
}

// fetchGroups asks for pages of groups, and for those that the base knows only whether
// they are the same.
func (c *Client) fetchGroups(next *base, update *membership.Update) fetch[membersJSON] {
	last := c.base.pages
	return func(ctx context.Context, offset, limit int) (page[membersJSON], error) {
		told := last[offset]
		p := page[membersJSON]{shrink: func(g *membersJSON) {
			g.found, g.unknown = update.Find(g.Users.value)
			g.Users.value = nil // a page has all members of 200 groups
			if len(g.unknown) > maxNew {
				g.unknown = slices.Clone(g.unknown[:maxNew+1])
			}
		}}
		answer, err := c.ask(ctx, pageOf("groups", offset, limit, told.etag), p.decode)
		if err != nil {
			return p, err
		}
		p.took = answer.took
		if answer.same {
			p.items, p.pagination = make([]membersJSON, len(told.names)), told.pagination
			for i, name := range told.names {
				p.items[i] = membersJSON{groupJSON: groupJSON{name}, same: true}
			}
		} else {
			told = groupsPage{make([]string, len(p.items)), p.pagination, answer.etag}
			for i, g := range p.items {
				told.names[i] = g.Name
			}
		}
		next.pages[offset] = told
		return p, nil
	}
}
