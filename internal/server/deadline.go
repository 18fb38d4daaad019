package server

import (
	"net/http"
	"time"
)

// A client has to read chunkSize within chunkTimeout, which is 50 KiB/s.
const (
	chunkSize    = 256 << 10
	chunkTimeout = 5 * time.Second
)

// deadlineWriter sets a deadline for each chunk of a response, so that clients that stop reading are disconnected.
type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	end     time.Time // of the whole response
}

// withDeadlines returns a handler that disconnects clients that stop reading.
func withDeadlines(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		serve(&deadlineWriter{w, http.NewResponseController(w), time.Now().Add(writeTimeout)}, r)
	}
}

// Unwrap lets http.ResponseController reach the underlying writer.
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write writes b in chunks.
func (w *deadlineWriter) Write(b []byte) (written int, err error) {
	for {
		deadline := time.Now().Add(chunkTimeout)
		if deadline.After(w.end) {
			deadline = w.end
		}
		_ = w.control.SetWriteDeadline(deadline) // the writers in tests don't support it
		n, err := w.ResponseWriter.Write(b[:min(len(b), chunkSize)])
		written += n
		b = b[n:]
		if err != nil || len(b) == 0 {
			return written, err
		}
	}
}
