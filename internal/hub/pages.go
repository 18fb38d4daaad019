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
	"github.com/groups-exporter/groups-exporter/internal/remote"
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

// groups are the names of a user's groups.
type groups []string

func (g *groups) UnmarshalJSON(data []byte) error {
	if len(data) > maxGroups {
		return errTooManyGroups
	}
	return json.Unmarshal(data, (*[]string)(g))
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
	*p = page[T]{}
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

// readPage reads one page of a list.
func readPage[T any](ctx context.Context, c *Client, path string, offset, limit int) (page[T], error) {
	var p page[T]
	query := url.Values{"offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(limit)}}
	if err := c.get(ctx, path, query, p.decode); err != nil {
		return p, err
	}
	if p.pagination == nil || p.items == nil {
		return p, c.formatError(path, "no pages in it")
	}
	return p, nil
}

// sweep reads a list, one page after another, and passes each page's items to add. It reports
// whether the total was the same on all pages: one that changes means that somebody was deleted, and
// another one fell between two pages.
//
// It goes on by next's offset and limit against our own address: next.url is
// built from whatever host the request named, and the token must not go there.
func sweep[T named](ctx context.Context, c *Client, path string, add func(items []T, total int) error) (bool, error) {
	offset, limit := 0, pageLimit
	total, steady := 0, true
	var last []T
	for n := range maxPages {
		asked := time.Now()
		p, err := readPage[T](ctx, c, path, offset, limit)
		if err != nil {
			return false, err
		}
		if len(p.items) > 0 && slices.EqualFunc(p.items, last, func(a, b T) bool { return a.name() == b.name() }) {
			return false, c.formatError(path, fmt.Sprintf("the page at offset %d repeats the one before", offset))
		}
		last = p.items
		if err := add(p.items, p.pagination.Total); err != nil {
			return false, err
		}
		steady = steady && (n == 0 || p.pagination.Total == total)
		total = p.pagination.Total
		next := p.pagination.Next
		if next == nil {
			return steady, nil
		}
		if next.Offset <= offset || next.Limit <= 0 || next.Offset >= total {
			return false, c.formatError(path, fmt.Sprintf("the page at offset %d of %d is followed by one at %d", offset, total, next.Offset))
		}
		offset, limit = next.Offset, next.Limit
		if c.patient {
			select {
			case <-time.After(min(time.Since(asked), maxRest)):
			case <-ctx.Done():
				return false, context.Cause(ctx)
			}
		}
	}
	return false, c.tooLarge(path, fmt.Sprintf("it has more than %d pages", maxPages))
}

// get requests a path and passes the answer to decode. It retries, with growing waits, while the
// hub is away or says that it is busy; decode then starts anew.
func (c *Client) get(ctx context.Context, path string, query url.Values, decode func(*json.Decoder) error) error {
	waits := backoff.NewExponentialBackOff()
	waits.Multiplier = 2
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := c.getOnce(ctx, c.token, path, query, decode)
		switch {
		case err == nil:
			return struct{}{}, nil
		case !err.temporary() || ctx.Err() != nil || err.RetryAfter > maxWait:
			return struct{}{}, backoff.Permanent(err)
		case err.RetryAfter > 0:
			return struct{}{}, errors.Join(err, &backoff.RetryAfterError{Duration: err.RetryAfter})
		default:
			return struct{}{}, err
		}
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(maxTries))
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if hubErr, ok := errors.AsType[*Error](err); ok {
		return hubErr // without what was joined to it
	}
	return err
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

func (c *Client) getOnce(ctx context.Context, token Token, path string, query url.Values, decode func(*json.Decoder) error) (failed *Error) {
	defer func() {
		if failed != nil { // with what the server wrote, in one place
			failed.Location = remote.Text(failed.Location, token.Reveal())
			failed.Problem = remote.Text(failed.Problem, token.Reveal())
		}
	}()
	u := c.api.JoinPath(path)
	address := u.String()
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return networkError(address, err)
	}
	request.Header.Set("Accept", acceptPages)
	request.Header.Set("Authorization", "token "+token.Reveal())
	request.Header.Set("User-Agent", c.userAgent)
	response, err := c.http.Do(request)
	if err != nil {
		c.onAnswer(0)
		return networkError(address, err)
	}
	defer response.Body.Close()
	c.onAnswer(response.StatusCode)
	if response.StatusCode != http.StatusOK {
		location, _, _ := strings.Cut(response.Header.Get("Location"), "?")
		return &Error{
			Reason: Status, URL: address, Status: response.StatusCode,
			Location:   location,
			RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
		}
	}
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); !strings.HasSuffix(mediaType, "json") {
		return &Error{Reason: Format, URL: address, Status: response.StatusCode, Problem: fmt.Sprintf("its content type is %q, not JSON", mediaType)}
	}
	body := &boundedReader{from: response.Body}
	decoder := json.NewDecoder(body)
	if err := decode(decoder); err != nil {
		return body.explain(address, decoder.InputOffset(), err)
	}
	// To the end of the body, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, body)
	return nil
}

// boundedReader reads at most maxBody bytes, and remembers what went wrong.
type boundedReader struct {
	from io.Reader
	read int64
	err  error
}

var (
	errTooLarge      = fmt.Errorf("it is over %d MiB", maxBody>>20)
	errTooManyItems  = fmt.Errorf("a page of it has more than %d items", maxItems)
	errTooManyGroups = fmt.Errorf("the groups of one user are over %d MiB", maxGroups>>20)
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
	case errors.Is(err, errTooManyGroups), errors.Is(err, errTooManyItems):
		return &Error{Reason: TooLarge, URL: address, Problem: err.Error()}
	case errors.As(err, &syntaxErr):
		problem = fmt.Sprintf("no valid JSON at byte %d", offset)
	case errors.As(err, &typeErr):
		problem = fmt.Sprintf("a JSON %s as %q", typeErr.Value, typeErr.Field)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || b.err != nil && !errors.Is(b.err, io.EOF):
		broken := networkError(address, err)
		if broken.Reason == Connect {
			broken.Problem = "the answer broke off: " + broken.Problem
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
