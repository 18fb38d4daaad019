// Package prometheus queries Prometheus, or another server with the same HTTP API. UsageReader reads the usage of a
// hub's users. The package logs nothing.
package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// maxAnswer limits an answer's size in bytes: 250,000 directories of 120 bytes fit. Reading
// an answer takes several times as much memory.
const maxAnswer = 32 << 20

// Reasons returns the reasons of this package's errors.
func Reasons() []string {
	return []string{string(remote.Connect), string(remote.Timeout), string(remote.Status), string(remote.Query), string(remote.Partial), string(remote.Format), string(remote.TooLarge)}
}

// Client queries a Prometheus, or another server with its API. It is safe for concurrent
// use.
type Client struct {
	api     v1.API
	address string
	timeout time.Duration
	proxy   string // address of the proxy, or "" if there is none
}

// Options configure a Client.
type Options struct {
	// URL is the server's address, without /api/v1.
	URL *url.URL
	// HTTP configures credentials, certificate authorities and the proxy.
	HTTP config.HTTPClientConfig
	// Timeout limits each query. The client also sends it to the server.
	Timeout   time.Duration
	UserAgent string
	// Transport replaces the connection to the server, unless it is nil.
	Transport http.RoundTripper
}

// New returns a client. It makes no request. It returns an error if a file named in HTTP can't be used.
func New(o Options) (*Client, error) {
	client, err := config.NewClientFromConfig(o.HTTP, "prometheus", config.WithUserAgent(o.UserAgent))
	if err != nil {
		return nil, err
	}
	proxy := remote.ProxyAddress(o.HTTP.Proxy(), o.URL)
	if proxy == "" {
		client.Transport = remote.SchemeTransport(client.Transport)
	}
	client.Transport = bounded{client.Transport}
	if o.Transport != nil {
		client.Transport = o.Transport
	}
	follow := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		// Following a redirect to another host would send it secret headers from the configuration.
		if r.URL.Host != via[0].URL.Host || len(via) >= 10 {
			return http.ErrUseLastResponse
		}
		if follow != nil {
			return follow(r, via)
		}
		return nil
	}
	apiClient, err := api.NewClient(api.Config{Address: o.URL.String(), Client: client})
	if err != nil {
		return nil, err
	}
	return &Client{api: v1.NewAPI(checked{apiClient}), address: o.URL.String(), timeout: o.Timeout, proxy: proxy}, nil
}

// Query evaluates an instant query at the current time. Its error is a *remote.Error.
func (c *Client) Query(ctx context.Context, query string) (model.Vector, error) {
	value, err := c.QueryAt(ctx, query, time.Now())
	if err != nil {
		return nil, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, c.malformed("it is no vector")
	}
	if slices.ContainsFunc(vector, func(s *model.Sample) bool { return s.Histogram != nil || s.Timestamp == 0 }) {
		return nil, c.malformed("a sample has no value")
	}
	return vector, nil
}

// malformed returns the *remote.Error for an answer in another format.
func (c *Client) malformed(problem string) error {
	return c.failure(remote.Malformed("%s", problem), nil, &secrets{})
}

// LabelValues returns the values that a label has had between two times in series that match any of the selectors. They
// are sorted and not empty. Its error is a *remote.Error.
func (c *Client) LabelValues(ctx context.Context, label string, selectors []string, from, to time.Time) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, sent := withSecrets(ctx)
	values, warnings, _, err := c.api.LabelValues(ctx, label, selectors, from, to)
	if err := c.failure(err, warnings, sent); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(values))
	for _, value := range values {
		if value != "" {
			names = append(names, string(value))
		}
	}
	slices.Sort(names)
	return names, nil
}

// secrets collects the values of request headers, except for headers that never contain
// secrets. A server may repeat header values in its response.
type secrets struct {
	mu     sync.Mutex
	values []string
}

// withSecrets returns a context whose requests collect their secrets.
func withSecrets(ctx context.Context) (context.Context, *secrets) {
	s := &secrets{}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Host", "User-Agent",
			":Authority", ":Method", ":Path", ":Scheme":
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, value := range values {
			s.values = append(s.values, value)
			s.values = append(s.values, strings.Fields(value)...) // without "Bearer"
		}
	}}), s
}

func (s *secrets) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values)
}

// bounded limits responses to maxAnswer bytes.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}

// checked turns partial answers, and statuses that Prometheus' API doesn't use, into a
// *remote.Error.
type checked struct{ api.Client }

func (c checked) Do(ctx context.Context, r *http.Request) (*http.Response, []byte, error) {
	// With this parameter, a VictoriaMetrics cluster returns an error if a part of it is
	// down. Other servers ignore it.
	query := r.URL.Query()
	query.Set("deny_partial_response", "1")
	r.URL.RawQuery = query.Encode()
	response, body, err := c.Client.Do(ctx, r)
	if err != nil {
		return response, body, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		switch {
		case isPartial(body):
			return response, body, &remote.Error{Reason: remote.Partial, Problem: "it says isPartial"}
		case withoutValue.Match(body): // the API client would read the value as 0
			return response, body, remote.Malformed("a sample has no value")
		}
		return response, body, nil
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return response, body, nil // makes the API client repeat the POST as a GET
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		if json.Valid(body) {
			return response, body, nil // the body says what is wrong with the query
		}
	}
	return response, body, &remote.Error{Reason: remote.Status, Status: response.StatusCode}
}

var withoutValue = regexp.MustCompile(`"value"\s*:\s*\[[^,\]]*\]`)

// isPartial reports whether a VictoriaMetrics cluster answered without some of its storage
// nodes. It sets a field of the answer instead of a warning.
func isPartial(body []byte) bool {
	if !bytes.Contains(body, []byte("isPartial")) {
		return false
	}
	var answer struct{ IsPartial bool }
	return json.Unmarshal(body, &answer) == nil && answer.IsPartial
}

// failure returns the *remote.Error for a failed request, and also for an answer with warnings:
// Thanos and others warn if a part is missing, and then the sums are too low.
func (c *Client) failure(err error, warnings v1.Warnings, sent *secrets) error {
	if err == nil && len(warnings) == 0 {
		return nil
	}
	failed, ok := errors.AsType[*remote.Error](err)
	apiErr, isAPI := errors.AsType[*v1.Error](err)
	switch {
	case ok: // from this package, or the error of another request that canceled this one
		other := *failed
		failed = &other
	case err == nil:
		failed = &remote.Error{Reason: remote.Partial, Problem: strings.Join(warnings, "; ")}
	case errors.As(err, new(*http.MaxBytesError)):
		failed = remote.Oversized("it is over %d MiB", maxAnswer>>20)
	case isAPI && (apiErr.Type == v1.ErrBadData || apiErr.Type == v1.ErrExec):
		failed = &remote.Error{Reason: remote.Query, Problem: apiErr.Msg}
	case isAPI:
		failed = remote.Malformed("%s", apiErr.Msg)
	default:
		failed = remote.NetworkError(err)
	}
	failed.Server, failed.URL, failed.Proxy = "Prometheus", c.address, c.proxy
	failed.Problem = remote.Text(failed.Problem, sent.all()...)
	return failed
}
