// Package hub asks a JupyterHub's REST API who its users and groups are. It
// returns what the hub said, whole, or a typed Error; it applies no rules and logs
// nothing.
//
// A hub is one process with one thread, and whatever a request costs, everybody
// else waits for. So pages are asked for one after another, on one connection, and by
// a patient client with rests between them.
package hub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

const (
	// pageLimit is the largest page that a hub gives by default
	// (JupyterHub.api_page_max_limit); a hub that gives less says so.
	pageLimit = 200
	// maxSweeps is how often the users are listed at most, where some were deleted
	// meanwhile.
	maxSweeps = 3
	// groupsAge is how long it takes at most until a group without members is known, and
	// a scope that was granted counts.
	groupsAge = time.Hour
	// maxListing bounds what a listing takes of memory, in bytes: 3 million users with
	// names of 30 characters, or a hub without an end.
	maxListing = 256 << 20
	// maxName bounds a user's or a group's name, in bytes. A hub's database has room
	// for 255 characters, where it checks.
	maxName = 4 << 10
	// maxGrow is for how many users there is made room at once, on the word of a
	// hub's total.
	maxGrow = 200_000
)

// Token is a JupyterHub API token. It is behind a pointer, so that no log, error or
// %+v of whatever holds it shows it: fmt calls no String of an unexported field.
type Token struct{ secret *string }

// NewToken makes a token of its text.
func NewToken(text string) Token { return Token{&text} }

// Reveal gives the text, "" of the zero Token.
func (t Token) Reveal() string {
	if t.secret == nil {
		return ""
	}
	return *t.secret
}

// String hides the token.
func (Token) String() string { return "[token]" }

// GoString hides the token.
func (Token) GoString() string { return "[token]" }

// Options say how to reach a hub.
type Options struct {
	// API is the address of the REST API, which APIURL gives.
	API *url.URL
	// Token gives our token. It is asked for each time that the hub is listed, and
	// again where the hub refuses it: it may have been replaced.
	Token func() (Token, error)
	// Timeout bounds one request, with its body.
	Timeout time.Duration
	// TLS is for a hub behind https; nil uses the system's authorities.
	TLS *tls.Config
	// UserAgent is how we name ourselves to the hub.
	UserAgent string
	// OnAnswer is called for every request with the answer's status code, or 0
	// where none came.
	OnAnswer func(code int)
	// Patient lets the hub rest between two pages for as long as the first of them
	// took, so that listing takes half of its time at most.
	Patient bool
	// Transport replaces the network in tests.
	Transport http.RoundTripper
}

// Client asks one hub. List is not for concurrent use: a hub is asked one thing
// at a time.
type Client struct {
	api       *url.URL
	readToken func() (Token, error)
	token     Token // of the listing under way
	http      *http.Client
	userAgent string
	onAnswer  func(code int)
	patient   bool
	// groups are the names of all groups as of groupsAt, none if the token may not list them.
	// A failed refresh resets groupsAt, so that the next one reads them again.
	groups   []string
	groupsAt time.Time
}

// Result is a hub's listing and what has to be said about it.
type Result struct {
	Listing *membership.Listing
	// Inconsistent tells that the list of users changed during each of the sweeps,
	// so somebody may be missing.
	Inconsistent bool
	// GroupsError is why the hub's groups could not be read, and so those without members may be
	// missing. nil where they were read, and where the token just may not.
	GroupsError error
}

// APIURL returns the address of the REST API for the address that an operator
// gives: the API's own, ending in /hub/api, or the hub's root.
func APIURL(address string) (*url.URL, error) {
	u, err := remote.ParseURL(address)
	if err != nil {
		return nil, err
	}
	path := strings.TrimRight(u.Path, "/")
	if !strings.HasSuffix(path, "/hub/api") {
		path += "/hub/api"
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}, nil
}

// New returns a client that has asked nothing yet.
func New(o Options) *Client {
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     o.TLS,
			TLSHandshakeTimeout: o.Timeout,
			IdleConnTimeout:     90 * time.Second,
			// A hub's headers are short; 64 KiB is room for any proxy's.
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	onAnswer := o.OnAnswer
	if onAnswer == nil {
		onAnswer = func(int) {}
	}
	return &Client{
		api:       o.API,
		readToken: o.Token,
		http: &http.Client{
			Transport: transport,
			Timeout:   o.Timeout,
			// A hub's API never redirects; where it would lead, the token must
			// not go. The redirect comes back as an answer that isn't 200.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		userAgent: o.UserAgent,
		onAnswer:  onAnswer,
		patient:   o.Patient,
	}
}

// List returns every user of the hub with its groups, and where the token may
// list them, the names of all groups. Any error is an *Error, or the context's.
func (c *Client) List(ctx context.Context) (Result, error) {
	var err error
	if c.token, err = c.readToken(); err != nil {
		return Result{}, &Error{Reason: BadToken, URL: c.api.String(), Err: err}
	}
	result, err := c.list(ctx)
	if isForbidden(err) {
		// It may have been replaced after we read it.
		if token, readErr := c.readToken(); readErr == nil && token.Reveal() != c.token.Reveal() {
			c.token, c.groupsAt = token, time.Time{}
			result, err = c.list(ctx)
		}
	}
	if err != nil {
		c.groupsAt = time.Time{}
		return Result{}, err
	}
	return result, nil
}

func (c *Client) list(ctx context.Context) (Result, error) {
	var result Result
	for range maxSweeps {
		listing, whole, err := c.readUsers(ctx)
		if err != nil {
			return Result{}, c.explain(ctx, err)
		}
		result.Listing, result.Inconsistent = listing, !whole
		if whole {
			break
		}
	}
	result.GroupsError = c.addGroups(ctx, result.Listing)
	return result, ctx.Err()
}

// readUsers lists all users once. It reports whether the list is whole.
func (c *Client) readUsers(ctx context.Context) (*membership.Listing, bool, error) {
	listing := &membership.Listing{At: time.Now(), HasActivity: true, HasServers: true}
	total := 0
	steady, err := sweep(ctx, c, "users", func(items []userJSON, listed int) error {
		total = listed
		listing.Grow(min(total, maxGrow))
		for _, u := range items {
			if err := c.checkUser(u); err != nil {
				return err
			}
			listing.Add(u.user())
			listing.HasActivity = listing.HasActivity && u.LastActivity.present
			listing.HasServers = listing.HasServers && u.Servers.present
		}
		return c.checkSize("users", listing.Size())
	})
	return listing, steady && listing.Len() >= total, err
}

// checkUser tells what is wrong with a user.
func (c *Client) checkUser(u userJSON) error {
	switch {
	case u.Name == "":
		return c.formatError("users", "a user without a name")
	case len(u.Name) > maxName, slices.ContainsFunc(u.Groups.value, func(g string) bool { return len(g) > maxName }):
		return c.tooLarge("users", fmt.Sprintf("a name in it is over %d KiB", maxName>>10))
	case !u.Groups.present:
		return &Error{Reason: Scope, URL: c.url("users"), Scopes: []string{"read:users:groups"}}
	case u.Groups.null:
		return c.formatError("users", "null as the groups of a user")
	}
	return nil
}

// checkGroup tells what is wrong with a group.
func (c *Client) checkGroup(g groupJSON) error {
	if len(g.Name) > maxName {
		return c.tooLarge("groups", fmt.Sprintf("a name in it is over %d KiB", maxName>>10))
	}
	return nil
}

// addGroups adds the names of all groups to a listing, if the token may list them: users name no
// group without members. To list groups the hub looks up the members of all of them, whether or not
// the token may read those, and answers nobody else meanwhile: a quarter of a second with 3,000
// users. So groups are listed once in a while, and not at every refresh.
func (c *Client) addGroups(ctx context.Context, listing *membership.Listing) error {
	if c.groupsAt.IsZero() || time.Since(c.groupsAt) > groupsAge {
		if err := c.readGroupNames(ctx, listing.Size()); err != nil {
			return err
		}
		c.groupsAt = time.Now()
	}
	listing.AddGroups(c.groups...)
	return nil
}

// readGroupNames reads the names of all groups, which are kept beside a listing of that size. It
// reads the token's scopes first, because the hub logs a warning when it refuses a request.
func (c *Client) readGroupNames(ctx context.Context, size int) error {
	c.groups = nil
	scopes, err := c.ownScopes(ctx)
	if err != nil || !holds(scopes, "list:groups") {
		return err
	}
	var names []string
	if _, err := sweep(ctx, c, "groups", func(items []groupJSON, _ int) error {
		for _, g := range items {
			if err := c.checkGroup(g); err != nil {
				return err
			}
			names = append(names, g.Name)
			size += len(g.Name)
		}
		return c.checkSize("groups", size)
	}); err != nil {
		return err // all or none
	}
	c.groups = names
	return nil
}

// ownScopes returns the scopes of the client's own token. Any token may read its own.
func (c *Client) ownScopes(ctx context.Context) ([]string, error) {
	self := ownJSON{Scopes: []string{}}
	err := c.get(ctx, "user", nil, self.decode)
	return self.Scopes, err
}

type ownJSON struct {
	Scopes []string `json:"scopes"`
}

func (o *ownJSON) decode(d *json.Decoder) error { return d.Decode(o) }

// ScopesOf asks what a caller may do who showed a token, and whether the hub knows
// it. It asks once, and is for concurrent use. Its error is an *Error.
func (c *Client) ScopesOf(ctx context.Context, token Token) (scopes []string, known bool, err error) {
	var caller ownJSON
	askErr := c.getOnce(ctx, token, "user", nil, caller.decode)
	switch {
	case askErr == nil:
		return caller.Scopes, true, nil
	case isForbidden(askErr):
		return nil, false, nil
	default:
		return nil, false, askErr
	}
}

// holds tells whether a scope is among them, for all or, behind a "!", for some.
func holds(scopes []string, scope string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return s == scope || strings.HasPrefix(s, scope+"!") })
}

// explain finds out what a 403 means, which says both "I don't know this token"
// and "it may not do that": the hub tells the scopes of a token that it knows.
func (c *Client) explain(ctx context.Context, err error) error {
	if !isForbidden(err) {
		return err
	}
	scopes, selfErr := c.ownScopes(ctx)
	switch {
	case isForbidden(selfErr):
		return &Error{Reason: BadToken, URL: c.url("user"), Status: http.StatusForbidden}
	case selfErr != nil:
		return err // the first answer says more than a second failure
	}
	missing := slices.DeleteFunc([]string{"list:users", "read:users:groups"}, func(scope string) bool { return holds(scopes, scope) })
	if len(missing) == 0 {
		return err
	}
	return &Error{Reason: Scope, URL: c.url("users"), Status: http.StatusForbidden, Scopes: missing}
}

func isForbidden(err error) bool {
	hubErr, ok := errors.AsType[*Error](err)
	return ok && hubErr.Status == http.StatusForbidden
}

func (c *Client) url(path string) string { return c.api.JoinPath(path).String() }

func (c *Client) checkSize(path string, size int) error {
	if size > maxListing {
		return c.tooLarge(path, fmt.Sprintf("all of it takes more than %d MiB", maxListing>>20))
	}
	return nil
}

func (c *Client) tooLarge(path, problem string) *Error {
	return &Error{Reason: TooLarge, URL: c.url(path), Problem: problem}
}

func (c *Client) formatError(path, problem string) *Error {
	return &Error{Reason: Format, URL: c.url(path), Problem: problem}
}
