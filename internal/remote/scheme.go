package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// WrongScheme is the error if a server speaks another scheme than the one in its address.
type WrongScheme struct{ Speaks string } // "http" or "https"

func (e *WrongScheme) Error() string {
	if e.Speaks == "http" {
		return "the server speaks http, not https"
	}
	return "the server speaks https, not http"
}

const (
	// patience is how long a TLS handshake may take before the server is tried with http. Meanwhile, the
	// handshake goes on.
	patience = time.Second
	// probeTime limits one try.
	probeTime = 10 * time.Second
)

// SchemeTransport returns a transport that returns a WrongScheme if a server speaks http instead of https, or
// https instead of http. Many servers don't answer a request of the other scheme, or answer something that
// explains nothing. So when a request fails in such a way, SchemeTransport tries the other scheme, without
// anything of the request. It doesn't try a server behind a proxy.
func SchemeTransport(next http.RoundTripper) http.RoundTripper { return schemeTransport{next} }

type schemeTransport struct{ next http.RoundTripper }

func (t schemeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.roundTripTLS(r)
	}
	var direct bool
	response, err := t.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn: func(hostPort string) { direct = hostPort == address(r.URL) },
	})))
	suspicious := err != nil && isBroken(err) || err == nil && response.StatusCode == http.StatusBadRequest && !isJSON(response.Header)
	if !suspicious || !direct || !speaksTLS(r.Context(), address(r.URL)) {
		return response, err
	}
	if err == nil {
		_ = response.Body.Close()
	}
	return nil, &WrongScheme{"https"}
}

// roundTripTLS makes a request by https. It ends with a WrongScheme as soon as that is certain.
func (t schemeTransport) roundTripTLS(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	var (
		mu           sync.Mutex
		direct, done bool
		wait         *time.Timer
	)
	stop := func() {
		mu.Lock()
		defer mu.Unlock()
		done = true
		if wait != nil {
			wait.Stop()
		}
	}
	tryHTTP := func() {
		isHTTP := speaksHTTP(ctx, address(r.URL))
		mu.Lock()
		defer mu.Unlock()
		if isHTTP && !done {
			cancel(&WrongScheme{"http"})
		}
	}
	response, err := t.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(hostPort string) {
			mu.Lock()
			defer mu.Unlock()
			direct = hostPort == address(r.URL)
		},
		TLSHandshakeStart: func() {
			mu.Lock()
			defer mu.Unlock()
			if direct {
				wait = time.AfterFunc(patience, tryHTTP)
			}
		},
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			stop()
			if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(record.RecordHeader[:]) == "HTTP/" {
				cancel(&WrongScheme{"http"})
			}
		},
	})))
	stop()
	if err == nil {
		response.Body = body{response.Body, cancel} // which is read with the context
		return response, nil
	}
	cause := context.Cause(ctx)
	cancel(nil)
	if wrong, ok := errors.AsType[*WrongScheme](cause); ok {
		return nil, wrong
	}
	return nil, err
}

// body ends the request's context when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b body) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// address returns the host and port of a server, as GetConn gets them.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// isBroken reports whether a connection was closed instead of an answer, or the answer isn't HTTP.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		strings.Contains(err.Error(), "malformed HTTP")
}

func isJSON(header http.Header) bool {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return strings.HasSuffix(mediaType, "json")
}

// speaksHTTP reports whether a server answers a plain request. Servers with TLS may answer it too: that it is a
// bad request, or with a redirect to https.
func speaksHTTP(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil) //nolint:gosec // the operator's own server
	if err != nil {
		return false
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode != http.StatusBadRequest && !strings.HasPrefix(response.Header.Get("Location"), "https:")
}

// speaksTLS reports whether a server answers a TLS handshake, also if it then refuses it.
func speaksTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it sends nothing and believes nothing
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
		return true
	}
	opErr, ok := errors.AsType[*net.OpError](err)
	return ok && opErr.Op == "remote error" // an alert of TLS
}
