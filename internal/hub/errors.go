package hub

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// Reason says in a word why a hub could not be listed: a value of a metric's
// label, so there are few.
type Reason string

// The reasons.
const (
	Connect  Reason = "connect"   // no connection, or it broke
	Timeout  Reason = "timeout"   // no whole answer in time
	BadToken Reason = "token"     // the hub doesn't know the token
	Scope    Reason = "scope"     // the token may not read what is asked for
	Status   Reason = "status"    // any other answer that isn't 200
	Format   Reason = "format"    // a 200 that isn't what a JupyterHub says
	TooLarge Reason = "too_large" // an answer over the bound
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{Connect, Timeout, BadToken, Scope, Status, Format, TooLarge}
}

// Error is all that can go wrong between us and a hub.
type Error struct {
	Reason Reason
	// URL is what was asked for.
	URL string
	// Status is the answer's status code, 0 where none came.
	Status int
	// Location is where an answer redirects to.
	Location string
	// Scopes are those that the token lacks, for Scope.
	Scopes []string
	// Problem is what went wrong, for Connect, Format and TooLarge. Like Location it comes from
	// outside in part, and is made safe to print.
	Problem string
	// RetryAfter is how long the hub asks us to wait, for Status.
	RetryAfter time.Duration
	// Err is the network's error, for Connect, and why the token can't be read, for BadToken. The
	// text of the former is not safe to print: the server may have written any of it.
	Err error
}

func (e *Error) Error() string {
	switch e.Reason {
	case Connect:
		return fmt.Sprintf("the hub at %s can't be reached: %s", e.URL, e.Problem)
	case Timeout:
		return fmt.Sprintf("the hub at %s doesn't answer in time", e.URL)
	case BadToken:
		if e.Err != nil {
			return fmt.Sprintf("there is no token for the hub at %s: %v", e.URL, e.Err)
		}
		return fmt.Sprintf("the hub at %s doesn't accept the token", e.URL)
	case Scope:
		return fmt.Sprintf("the hub at %s doesn't tell all that is needed: the token lacks %s", e.URL, strings.Join(e.Scopes, " and "))
	case Status:
		redirect := ""
		if e.Location != "" {
			redirect = " to " + e.Location
		}
		return strings.TrimSpace(fmt.Sprintf("the hub at %s answered %d %s", e.URL, e.Status, http.StatusText(e.Status))) + redirect
	case TooLarge:
		return fmt.Sprintf("the answer of %s is too large: %s", e.URL, e.Problem)
	default:
		return fmt.Sprintf("the answer of %s is not a JupyterHub's: %s", e.URL, e.Problem)
	}
}

// Unwrap gives the error below.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter gives how long the hub asks us to wait, 0 where it doesn't.
func RetryAfter(err error) time.Duration {
	if hubErr, ok := errors.AsType[*Error](err); ok {
		return hubErr.RetryAfter
	}
	return 0
}

// networkError turns what http.Client returned, before or in the body, into an
// Error.
func networkError(address string, err error) *Error {
	if remote.IsTimeout(err) {
		return &Error{Reason: Timeout, URL: address}
	}
	cause := remote.Cause(err)
	return &Error{Reason: Connect, URL: address, Problem: cause.Error(), Err: cause}
}
