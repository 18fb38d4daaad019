package hub

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// Reason is why a hub could not be read, in a word: the value of a metric's label.
type Reason string

// The reasons.
const (
	Connect  Reason = "connect"   // no connection, or it broke
	Timeout  Reason = "timeout"   // no whole answer in time, or not all answers
	BadToken Reason = "token"     // the hub doesn't know the token
	Scope    Reason = "scope"     // the token lacks a scope
	Status   Reason = "status"    // any other answer that isn't 200, or one that isn't the hub's
	Format   Reason = "format"    // a 200 that isn't a JupyterHub's
	TooLarge Reason = "too_large" // an answer over a bound
)

// Reasons returns all reasons.
func Reasons() []string {
	return []string{string(Connect), string(Timeout), string(BadToken), string(Scope), string(Status), string(Format), string(TooLarge)}
}

// Error is an error of a request to a hub.
type Error struct {
	Reason     Reason
	URL        string        // of the request
	Status     int           // of the answer, 0 if there is none
	RetryAfter time.Duration // as the answer asks for
	Scopes     []string      // that the token lacks, for Scope
	Filtered   []string      // that it has for a part of the hub only, if it lacks Scopes for the rest
	// Foreign reports whether an answer with this Status isn't the hub's, but that of something in between:
	// a proxy, an ingress, a service mesh. Problem is what it says, and Server what it calls itself.
	Foreign bool
	Server  string
	// Location is where an answer redirects to, and Problem is what went wrong, unless Status or Scopes
	// say so. Both may contain text from the server, and are made safe to print.
	Location, Problem string
	// Err is the network's error, for Connect, or the reason why the token can't be read, for BadToken.
	// The network's error is not safe to print.
	Err error
}

func (e *Error) Error() string {
	switch e.Reason {
	case Connect:
		return fmt.Sprintf("the hub at %s can't be reached: %s", e.URL, e.Problem)
	case Timeout:
		return strings.TrimSuffix(fmt.Sprintf("the hub at %s doesn't answer in time: %s", e.URL, e.Problem), ": ")
	case BadToken:
		if e.Err != nil {
			return fmt.Sprintf("there is no token for the hub at %s: %v", e.URL, e.Err)
		}
		return fmt.Sprintf("the hub at %s doesn't accept the token", e.URL)
	case Scope:
		lack := "scope "
		if len(e.Scopes) > 1 {
			lack = "scopes "
		}
		lack += strings.Join(e.Scopes, " and ")
		if len(e.Filtered) > 0 {
			lack += " for the whole hub (it has " + remote.Short(strings.Join(e.Filtered, ", ")) + ")"
		}
		return fmt.Sprintf("the hub token is missing the %s at %s", lack, e.URL)
	case Status:
		redirect := ""
		if e.Location != "" {
			redirect = " to " + e.Location
		}
		status := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))) + redirect
		if e.Foreign {
			return e.foreign(status)
		}
		return fmt.Sprintf("the hub at %s answered %s", e.URL, status)
	case TooLarge:
		return fmt.Sprintf("the answer of %s is too large: %s", e.URL, e.Problem)
	default:
		return fmt.Sprintf("the answer of %s is not a JupyterHub's: %s", e.URL, e.Problem)
	}
}

// foreign returns the text for an answer that isn't the hub's.
func (e *Error) foreign(status string) string {
	server, said := "", ""
	if e.Server != "" {
		server = " (" + e.Server + ")"
	}
	if e.Problem != "" {
		said = ": " + e.Problem
	}
	return fmt.Sprintf("the hub at %s didn't answer: something in between%s says %s%s", e.URL, server, status, said)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter returns how long the hub asks to wait after an error, 0 if it doesn't.
func RetryAfter(err error) time.Duration {
	if hubErr, ok := errors.AsType[*Error](err); ok {
		return hubErr.RetryAfter
	}
	return 0
}

// networkError returns the Error for what http.Client returned, before or in the body.
func networkError(err error) *Error {
	if remote.IsTimeout(err) {
		return &Error{Reason: Timeout}
	}
	cause := remote.Cause(err)
	return &Error{Reason: Connect, Problem: cause.Error(), Err: cause}
}

func malformed(format string, args ...any) *Error {
	return &Error{Reason: Format, Problem: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *Error {
	return &Error{Reason: TooLarge, Problem: fmt.Sprintf(format, args...)}
}
