package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

const (
	// acceptPages asks for pages. A hub matches it exactly: with ";q=0.9" behind
	// it, it answers a bare list instead, cut off at the limit without a sign.
	acceptPages = "application/jupyterhub-pagination+json"
	// maxBody bounds an answer. A page of 200 users with 50 groups each is a
	// hundredth of it; a page of groups names all their members.
	maxBody = 64 << 20
	// maxGroups bounds the groups of one user, in bytes of JSON: a list is decoded as
	// a whole. It is room for 5,000 long names.
	maxGroups = 1 << 20
	// maxMembers bounds the members of one group in the same way: it is room for 200,000
	// long names.
	maxMembers = 8 << 20
	// maxPages bounds the requests of a sweep: 10 million users, or a hub that gives
	// one empty page after another.
	maxPages = 50_000
	// maxItems bounds what a page holds, a hundred times what a hub puts on one.
	maxItems = 20_000
	// maxTries is how often a request is made before its error counts.
	maxTries = 4
	// maxWait is the longest Retry-After that is waited for in a refresh.
	maxWait = time.Minute
	// maxRest is the longest rest between two pages.
	maxRest = 5 * time.Second
)

type userJSON struct {
	Name         string              `json:"name"`
	Groups       optional[groups]    `json:"groups"`
	LastActivity optional[time.Time] `json:"last_activity"`
	Servers      optional[servers]   `json:"servers"`
}

func (u userJSON) name() string { return u.Name }

func (u userJSON) user() membership.User {
	return membership.User{
		Name: u.Name, Groups: u.Groups.value,
		LastActivity: u.LastActivity.value, RunningServers: u.Servers.value.ready(),
	}
}

type groupJSON struct {
	Name string `json:"name"`
}

func (g groupJSON) name() string { return g.Name }

// membersJSON is a group with its members.
type membersJSON struct {
	groupJSON
	Users   optional[members]   `json:"users"`
	found   []membership.Member // in the place of Users
	unknown []string            // those of Users who aren't found
	same    bool                // as it was when it was told with this ETag
}

// groups are the names of a user's groups.
type groups []string

func (g *groups) UnmarshalJSON(data []byte) error {
	if len(data) > maxGroups {
		return errTooManyGroups
	}
	return json.Unmarshal(data, (*[]string)(g))
}

// members are the names of a group's members.
type members []string

func (m *members) UnmarshalJSON(data []byte) error {
	if len(data) > maxMembers {
		return errTooManyMembers
	}
	return json.Unmarshal(data, (*[]string)(m))
}

// servers are a user's active servers by name: those being started or stopped
// are in it too.
type servers map[string]struct {
	Ready bool `json:"ready"`
}

func (s servers) ready() int {
	n := 0
	for _, server := range s {
		if server.Ready {
			n++
		}
	}
	return n
}

// optional tells a key that is missing, which is how a hub says that the token
// may not read it, from one that is null.
type optional[T any] struct {
	value         T
	present, null bool
}

func (o *optional[T]) UnmarshalJSON(data []byte) error {
	o.present = true
	if string(data) == "null" {
		o.null = true
		return nil
	}
	if value, ok := any(&o.value).(json.Unmarshaler); ok {
		return value.UnmarshalJSON(data) // json.Unmarshal would check the bytes once more
	}
	return json.Unmarshal(data, &o.value)
}

type named interface{ name() string }

type page[T any] struct {
	items      []T // nil where the answer has none
	pagination *pagination
	took       time.Duration // until the hub had made it
	shrink     func(item *T) // makes an item small before the next is read, unless nil
}

type pagination struct {
	Limit int `json:"limit"`
	Total int `json:"total"`
	Next  *struct {
		Offset int `json:"offset"`
		Limit  int `json:"limit"`
	} `json:"next"`
}

// decode reads a page item by item, and of an item what T has: a page of groups
// names all their members, so it must not stand in memory as a whole.
func (p *page[T]) decode(d *json.Decoder) error {
	*p = page[T]{shrink: p.shrink}
	switch start, err := d.Token(); {
	case err != nil:
		return err
	case start == json.Delim('['):
		return unexpected("a bare list, where pages were asked for")
	case start != json.Delim('{'):
		return unexpected("no pages in it")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "items":
			err = p.decodeItems(d)
		case "_pagination":
			err = d.Decode(&p.pagination)
		default:
			err = d.Decode(&ignored{})
		}
		if err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (p *page[T]) decodeItems(d *json.Decoder) error {
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return cmp.Or(err, error(unexpected("no list as its items")))
	}
	p.items = make([]T, 0, pageLimit)
	for d.More() {
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		if len(p.items) == maxItems {
			return errTooManyItems
		}
		if p.shrink != nil {
			p.shrink(&item)
		}
		p.items = append(p.items, item)
	}
	_, err := d.Token()
	return err
}

// ignored is any JSON.
type ignored struct{}

func (ignored) UnmarshalJSON([]byte) error { return nil }

// unexpected is what is wrong with an answer that is JSON.
type unexpected string

func (u unexpected) Error() string { return string(u) }

// fetch asks for one page of a list.
type fetch[T any] func(ctx context.Context, offset, limit int) (page[T], error)

func fetchFrom[T any](c *Client, path string) fetch[T] {
	return func(ctx context.Context, offset, limit int) (p page[T], err error) {
		answer, err := c.ask(ctx, pageOf(path, offset, limit, ""), p.decode)
		p.took = answer.took
		return p, err
	}
}

func pageOf(path string, offset, limit int, etag string) question {
	return question{path, url.Values{"offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(limit)}}, etag}
}

// swept is how a list was told.
type swept struct {
	total, pages int
	// steady tells that the total was the same on all pages: one that changes means that
	// somebody was deleted, and the one behind fell between two pages.
	steady bool
	// took is how long the hub made the pages, and slowest the one of them that took
	// longest: so long nobody else got an answer.
	took, slowest time.Duration
}

// sweep asks for a list from an offset on, one page after another, and gives each page's
// items to add.
//
// It goes on by next's offset and limit against our own address: next.url is
// built from whatever host the request named, and the token must not go there.
func sweep[T named](ctx context.Context, c *Client, path string, offset int, get fetch[T], add func(items []T, total int) error) (swept, error) {
	s := swept{steady: true}
	limit := pageLimit
	var last []T
	for n := range maxPages {
		first := n == 0
		asked := time.Now()
		p, err := get(ctx, offset, limit)
		if err != nil {
			return swept{}, err
		}
		if p.pagination == nil || p.items == nil {
			return swept{}, c.formatError(path, "no pages in it")
		}
		if len(p.items) > 0 && slices.EqualFunc(p.items, last, func(a, b T) bool { return a.name() == b.name() }) {
			return swept{}, c.formatError(path, fmt.Sprintf("the page at offset %d repeats the one before", offset))
		}
		last = p.items
		if err := add(p.items, p.pagination.Total); err != nil {
			return swept{}, err
		}
		s.steady = s.steady && (first || p.pagination.Total == s.total)
		s.total, s.pages = p.pagination.Total, n+1
		s.took, s.slowest = s.took+p.took, max(s.slowest, p.took)
		next := p.pagination.Next
		if next == nil {
			return s, nil
		}
		if next.Offset <= offset || next.Limit <= 0 || next.Offset >= s.total {
			return swept{}, c.formatError(path, fmt.Sprintf("the page at offset %d of %d is followed by one at %d", offset, s.total, next.Offset))
		}
		offset, limit = next.Offset, next.Limit
		if c.patient {
			took := time.Since(asked)
			select {
			case <-time.After(max(min(took, maxRest), c.requestInterval-took)):
			case <-ctx.Done():
				return swept{}, context.Cause(ctx)
			}
		}
	}
	return swept{}, c.tooLarge(path, fmt.Sprintf("it has more than %d pages", maxPages))
}

// question is what a hub is asked. With the ETag of an earlier answer, it says only
// whether the answer is still the same.
type question struct {
	path  string
	query url.Values
	etag  string
}

// answer is what there is to know of an answer beside what is in it.
type answer struct {
	etag string
	same bool          // as the one with the question's ETag: it was not told again
	took time.Duration // until the hub had made it
}

// get gives the answer of a path to decode.
func (c *Client) get(ctx context.Context, path string, decode func(*json.Decoder) error) error {
	_, err := c.ask(ctx, question{path: path}, decode)
	return err
}

// ask gives the answer to one question to decode. It asks again, later and later,
// where the hub is away or says that it is busy; decode then starts anew.
func (c *Client) ask(ctx context.Context, q question, decode func(*json.Decoder) error) (answer, error) {
	waits := backoff.NewExponentialBackOff()
	waits.Multiplier = 2
	a, err := backoff.Retry(ctx, func() (answer, error) {
		a, err := c.askOnce(ctx, c.token, q, decode)
		switch {
		case err == nil:
			return a, nil
		case !err.temporary() || ctx.Err() != nil || err.RetryAfter > maxWait:
			return answer{}, backoff.Permanent(err)
		case err.RetryAfter > 0:
			return answer{}, errors.Join(err, &backoff.RetryAfterError{Duration: err.RetryAfter})
		default:
			return answer{}, err
		}
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(maxTries))
	if cause := context.Cause(ctx); cause != nil {
		return answer{}, cause
	}
	if hubErr, ok := errors.AsType[*Error](err); ok {
		return answer{}, hubErr // without what was joined to it
	}
	return a, err
}

// temporary tells whether asking again may help. A request that timed out is not
// repeated: a hub that is slow gets slower by it.
func (e *Error) temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e.Reason == Status
	default:
		return e.Reason == Connect
	}
}

func (c *Client) askOnce(ctx context.Context, token Token, q question, decode func(*json.Decoder) error) (answer, *Error) {
	u := c.api.JoinPath(q.path)
	address := u.String()
	u.RawQuery = q.query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, networkError(address, err)
	}
	request.Header.Set("Accept", acceptPages)
	request.Header.Set("Authorization", "token "+token.Reveal())
	request.Header.Set("User-Agent", c.userAgent)
	if q.etag != "" {
		request.Header.Set("If-None-Match", q.etag)
	}
	asked := time.Now()
	response, err := c.http.Do(request)
	took := time.Since(asked) // a hub makes an answer whole before it sends any of it
	if err != nil {
		c.onAnswer(0)
		return answer{}, networkError(address, err)
	}
	defer response.Body.Close()
	c.onAnswer(response.StatusCode)
	if response.StatusCode == http.StatusNotModified && q.etag != "" {
		return answer{etag: q.etag, same: true, took: took}, nil
	}
	if response.StatusCode != http.StatusOK {
		location, _, _ := strings.Cut(response.Header.Get("Location"), "?")
		return answer{}, &Error{
			Reason: Status, URL: address, Status: response.StatusCode,
			Location:   token.hideIn(location),
			RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
		}
	}
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); !strings.HasSuffix(mediaType, "json") {
		return answer{}, &Error{Reason: Format, URL: address, Status: response.StatusCode, Problem: fmt.Sprintf("its content type is %q, not JSON", token.hideIn(mediaType))}
	}
	body := &boundedReader{from: response.Body}
	decoder := json.NewDecoder(body)
	if err := decode(decoder); err != nil {
		return answer{}, body.explain(address, decoder.InputOffset(), err)
	}
	// To the end of the body, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, body)
	return answer{etag: response.Header.Get("ETag"), took: took}, nil
}

// boundedReader reads at most maxBody bytes, and remembers what went wrong.
type boundedReader struct {
	from io.Reader
	read int64
	err  error
}

var (
	errTooLarge       = fmt.Errorf("it is over %d MiB", maxBody>>20)
	errTooManyItems   = fmt.Errorf("a page of it has more than %d items", maxItems)
	errTooManyGroups  = fmt.Errorf("the groups of one user are over %d MiB", maxGroups>>20)
	errTooManyMembers = fmt.Errorf("the members of one group are over %d MiB", maxMembers>>20)
)

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.read += int64(n)
	if b.read > maxBody {
		n, err = 0, errTooLarge
	}
	b.err = err
	return n, err
}

// explain tells apart what went wrong when a body was decoded: reading it, or what
// is in it.
func (b *boundedReader) explain(address string, offset int64, err error) *Error {
	problem := err.Error()
	var (
		syntaxErr *json.SyntaxError
		typeErr   *json.UnmarshalTypeError
	)
	switch {
	case errors.Is(b.err, errTooLarge):
		return &Error{Reason: TooLarge, URL: address, Problem: errTooLarge.Error()}
	case errors.Is(err, errTooManyGroups), errors.Is(err, errTooManyMembers), errors.Is(err, errTooManyItems):
		return &Error{Reason: TooLarge, URL: address, Problem: err.Error()}
	case errors.As(err, &syntaxErr):
		problem = fmt.Sprintf("no valid JSON at byte %d", offset)
	case errors.As(err, &typeErr):
		problem = fmt.Sprintf("a JSON %s as %q", typeErr.Value, typeErr.Field)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || b.err != nil && !errors.Is(b.err, io.EOF):
		broken := networkError(address, err)
		if broken.Reason == Connect {
			broken.Err = fmt.Errorf("the answer broke off: %w", broken.Err)
		}
		return broken
	}
	return &Error{Reason: Format, URL: address, Problem: problem}
}

// retryAfter reads the header in both forms, seconds and a date. It is 0 where
// there is none, and where it can't be read.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<31)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
