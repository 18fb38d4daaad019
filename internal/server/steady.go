package server

import (
	"net/http"
	"time"
)

// A client has to read pieceSize within pieceTimeout, which is 50 KiB/s.
const (
	pieceSize    = 256 << 10
	pieceTimeout = 5 * time.Second
)

// steadyWriter gives each piece of a response a deadline, so that a client that stops reading is cut off.
type steadyWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	end     time.Time // of the whole response
}

// steady returns a handler that cuts off clients that stop reading.
func steady(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		serve(&steadyWriter{w, http.NewResponseController(w), time.Now().Add(writeTimeout)}, r)
	}
}

// Unwrap is for http.ResponseController.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write writes b piece by piece.
func (w *steadyWriter) Write(b []byte) (written int, err error) {
	for {
		deadline := time.Now().Add(pieceTimeout)
		if deadline.After(w.end) {
			deadline = w.end
		}
		_ = w.control.SetWriteDeadline(deadline) // the writers in tests don't support it
		n, err := w.ResponseWriter.Write(b[:min(len(b), pieceSize)])
		written += n
		b = b[n:]
		if err != nil || len(b) == 0 {
			return written, err
		}
	}
}
