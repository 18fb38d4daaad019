// Package hub reads users and groups from a JupyterHub's REST API. It returns everything that the hub
// lists, or a *remote.Error. It applies no rules and logs nothing.
//
// A hub is one process with one thread: while it works on a request, everybody else waits. So pages
// are requested one after another, on one connection, and the exporter pauses between them.
package hub

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

const (
	maxSweeps = 3 // of a list that changes while it is read
	// scopesAge is how long the token's scopes and the names of groups are cached.
	scopesAge = time.Hour
	// maxListing is the most memory that a listing may take, in bytes: 500,000 users fit.
	maxListing = 48 << 20
)

// Reasons returns the reasons of this package's errors.
func Reasons() []string {
	return []string{string(remote.Connect), string(remote.Timeout), string(remote.BadToken), string(remote.Scope), string(remote.Status), string(remote.Format), string(remote.TooLarge)}
}

// Token is a JupyterHub API token. Its text is behind a function, so that no log, error or %+v of a
// struct that holds it shows it.
type Token struct{ reveal func() string }

// NewToken returns the token with a text.
func NewToken(text string) Token { return Token{func() string { return text }} }

// Reveal returns the token's text, "" for the zero Token.
func (t Token) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Options say how to reach a hub.
type Options struct {
	API *url.URL // of the REST API, as APIURL returns it
	// Token is called for each listing, and again if the hub refuses the token, which may be rotated.
	Token   func() (Token, error)
	Timeout time.Duration // of one request, with the body of its answer
	// TLS is called for each request, and returns the configuration for https. If it isn't the one of the
	// request before, connections are opened anew. A nil TLS trusts the system's certificate authorities.
	TLS       func() *tls.Config
	UserAgent string         // the client's name for the hub
	OnAnswer  func(code int) // called for every request, with 0 if there is no answer; may be nil
	// RequireWhole makes it an error if the token's scopes cover a part of the hub only, or can't be read.
	RequireWhole bool
	// StoppedServers includes stopped servers in Result.Servers.
	StoppedServers bool
	// Properties returns the names of the properties of groups to read. It is called for each listing, and may be nil. If
	// it returns any, it is an error if the groups can't be read.
	Properties func() []string
	// Interval is the time between calls of List, 0 if List is called once. A whole listing may take that
	// long, or ten times Timeout if that is longer. If it isn't 0, the client pauses after each page for as
	// long as the page took, so that it uses at most half of the hub's time.
	Interval  time.Duration
	Transport http.RoundTripper // replaces the network in tests
}

// Client reads from one hub. Except for ScopesOf, its methods are not safe for concurrent use.
type Client struct {
	o     Options
	http  *http.Client
	proxy string // address of the proxy, or "" if there is none
	token Token  // for the current listing
	// groups has all groups as of scopesAt. It is empty if the token may not list them.
	groups groups
	// lack is what the token's scopes lack. While they have filters, they are read for each listing.
	lack     scopes.Lack
	scopesAt time.Time   // zero after a failure, or for a new token
	forget   atomic.Bool // set by Forget until the next listing
	// unmarked is set if the hub's good answers lack versionHeader, because a proxy removes it.
	unmarked atomic.Bool
}

// Result is a hub's listing and how it came about.
type Result struct {
	Listing *membership.Listing
	// Inconsistent reports whether so many users were deleted during each of the sweeps that a user may
	// be missing.
	Inconsistent bool
	// Servers are the names of users' named servers, if Options.StoppedServers is set and the token may read them.
	Servers map[string][]string
	// Filtered are the needed scopes that the token has for a part of the hub only, each with its filter,
	// like list:users!group=bio. It is empty if the token has them for the whole hub.
	Filtered []string
	// ScopesError is why the token's scopes can't be read, so that Filtered isn't known.
	ScopesError error
	// GroupsError is why groups without members may be missing, nil if the token may not list them.
	GroupsError error
	// Properties has the values of the properties that Options.Properties names, as JSON, by group and name.
	Properties map[string]map[string]json.RawMessage
}

// New returns a client that has not made a request yet.
func New(o Options) *Client {
	proxy := remote.ProxyAddress(http.ProxyFromEnvironment, o.API)
	if o.Transport == nil {
		o.Transport = newTransport(o, proxy)
	}
	if o.OnAnswer == nil {
		o.OnAnswer = func(int) {}
	}
	if o.Properties == nil {
		o.Properties = func() []string { return nil }
	}
	return &Client{o: o, proxy: proxy, http: &http.Client{
		Transport: o.Transport,
		Timeout:   o.Timeout,
		// A hub's API never redirects, and the token must not be sent elsewhere. A redirect is returned as
		// an answer that isn't 200.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// List returns every user of the hub with the user's groups and, if the token may list them, the names
// of all groups. Any error is a *remote.Error, or the context's.
func (c *Client) List(ctx context.Context) (Result, error) {
	bounded, cancel := c.bound(ctx)
	defer cancel()
	if err := c.readToken(); err != nil {
		return Result{}, err
	}
	if c.forget.Swap(false) {
		c.scopesAt = time.Time{}
	}
	used := c.token
	result, err := c.list(bounded)
	if err != nil && c.readToken() == nil && c.token.Reveal() != used.Reveal() { // it was rotated meanwhile
		result, err = c.list(bounded)
	}
	if err = cmp.Or(err, context.Cause(ctx)); err != nil {
		c.scopesAt = time.Time{}
		return Result{}, err
	}
	return result, nil
}

// Forget makes the next listing read the token's scopes and the groups again. It is safe for concurrent use.
func (c *Client) Forget() { c.forget.Store(true) }

// bound returns a context that limits the time of all requests of a listing or an inspection together.
// Even if each request is answered in time, there could always be one more.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	most := max(c.o.Interval, 10*c.o.Timeout)
	return context.WithTimeoutCause(ctx, most, c.failure("", remote.Error{
		Reason: remote.Timeout, Problem: fmt.Sprintf("all requests together took longer than %v", most),
	}))
}

// failure returns the error of a request for a path of the API.
func (c *Client) failure(path string, err remote.Error) *remote.Error {
	err.Server, err.URL, err.Proxy = "hub", c.o.API.JoinPath(path).String(), c.proxy
	return &err
}

func (c *Client) readToken() error {
	token, err := c.o.Token()
	if err != nil {
		return c.failure("", remote.Error{Reason: remote.BadToken, Err: err})
	}
	if token.Reveal() != c.token.Reveal() {
		c.scopesAt = time.Time{}
	}
	c.token = token
	return nil
}

func (c *Client) list(ctx context.Context) (Result, error) {
	var result Result
	for range maxSweeps {
		listing, servers, whole, err := c.readUsers(ctx)
		if err != nil {
			return Result{}, c.explain(ctx, err)
		}
		result.Listing, result.Servers, result.Inconsistent = listing, servers, !whole
		if whole {
			break
		}
	}
	properties := c.o.Properties()
	c.addScopes(ctx, &result, properties)
	switch {
	case len(properties) > 0 && result.GroupsError != nil:
		return Result{}, result.GroupsError
	case !c.o.RequireWhole:
		return result, nil
	case result.ScopesError != nil:
		return Result{}, result.ScopesError
	case len(result.Filtered) > 0:
		return Result{}, c.scopeError("users", c.lack)
	}
	return result, nil
}

// readUsers lists all users once, and the names of their servers if Options.StoppedServers is set. It reports whether
// the list is whole.
func (c *Client) readUsers(ctx context.Context) (*membership.Listing, map[string][]string, bool, error) {
	servers, size := map[string][]string{}, 0
	listing := &membership.Listing{At: time.Now(), HasActivity: true, HasServers: true, HasCreated: true}
	whole, err := c.sweep(ctx, "users", func(users []item) error {
		for _, u := range users {
			if err := u.checkUser(); err != nil {
				return c.failure("users", *err)
			}
			listing.Add(membership.User{
				Name: u.Name, Groups: u.Groups.value,
				LastActivity: u.LastActivity.value, Created: u.Created.value,
				RunningServers: u.Servers.value.ready, ActiveServers: u.Servers.value.active,
			})
			listing.HasActivity = listing.HasActivity && u.LastActivity.present
			listing.HasServers = listing.HasServers && u.Servers.present
			listing.HasCreated = listing.HasCreated && u.Created.present
			if named := u.Servers.value.named; c.o.StoppedServers && len(named) > 0 {
				servers[u.Name] = named
				bytes, _ := item{Servers: u.Servers}.size()
				size += bytes
			}
		}
		return c.checkSize("users", listing.Size()+size)
	})
	return listing, servers, whole, err
}

// addScopes adds to a result what depends on the token's scopes: their filters, and the names and properties of all
// groups. It reads the scopes once an hour. While the scopes have filters, it reads them each time, so that a corrected
// role takes effect at the next refresh.
func (c *Client) addScopes(ctx context.Context, result *Result, properties []string) {
	isDue := time.Since(c.scopesAt) > scopesAge || !c.groups.covers(properties, result.Listing)
	if isDue || len(c.lack.Parts) > 0 {
		self, err := c.identity(ctx)
		if err != nil {
			result.ScopesError, result.GroupsError = err, err
			return
		}
		c.lack = scopes.Memberships().Check(self.Scopes)
		if isDue {
			if result.GroupsError = c.readGroups(ctx, self.Scopes, properties, result.Listing.Size()); result.GroupsError == nil {
				c.scopesAt = time.Now()
			}
		}
	}
	result.Filtered = c.lack.Parts
	if result.GroupsError == nil {
		result.Listing.AddGroups(c.groups.names...)
		result.Properties = c.groups.properties
	}
}

// scopeError returns the error for a token that lacks scopes, or that has them for a part of the hub only, to read a
// path.
func (c *Client) scopeError(path string, lack scopes.Lack) *remote.Error {
	names, note := lack.Missing, ""
	if len(names) == 0 {
		names, note = lack.Partly, " for the whole hub (it has "+remote.Short(strings.Join(lack.Parts, ", "))+")"
	}
	text := "the hub token is missing the scope "
	if len(names) > 1 {
		text = "the hub token is missing the scopes "
	}
	return c.failure(path, remote.Error{Reason: remote.Scope, Problem: text + strings.Join(names, " and ") + note})
}

func (c *Client) checkSize(path string, size int) error {
	if size > maxListing {
		return c.failure(path, *remote.Oversized("all of it takes more than %d MiB", maxListing>>20))
	}
	return nil
}

// identity is the owner of a token, and the token's scopes.
type identity struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

// identity returns the identity of the client's own token, which any token may read. The filters of the scopes
// are safe to print.
func (c *Client) identity(ctx context.Context) (identity, error) {
	var self identity
	err := c.get(ctx, "user", nil, func(d *remote.Decoder) error { return d.Decode(&self) })
	if isForbidden(err) {
		err = c.failure("user", remote.Error{Reason: remote.BadToken})
	}
	for i, scope := range self.Scopes {
		self.Scopes[i] = remote.Text(scope, c.token.Reveal())
	}
	return self, err
}

// ScopesOf returns the scopes of the token that a caller sent, and whether the hub accepts the token. It makes one
// request, and is safe for concurrent use. Its error is a *remote.Error.
func (c *Client) ScopesOf(ctx context.Context, token Token) (scopes []string, known bool, err error) {
	var caller identity
	failed := c.getOnce(ctx, token, "user", nil, func(d *remote.Decoder) error { return d.Decode(&caller) })
	switch {
	case failed == nil:
		return caller.Scopes, true, nil
	case isForbidden(failed):
		return nil, false, nil
	}
	return nil, false, failed
}

// explain finds out whether a 403 means that the hub doesn't know the token, or that the token lacks a
// scope: a hub returns the scopes of a token that it knows. A user without the key groups means that the
// token lacks the scope for that user. Some filters, like "!server=", let nobody be listed.
func (c *Client) explain(ctx context.Context, err error) error {
	if failed, ok := errors.AsType[*remote.Error](err); !ok || failed.Reason != remote.Scope && !isForbidden(err) {
		return err
	}
	self, selfErr := c.identity(ctx)
	if failed, ok := errors.AsType[*remote.Error](selfErr); ok && failed.Reason == remote.BadToken {
		return failed
	}
	if lack := scopes.Memberships().Check(self.Scopes); selfErr == nil && !lack.None() {
		return c.scopeError("users", lack)
	}
	return err // it is more informative than a second failure
}

// isForbidden reports whether the hub itself refused a request.
func isForbidden(err error) bool {
	failed, ok := errors.AsType[*remote.Error](err)
	return ok && failed.Status == http.StatusForbidden && !failed.Intermediary
}
