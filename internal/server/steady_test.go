package server_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// slowClient takes a while to read each piece. What it hasn't read by the deadline is lost, as in the network.
type slowClient struct {
	*httptest.ResponseRecorder
	takes    time.Duration
	deadline time.Time
	largest  int // piece
}

func newSlowClient(takes time.Duration) *slowClient {
	return &slowClient{ResponseRecorder: httptest.NewRecorder(), takes: takes}
}

func (c *slowClient) SetWriteDeadline(deadline time.Time) error {
	c.deadline = deadline
	return nil
}

func (c *slowClient) Write(b []byte) (int, error) {
	c.largest = max(c.largest, len(b))
	time.Sleep(min(c.takes, time.Until(c.deadline)))
	if !time.Now().Before(c.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return c.ResponseRecorder.Write(b)
}

// A response goes on while the client reads, up to two minutes; a client that stops reading is cut off after 5 s.
func TestAClientThatStopsReadingIsCutOff(t *testing.T) {
	s := newSite(t)
	s.publish(t, manyValues()...)
	for _, encoding := range []string{"gzip", "identity"} {
		for _, c := range []struct {
			takes, lasts time.Duration
			whole        bool
		}{
			{takes: 10 * time.Millisecond, lasts: 10 * time.Second, whole: true},
			{takes: 4999 * time.Millisecond, lasts: 2 * time.Minute},
			{takes: time.Hour, lasts: 5 * time.Second},
		} {
			synctest.Test(t, func(t *testing.T) {
				request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
				request.Header.Set("Accept-Encoding", encoding)
				client, begin := newSlowClient(c.takes), time.Now()
				s.ServeHTTP(client, request)
				if lasted := time.Since(begin); lasted > c.lasts {
					t.Errorf("%s, %v for each piece: it took %v, want %v at most", encoding, c.takes, lasted, c.lasts)
				}
				if whole := client.Header().Get("Content-Length") == strconv.Itoa(client.Body.Len()); c.whole && !whole {
					t.Errorf("%s, %v for each piece: cut off after %d bytes", encoding, c.takes, client.Body.Len())
				}
				if client.largest > 256<<10 {
					t.Errorf("%s: a piece of %d bytes", encoding, client.largest)
				}
			})
		}
	}
}

func TestEveryResponseHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(t)
		s.Pprof = true
		for _, path := range []string{"/", "/metrics", "/-/healthy", "/-/ready", "/debug/pprof/goroutine", "/nothing"} {
			client := newSlowClient(0)
			s.ServeHTTP(client, httptest.NewRequest(http.MethodGet, path, nil))
			if left := time.Until(client.deadline); left <= 0 || left > 5*time.Second {
				t.Errorf("%s: %v to read", path, left)
			}
		}
	})
}
