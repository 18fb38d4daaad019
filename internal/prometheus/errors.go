package prometheus

import (
	"fmt"
	"net/http"
)

// Reason is why a query failed, in a word. It is the value of a metric's label.
type Reason string

// The reasons.
const (
	Connect  Reason = "connect"   // no connection, or it broke
	Timeout  Reason = "timeout"   // no whole answer in time
	Status   Reason = "status"    // an answer that isn't 200, like 401
	Query    Reason = "query"     // Prometheus can't evaluate the query
	Partial  Reason = "partial"   // the answer may lack a part
	Format   Reason = "format"    // a 200 that isn't an answer of Prometheus
	TooLarge Reason = "too_large" // an answer over the bound
)

// Reasons returns all reasons.
func Reasons() []string {
	return []string{string(Connect), string(Timeout), string(Status), string(Query), string(Partial), string(Format), string(TooLarge)}
}

// Error is an error of a request to a Prometheus.
type Error struct {
	Reason Reason
	// URL is the server's address.
	URL string
	// Status is the answer's status code, for Status.
	Status int
	// Problem is what Prometheus reported, for Query and Partial, or what is wrong with
	// its answer, for Format and TooLarge, or with the connection, for Connect. It is safe
	// to print.
	Problem string
	// Proxy is the address of the proxy that the request went through, for Connect and
	// Timeout; empty if there is none.
	Proxy string
	// Err is the network's error, for Connect.
	Err error
}

func (e *Error) Error() string {
	switch e.Reason {
	case Connect:
		return fmt.Sprintf("the Prometheus at %s can't be reached: %s", e.URL, e.Problem)
	case Timeout:
		return fmt.Sprintf("the Prometheus at %s doesn't answer in time", e.URL)
	case Status:
		return fmt.Sprintf("the Prometheus at %s answered %d %s", e.URL, e.Status, http.StatusText(e.Status))
	case Query:
		return fmt.Sprintf("the Prometheus at %s can't answer the query: %s", e.URL, e.Problem)
	case Partial:
		return fmt.Sprintf("the answer of the Prometheus at %s may not be whole: %s", e.URL, e.Problem)
	case TooLarge:
		return fmt.Sprintf("the answer of the Prometheus at %s is too large: %s", e.URL, e.Problem)
	default:
		return fmt.Sprintf("the answer of %s is not a Prometheus': %s", e.URL, e.Problem)
	}
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
