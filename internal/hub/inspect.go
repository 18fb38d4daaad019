package hub

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Inspection is what a hub tells in a few requests of itself and of our token.
type Inspection struct {
	Version string
	// Kind and Name are whose the token is: a "user" or a "service".
	Kind, Name string
	// Scopes are the token's, as the hub tells them. There are none before JupyterHub
	// 2.0, nor what follows.
	Scopes []string
	// PageLimit is how many items the hub puts on a page, of those that we ask for; 0
	// where the token may list nothing.
	PageLimit int
	// Users and Groups are the first pages of both lists, nil where the token may not
	// list them.
	Users, Groups *Sample
}

// Sample is the first page of a list.
type Sample struct {
	Total int // of the whole list
	Items int // on this page
	// Joined is how many of these are on one side of a membership: users in a group, or
	// groups with a user. Told tells whether the token may read that.
	Joined int
	Told   bool
}

// Inspect asks a hub what the token may do, without reading its lists. Any error is
// an *Error, or the context's.
func (c *Client) Inspect(ctx context.Context) (*Inspection, error) {
	var err error
	if c.token, err = c.readToken(); err != nil {
		return nil, &Error{Reason: BadToken, URL: c.api.String(), Err: err}
	}
	var found struct {
		Version string `json:"version"`
	}
	if err := c.get(ctx, "/", nil, func(d *json.Decoder) error { return d.Decode(&found) }); err != nil {
		return nil, err
	}
	if found.Version == "" {
		return nil, c.formatError("/", "no version in it")
	}
	var self struct {
		Kind   string   `json:"kind"`
		Name   string   `json:"name"`
		Scopes []string `json:"scopes"`
	}
	if err := c.get(ctx, "user", nil, func(d *json.Decoder) error { return d.Decode(&self) }); err != nil {
		if isForbidden(err) {
			err = &Error{Reason: BadToken, URL: c.url("user"), Status: http.StatusForbidden}
		}
		return nil, err
	}
	i := &Inspection{Version: found.Version, Kind: self.Kind, Name: self.Name, Scopes: self.Scopes}
	if !i.HasPages() {
		return i, nil
	}
	if i.Users, err = inspect(ctx, c, i, "list:users", "users", pageLimit, func(u userJSON) (joined, told bool) {
		return len(u.Groups.value) > 0, u.Groups.present
	}); err != nil {
		return nil, err
	}
	limit := pageLimit
	if i.Users != nil && i.Users.Joined > 0 {
		limit = 1 // their number is all that there is to know; a group comes with all its members
	}
	if i.Groups, err = inspect(ctx, c, i, "list:groups", "groups", limit, func(g groupWithUsersJSON) (joined, told bool) {
		return len(g.Users.value) > 0, g.Users.present
	}); err != nil {
		return nil, err
	}
	return i, nil
}

type groupWithUsersJSON struct {
	Users optional[[]ignored] `json:"users"`
}

// inspect asks for the first page of a list, where the token has the scope for it.
func inspect[T any](ctx context.Context, c *Client, i *Inspection, scope, path string, limit int, look func(T) (joined, told bool)) (*Sample, error) {
	whole, parts := i.Grants(scope)
	if !whole && len(parts) == 0 {
		return nil, nil //nolint:nilnil // nothing to see is no error
	}
	p, err := readPage[T](ctx, c, path, 0, limit)
	switch {
	case isForbidden(err) && !whole:
		return nil, nil //nolint:nilnil // a filter that the hub doesn't take, like "!server="
	case err != nil:
		return nil, err
	case p.pagination.Limit < 1:
		return nil, c.formatError(path, "no pages in it")
	}
	i.PageLimit = max(i.PageLimit, p.pagination.Limit)
	sample := &Sample{Total: p.pagination.Total, Items: len(p.items), Told: len(p.items) > 0}
	for _, item := range p.items {
		joined, told := look(item)
		if joined {
			sample.Joined++
		}
		sample.Told = sample.Told && told
	}
	return sample, nil
}

// HasPages tells whether the hub gives lists page by page, and tokens scopes: both
// came with JupyterHub 2.0.
func (i *Inspection) HasPages() bool { return !i.Before(2) }

// Before tells whether the hub is older than a version, given as its numbers. One
// whose version can't be read isn't.
func (i *Inspection) Before(version ...int) bool {
	var own []int
	for part := range strings.SplitSeq(i.Version, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		own = append(own, n)
		if digits != part {
			break // "0b2"
		}
	}
	return len(own) > 0 && slices.Compare(own, version) < 0
}

// Requests is how many requests it takes to list all that the token may, 0 where it
// may not list users.
func (i *Inspection) Requests() int {
	if i.Users == nil {
		return 0
	}
	requests := i.pages(i.Users)
	if i.Groups != nil {
		requests += i.pages(i.Groups)
	}
	return requests
}

func (i *Inspection) pages(of *Sample) int {
	return max(1, (of.Total-1)/i.PageLimit+1)
}

// Grants tells whether the token has a scope for the whole hub, and if not, for which
// parts: the scope with each filter that it has.
func (i *Inspection) Grants(scope string) (whole bool, parts []string) {
	for _, held := range i.Scopes {
		base, filter, filtered := strings.Cut(held, "!")
		switch {
		case !brings(base, scope):
		case !filtered:
			return true, nil
		default:
			parts = append(parts, scope+"!"+filter)
		}
	}
	slices.Sort(parts)
	return false, slices.Compact(parts)
}

// Writes gives those of the token's scopes that do more than read, without what
// others of them bring along.
func (i *Inspection) Writes() []string {
	var writes []string
	for _, scope := range i.Scopes {
		if onlyReads(scope) || slices.ContainsFunc(i.Scopes, func(other string) bool { return other != scope && covers(other, scope) }) {
			continue
		}
		writes = append(writes, scope)
	}
	slices.Sort(writes)
	return slices.Compact(writes)
}

// onlyReads tells whether nothing can be changed by a scope: neither the hub nor,
// through access:servers, what is its users'. It leaves out the custom ones, which
// the hub itself knows nothing of.
func onlyReads(scope string) bool {
	base, _, _ := strings.Cut(scope, "!")
	switch base {
	case "inherit", "self", "(no_scope)", "admin-ui", "access:services":
		return true
	}
	return slices.ContainsFunc([]string{"read:", "list:", "custom:"}, func(prefix string) bool { return strings.HasPrefix(base, prefix) })
}

// covers tells whether a scope brings another, with its filter, along.
func covers(scope, other string) bool {
	base, filter, filtered := strings.Cut(scope, "!")
	otherBase, otherFilter, _ := strings.Cut(other, "!")
	return brings(base, otherBase) && (!filtered || filter == otherFilter)
}

// implied gives the scopes that a scope brings along. Hubs list all of them in what
// they tell of a token; this is for those that don't, and to say less.
func implied() map[string][]string {
	return map[string][]string{
		"admin:users":    {"users", "delete:users", "admin:auth_state", "read:roles:users"},
		"users":          {"list:users", "read:users", "users:activity"},
		"users:activity": {"read:users:activity"},
		"read:users":     {"read:users:name", "read:users:groups", "read:users:activity"},
		"admin:groups":   {"groups", "delete:groups", "read:roles:groups"},
		"groups":         {"list:groups", "read:groups"},
		"admin:servers":  {"servers", "admin:server_state"},
		"servers":        {"read:servers", "start:servers", "delete:servers"},
		"tokens":         {"read:tokens"},
		"shares":         {"access:servers", "read:shares", "users:shares", "groups:shares"},
	}
}

// brings tells whether a scope without filters is another or brings it along.
func brings(scope, other string) bool {
	return scope == other || slices.ContainsFunc(implied()[scope], func(s string) bool { return brings(s, other) })
}
