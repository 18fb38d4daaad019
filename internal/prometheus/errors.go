package prometheus

import (
	"fmt"
	"net/http"
)

// Reason is the reason why a query failed. It is the value of the label reason.
type Reason string

// The reasons.
const (
	Connect  Reason = "connect"   // no connection, or a broken one
	Timeout  Reason = "timeout"   // no complete response in time
	Status   Reason = "status"    // a status other than 200, such as 401
	Query    Reason = "query"     // Prometheus can't evaluate the query
	Partial  Reason = "partial"   // the answer may be incomplete
	Format   Reason = "format"    // a 200 that isn't a response of Prometheus
	TooLarge Reason = "too_large" // the response is over the limit
)

// Reasons returns all reasons.
func Reasons() []string {
	return []string{string(Connect), string(Timeout), string(Status), string(Query), string(Partial), string(Format), string(TooLarge)}
}

// Error is the error of a request to Prometheus.
type Error struct {
	Reason Reason
	// URL is the server's address.
	URL string
	// Status is the HTTP status code, for Status.
	Status int
	// Problem is the message of Prometheus, for Query and Partial, or a description of what
	// is wrong with its response, for Format and TooLarge, or with the connection, for
	// Connect. It contains no secrets.
	Problem string
	// Proxy is the address of the proxy for the request, for Connect and Timeout. It is
	// empty if there is none.
	Proxy string
	// Err is the network error, for Connect.
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
