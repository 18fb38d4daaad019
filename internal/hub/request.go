package hub

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

const (
	// acceptPages asks for pages. A hub compares the whole header: with ";q=0.9" at its end the answer
	// is a bare list, silently cut off at the limit.
	acceptPages = "application/jupyterhub-pagination+json"
	maxBody     = 64 << 20 // bytes of an answer
	// maxText limits how many bytes of an answer are held at a time: a user in 5,000 groups with long names
	// fits. Decoded, empty strings take the most memory, up to twelve times their text.
	maxText = 1 << 20
	// maxGroupText is the same for groups, whose members aren't decoded: 200,000 members with long names
	// fit.
	maxGroupText = 8 << 20
	// versionHeader is in every answer of a hub, whatever its status.
	versionHeader = "X-JupyterHub-Version"
	maxErrorBody  = 16 << 10 // bytes to read of a proxy's answer
	maxTries      = 4        // of a request
	firstWait     = 500 * time.Millisecond
	maxRetryAfter = time.Minute
)

// get makes a request and decodes the answer. While the hub is unreachable or busy, it retries after a wait that
// doubles each time, or that the hub asks for. Its error is a *remote.Error, or the context's.
func (c *Client) get(ctx context.Context, path string, query url.Values, decode func(*remote.Decoder) error) error {
	wait := firstWait
	for try := 1; ; try++ {
		failed := c.getOnce(ctx, c.token, path, query, decode)
		if failed == nil {
			return nil
		}
		pause := cmp.Or(failed.RetryAfter, wait/2+rand.N(wait))
		deadline, _ := ctx.Deadline()
		if try == maxTries || !isTemporary(failed) || pause > maxRetryAfter || pause > time.Until(deadline) {
			return cmp.Or(context.Cause(ctx), error(failed))
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		wait *= 2
	}
}

// sleep waits, or returns the cause of the context's end.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isTemporary reports whether a retry may help. A request that timed out is not repeated, because that
// would make a slow hub slower.
func isTemporary(err *remote.Error) bool {
	busy := []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	return slices.Contains(busy, err.Status) || err.Reason == remote.Connect && !errors.As(err.Err, new(*remote.WrongScheme))
}

// getOnce makes one request. All text from the server in its error is safe to print.
func (c *Client) getOnce(ctx context.Context, token Token, path string, query url.Values, decode func(*remote.Decoder) error) (failed *remote.Error) {
	defer func() {
		if failed != nil {
			failed.Problem = remote.Text(failed.Problem, token.Reveal())
			failed = c.failure(path, *failed)
		}
	}()
	u := c.o.API.JoinPath(path)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, remote.RequestURL(u).String(), nil)
	if err != nil {
		return remote.NetworkError(err)
	}
	request.Header.Set("Accept", acceptPages)
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("Authorization", "token "+token.Reveal())
	request.Header.Set("User-Agent", c.o.UserAgent)
	response, err := c.http.Do(request)
	if err != nil {
		c.o.OnAnswer(0)
		return remote.NetworkError(err)
	}
	defer response.Body.Close()
	c.o.OnAnswer(response.StatusCode)
	if response.StatusCode != http.StatusOK {
		return c.statusError(response)
	}
	if contentType := response.Header.Get("Content-Type"); !strings.Contains(contentType, "json") {
		return remote.Malformed("its content type is %q, not JSON", contentType)
	}
	// A hub doesn't compress, and 1 MiB of gzip can become 1 GiB.
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return remote.Malformed("its content encoding is %q, which was not requested", encoding)
	}
	text := int64(maxText)
	if path == "groups" {
		text = maxGroupText
	}
	decoder := remote.NewDecoder(response.Body, maxBody, text)
	if err := decode(decoder); err != nil {
		return remote.DecodeError(err)
	}
	decoder.Drain()
	if response.Header.Get(versionHeader) == "" {
		c.unmarked.Store(true)
	}
	return nil
}

// statusError returns the Error for an answer that isn't 200. It is not the hub's if it lacks the header
// that a hub sends with every answer, unless the hub's good answers lack it too.
func (c *Client) statusError(response *http.Response) *remote.Error {
	failed := &remote.Error{
		Reason: remote.Status, Status: response.StatusCode, RetryAfter: remote.RetryAfter(response.Header, time.Now()),
		Intermediary: response.Header.Get(versionHeader) == "" && !c.unmarked.Load(),
	}
	var facts []string
	if location, _, _ := strings.Cut(response.Header.Get("Location"), "?"); location != "" {
		facts = append(facts, "redirect to "+location)
	}
	if failed.Intermediary {
		facts = append(facts, response.Header.Get("Server"))
		if strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
			body, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorBody)) // a part of it is enough
			facts = append(facts, strings.Join(strings.Fields(string(body)), " "))
		}
	}
	failed.Problem = strings.Join(slices.DeleteFunc(facts, func(fact string) bool { return fact == "" }), ": ")
	return failed
}
