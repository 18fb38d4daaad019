package remote

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Reason is the reason why a request failed. It is the value of the metrics' label reason.
type Reason string

// The reasons. Only a hub has BadToken and Scope, and only a Prometheus has Query and Partial.
const (
	Connect  Reason = "connect"   // no connection, or a broken one
	Timeout  Reason = "timeout"   // no complete answer in time
	BadToken Reason = "token"     // the hub rejects the token, or the token can't be read
	Scope    Reason = "scope"     // the token is missing a scope
	Status   Reason = "status"    // any other status than 200
	Query    Reason = "query"     // Prometheus can't evaluate the query
	Partial  Reason = "partial"   // the answer may be incomplete
	Format   Reason = "format"    // a 200 that has another format
	TooLarge Reason = "too_large" // an answer over a limit
)

// Error is the error of a request to a hub or a Prometheus.
type Error struct {
	Reason Reason
	Server string // "hub" or "Prometheus"
	URL    string // of the request, or of the server
	Status int    // the HTTP status code, 0 if there was no answer
	// Problem is what went wrong in more detail, and for Scope the whole text. Text from the server in it is safe to
	// print.
	Problem string
	Proxy   string // the address of the proxy that the request goes through, "" if there is none
	// Intermediary reports whether the answer isn't that of the server, but of a proxy or a service mesh in front of it.
	Intermediary bool
	RetryAfter   time.Duration // how long the server asks to wait
	// Err is the network error, for Connect, or the reason why the token can't be read, for BadToken. The text of the
	// network error may contain text from the server.
	Err error
}

// Error returns what went wrong in one sentence.
func (e *Error) Error() string {
	server := "the " + e.Server + " at " + e.URL
	problem := ""
	if e.Problem != "" {
		problem = ": " + e.Problem
	}
	switch e.Reason {
	case Connect:
		return server + " can't be reached" + problem
	case Timeout:
		return server + " doesn't answer in time" + problem
	case BadToken:
		if e.Err != nil {
			return "there is no token for " + server + ": " + e.Err.Error()
		}
		return server + " doesn't accept the token"
	case Scope:
		return e.Problem
	case Status:
		if e.Intermediary {
			server = "a proxy in front of " + server
		}
		return strings.TrimSpace(fmt.Sprintf("%s answered %d %s", server, e.Status, http.StatusText(e.Status))) + problem
	case Query:
		return server + " can't answer the query" + problem
	case Partial:
		return "the answer of " + server + " may be incomplete" + problem
	case TooLarge:
		return "the answer of " + server + " is too large" + problem
	default:
		return "the server at " + e.URL + " doesn't answer like a " + e.Server + problem
	}
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// NetworkError returns the Error for what an http.Client returned, or a read of the body.
func NetworkError(err error) *Error {
	if isTimeout(err) {
		return &Error{Reason: Timeout}
	}
	cause := Cause(err)
	return &Error{Reason: Connect, Problem: cause.Error(), Err: cause}
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

// Malformed returns the Error for an answer in another format.
func Malformed(format string, args ...any) *Error {
	return &Error{Reason: Format, Problem: fmt.Sprintf(format, args...)}
}

// Oversized returns the Error for an answer that exceeds a limit.
func Oversized(format string, args ...any) *Error {
	return &Error{Reason: TooLarge, Problem: fmt.Sprintf(format, args...)}
}

// Cause returns what went wrong in the network, like "connection refused", without addresses and system
// calls. Addresses include the client's own port, so the text of the same failure would change.
func Cause(err error) error {
	// These are nested if a token is fetched first, and each repeats its address.
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
