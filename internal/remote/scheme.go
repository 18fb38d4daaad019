package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// HandshakeTimeout limits a TLS handshake. A server that speaks http may wait for the rest of a request instead of
// refusing the handshake: a JupyterHub does.
const HandshakeTimeout = 5 * time.Second

// WrongScheme is the error if a server speaks another scheme than the one in its address.
type WrongScheme struct{ Speaks string } // "http" or "https"

func (e *WrongScheme) Error() string {
	return "the server speaks " + e.Speaks + ", not " + otherScheme(e.Speaks)
}

func otherScheme(scheme string) string {
	if scheme == "http" {
		return "https"
	}
	return "http"
}

// SchemeTransport returns a transport that returns a WrongScheme if a server speaks http instead of https, or
// https instead of http. The errors of such requests explain nothing, so SchemeTransport tries the other scheme after
// a failure. It sends nothing of the request, and connects to the server directly, so don't use it behind a proxy.
func SchemeTransport(next http.RoundTripper) http.RoundTripper { return schemeTransport{next} }

type schemeTransport struct{ next http.RoundTripper }

func (t schemeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	other := otherScheme(r.URL.Scheme)
	record, isPlain := errors.AsType[tls.RecordHeaderError](err)
	var suspicious bool
	switch {
	case err == nil:
		// Many servers with TLS answer a plain request with 400. A hub and a Prometheus answer a bad request in JSON.
		suspicious = response.StatusCode == http.StatusBadRequest && !strings.Contains(response.Header.Get("Content-Type"), "json")
	case isPlain && string(record.RecordHeader[:]) == "HTTP/": // in answer to a TLS handshake
		return nil, &WrongScheme{"http"}
	default:
		suspicious = other == "https" || isTimeout(err)
	}
	if !suspicious || !speaks(r.Context(), other, r.URL) {
		return response, err
	}
	if err == nil {
		_ = response.Body.Close()
	}
	return nil, &WrongScheme{other}
}

// speaks reports whether the server of a URL speaks a scheme.
func speaks(ctx context.Context, scheme string, u *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	address := u.Host
	if u.Port() == "" {
		address += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	if scheme == "https" {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it sends nothing and trusts no answer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			return true
		}
		opErr, ok := errors.AsType[*net.OpError](err)
		return ok && opErr.Op == "remote error" // a TLS alert
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil) //nolint:gosec // the operator's own server
	if err != nil {
		return false
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	// A server with TLS may answer a plain request too: with 400, or with a redirect to https.
	return response.StatusCode != http.StatusBadRequest && !strings.HasPrefix(response.Header.Get("Location"), "https:")
}
