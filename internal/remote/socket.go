package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
)

// The schemes of a server on a Unix socket, as JupyterHub writes its own address:
// http+unix://%2Frun%2Fhub.sock/hub/api. In a *url.URL, the host is the path of the socket.
const (
	HTTPUnix  = "http+unix"
	HTTPSUnix = "https+unix"
)

// maxSocketPath is the longest path of a Unix socket in bytes, on Linux.
const maxSocketPath = 107

// ParseURLOrSocket parses the address of a server that may be on a Unix socket. Like those of ParseURL,
// its errors don't repeat any of the address.
func ParseURLOrSocket(address string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(address, "://")
	switch strings.ToLower(scheme) {
	case HTTPUnix, "unix+http": // JupyterHub's before version 6
		scheme = HTTPUnix
	case HTTPSUnix:
		scheme = HTTPSUnix
	default:
		return ParseURL(address)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	// net/url has no hosts with slashes.
	u, err := ParseURL("http://localhost" + rest[end:])
	if err != nil {
		return nil, err
	}
	path, err := url.PathUnescape(rest[:end])
	switch {
	case strings.Contains(rest, "@"):
		return nil, errors.New("it contains a user name or password, which must not be in an address")
	case err != nil:
		return nil, errors.New("it is not a valid URL")
	case path == "":
		return nil, errors.New("it names no socket: the slashes in the socket's path have to be written as %2F")
	}
	if err := CheckSocketPath(path); err != nil {
		return nil, err
	}
	u.Scheme, u.Host = scheme, path
	return u, nil
}

// CheckSocketPath returns an error for a path at which no Unix socket can be. The error doesn't repeat
// the path.
func CheckSocketPath(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return errors.New("the path of its socket is not absolute")
	case len(path) > maxSocketPath:
		return fmt.Errorf("the path of its socket is longer than %d bytes", maxSocketPath)
	case strings.Contains(path, "\x00"):
		return errors.New("the path of its socket has a NUL in it")
	}
	return nil
}

// Socket returns the path of the Unix socket in a URL, or "" if the URL has none.
func Socket(u *url.URL) string {
	if u.Scheme == HTTPUnix || u.Scheme == HTTPSUnix {
		return u.Host
	}
	return ""
}

// RequestURL returns the URL that net/http requests from a server: for one on a Unix socket, with
// DialSocket.
func RequestURL(u *url.URL) *url.URL {
	if Socket(u) == "" {
		return u
	}
	plain := *u
	plain.Scheme, plain.Host = strings.TrimSuffix(u.Scheme, "+unix"), "localhost"
	return &plain
}

// DialSocket returns the DialContext of an http.Transport that connects to a Unix socket, whatever the
// host of a request.
func DialSocket(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}
