// Package remote has what clients of all HTTP servers have in common: addresses as operators write
// them, why a server can't be reached, and what a server says in a form that is safe to print.
package remote

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// ParseURL reads the address of a server. No error repeats any of it: there may be a
// password in it, by mistake.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case strings.Contains(address, "@"):
		return nil, errors.New("it holds a user name or password, which have another place")
	case err != nil: // it quotes the port, or what it takes for one
		return nil, errors.New("it is not a valid URL, or its port is not a number")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it doesn't start with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("it names no host")
	case !isPort(u.Port()):
		return nil, errors.New("its port is not a number up to 65535")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it has a query or a fragment")
	}
	return u, nil
}

// isPort reports whether a text is a port, or there is none.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil
}

// Text returns a text from outside that is safe to print in an error: redacted, and short.
func Text(text string, secrets ...string) string { return Short(Redact(text, secrets...)) }

// Short returns the beginning of a text that has no bound.
func Short(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// IsTimeout tells whether the network's error is that time was up.
func IsTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

// Cause is what went wrong in the network, like "connection refused". What is left
// off, of addresses and system calls, names our own port: the same failure gives
// the same text.
func Cause(err error) error {
	// Nested where a token is fetched first; each repeats its address.
	for urlErr, ok := errors.AsType[*url.Error](err); ok; urlErr, ok = errors.AsType[*url.Error](err) {
		err = urlErr.Err
	}
	if opErr, ok := errors.AsType[*net.OpError](err); ok {
		err = opErr.Err
		if sysErr, ok := errors.AsType[*os.SyscallError](err); ok {
			err = sysErr.Err
		}
	}
	return err
}
