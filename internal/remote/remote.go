// Package remote has what the clients of the hub and of Prometheus need: it parses addresses that operators write,
// finds out why a request failed, limits what is read of an answer, and makes text from a server safe to print.
package remote

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ParseURL parses the address of a server. Its errors don't repeat any of the address, which may hold a
// password by mistake.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case strings.Contains(address, "@"):
		return nil, errors.New("it contains a user name or password, which must not be in an address")
	case !strings.Contains(address, "://"):
		return nil, errors.New("it doesn't start with http:// or https://")
	case err != nil: // it quotes the port, or what it takes for one
		return nil, errors.New("it is not a valid URL, or its port is not a number")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it doesn't start with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("it names no host")
	case !isPort(u.Port()):
		return nil, errors.New("its port is not a number up to 65535")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it has a query or a fragment: leave out what begins with ? or #")
	}
	return u, nil
}

// ServerURL parses the address of a server as people paste it: a URL, the URL of a Unix socket, or a host and a port
// without a scheme. On this machine, the scheme is then http. For other hosts it isn't guessed, because a token may be
// sent there. Its errors don't repeat any of the address.
func ServerURL(address string) (*url.URL, error) {
	address = strings.TrimSpace(address)
	if u, err := ParseURL("http://" + address); err == nil && !strings.Contains(address, "://") && isLoopback(u.Hostname()) {
		return u, nil
	}
	return ParseURLOrSocket(address)
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// isPort reports whether a text is a port, or there is none.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil
}

// Text returns a text from outside that is safe to print in an error: redacted, and short.
func Text(text string, secrets ...string) string { return Short(Redact(text, secrets...)) }

// Short returns a text, cut off after 300 bytes.
func Short(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// ProxyAddress returns the address of the proxy on the way to a server, without its user and
// password, or "" if there is none. The function proxyOf is like the field Proxy of an
// http.Transport, and may be nil.
func ProxyAddress(proxyOf func(*http.Request) (*url.URL, error), server *url.URL) string {
	if proxyOf == nil {
		return ""
	}
	proxy, err := proxyOf(&http.Request{URL: server})
	if err != nil || proxy == nil {
		return ""
	}
	return (&url.URL{Scheme: proxy.Scheme, Host: proxy.Host}).String()
}

// RetryAfter returns the duration in the header Retry-After, which holds seconds or a date. It returns 0
// if there is no such header or it can't be parsed.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<31)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
