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

// slowClient takes some time to read each chunk. If that is longer than the deadline, the write fails, as on a network.
type slowClient struct {
	*httptest.ResponseRecorder
	takes    time.Duration
	deadline time.Time
	largest  int // chunk in bytes
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

// A response can take up to two minutes while the client reads. A client that stops reading is disconnected after 5 s.
func TestStalledClient(t *testing.T) {
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
					t.Errorf("%s, %v per chunk: took %v, want at most %v", encoding, c.takes, lasted, c.lasts)
				}
				if whole := client.Header().Get("Content-Length") == strconv.Itoa(client.Body.Len()); c.whole && !whole {
					t.Errorf("%s, %v per chunk: got %d bytes, want the whole page", encoding, c.takes, client.Body.Len())
				}
				if client.largest > 256<<10 {
					t.Errorf("%s: largest chunk has %d bytes, want at most 256 KiB", encoding, client.largest)
				}
			})
		}
	}
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(t)
		s.Pprof = true
		for _, path := range []string{"/", "/metrics", "/-/healthy", "/-/ready", "/debug/pprof/goroutine", "/nothing"} {
			client := newSlowClient(0)
			s.ServeHTTP(client, httptest.NewRequest(http.MethodGet, path, nil))
			if left := time.Until(client.deadline); left <= 0 || left > 5*time.Second {
				t.Errorf("%s: deadline in %v, want at most 5 s", path, left)
			}
		}
	})
}
