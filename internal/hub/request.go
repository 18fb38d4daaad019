package hub

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

const (
	// acceptPages asks for pages. A hub compares the whole header: with ";q=0.9" at its end the answer
	// is a bare list, silently cut off at the limit.
	acceptPages = "application/jupyterhub-pagination+json"
	maxBody     = 64 << 20 // bytes of an answer
	// maxText is how many bytes of an answer are held at a time: a user in 5,000 groups with long names
	// fits. Decoded, empty strings take the most memory, up to twelve times their text.
	maxText = 1 << 20
	// maxGroupText is the same for groups, whose members aren't decoded: 200,000 members with long names
	// fit.
	maxGroupText = 8 << 20
	// versionHeader is on each answer of a hub, whatever its status.
	versionHeader = "X-JupyterHub-Version"
	maxSaid       = 16 << 10    // bytes to read of an answer that isn't the hub's
	maxTries      = 4           // of a request
	maxWait       = time.Minute // for a Retry-After
)

// get makes a request and decodes the answer. It retries, with increasing waits, while the hub is
// unreachable or reports that it is busy.
func (c *Client) get(ctx context.Context, path string, query url.Values, decode func(*remote.Decoder) error) error {
	waits := backoff.NewExponentialBackOff()
	waits.Multiplier = 2
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := c.getOnce(ctx, c.token, path, query, decode)
		switch {
		case err == nil:
			return struct{}{}, nil
		case !err.temporary() || ctx.Err() != nil || err.RetryAfter > maxWait || !hasTimeFor(ctx, err.RetryAfter):
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

// hasTimeFor reports whether a wait ends before the context does. If it doesn't, the hub's own error
// says more than that time has run out.
func hasTimeFor(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || wait < time.Until(deadline)
}

// temporary reports whether a retry may help. A request that timed out is not repeated, because that
// would make a slow hub slower.
func (e *Error) temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e.Reason == Status
	default:
		return e.Reason == Connect && !errors.As(e.Err, new(*remote.WrongScheme))
	}
}

// getOnce makes one request. It makes all text from the server in its error safe to print.
func (c *Client) getOnce(ctx context.Context, token Token, path string, query url.Values, decode func(*remote.Decoder) error) (failed *Error) {
	u := c.o.API.JoinPath(path)
	address := u.String()
	defer func() {
		if failed != nil {
			failed.URL = address
			failed.Location = remote.Text(failed.Location, token.Reveal())
			failed.Problem = remote.Text(failed.Problem, token.Reveal())
			failed.Server = remote.Text(failed.Server, token.Reveal())
		}
	}()
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, remote.RequestURL(u).String(), nil)
	if err != nil {
		return networkError(err)
	}
	request.Header.Set("Accept", acceptPages)
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("Authorization", "token "+token.Reveal())
	request.Header.Set("User-Agent", c.o.UserAgent)
	response, err := c.http.Do(request)
	if err != nil {
		c.o.OnAnswer(0)
		return networkError(err)
	}
	defer response.Body.Close()
	c.o.OnAnswer(response.StatusCode)
	if response.StatusCode != http.StatusOK {
		return c.statusError(response)
	}
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); !strings.HasSuffix(mediaType, "json") {
		return malformed("its content type is %q, not JSON", mediaType)
	}
	// A hub doesn't compress, and 1 MiB of gzip can become 1 GiB.
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return malformed("its content encoding is %q, which was not asked for", encoding)
	}
	text := int64(maxText)
	if path == "groups" {
		text = maxGroupText
	}
	decoder := remote.NewDecoder(response.Body, maxBody, text)
	if err := decode(decoder); err != nil {
		return decodeError(decoder, err)
	}
	decoder.Drain()
	if response.Header.Get(versionHeader) == "" {
		c.unmarked.Store(true)
	}
	return nil
}

// statusError returns the Error for an answer that isn't 200. It is not the hub's if it lacks the header
// that a hub sends with every answer, unless the hub's good answers lack it too.
func (c *Client) statusError(response *http.Response) *Error {
	location, _, _ := strings.Cut(response.Header.Get("Location"), "?")
	failed := &Error{
		Reason: Status, Status: response.StatusCode, Location: location,
		RetryAfter: remote.RetryAfter(response.Header, time.Now()),
	}
	if response.Header.Get(versionHeader) == "" && !c.unmarked.Load() {
		failed.Foreign, failed.Server = true, response.Header.Get("Server")
		body, _ := io.ReadAll(io.LimitReader(response.Body, maxSaid)) // what there is of it will do
		failed.Problem = said(response.Header.Get("Content-Type"), string(body))
	}
	return failed
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// said returns what an answer says on one line: of a page, its title.
func said(contentType, body string) string {
	if mediaType, _, _ := mime.ParseMediaType(contentType); strings.HasSuffix(mediaType, "html") {
		found := title.FindStringSubmatch(body)
		if found == nil {
			return ""
		}
		body = html.UnescapeString(found[1])
	}
	return strings.Join(strings.Fields(body), " ")
}

// decodeError returns the Error for an answer that couldn't be decoded, because of the network or of its
// content.
func decodeError(d *remote.Decoder, err error) *Error {
	var (
		hubErr    *Error
		excess    remote.TooLarge
		syntaxErr *json.SyntaxError
		typeErr   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &hubErr):
		return hubErr
	case errors.As(d.ReadErr, &excess):
		return tooLarge("%s", excess)
	case errors.As(err, &syntaxErr):
		return malformed("no valid JSON at byte %d", d.InputOffset())
	case errors.As(err, &typeErr):
		return malformed("a JSON %s as %q", typeErr.Value, typeErr.Field)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || d.ReadErr != nil && !errors.Is(d.ReadErr, io.EOF):
		broken := networkError(err)
		if broken.Reason == Connect {
			broken.Problem = "the answer broke off: " + broken.Problem
		}
		return broken
	}
	return malformed("%v", err)
}
