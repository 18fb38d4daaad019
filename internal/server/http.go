// Package server serves the exporter's state over HTTP.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
)

const (
	// drainTime is how long open scrapes may go on after a stop: a JupyterHub
	// that stops its service waits 10 s between SIGINT and SIGTERM.
	drainTime = 5 * time.Second
	// A page of 270,000 series is 60 MB of text: two minutes are 0.5 MB/s.
	writeTimeout = 2 * time.Minute
	// A request fits into one packet, unless a client is slow on purpose.
	readHeaderTimeout = 5 * time.Second
	// maxHeaderBytes has room for the cookies that a hub's proxy forwards. net/http adds 4 KiB.
	maxHeaderBytes = 16 << 10
	// maxStreams limits concurrent requests on one HTTP/2 connection.
	maxStreams = 8
)

// Handler answers scrapes, probes and browsers.
type Handler struct {
	// State returns the current state, without anything that is too old.
	State func() *exporter.State
	// Redact makes a text from outside safe to show. It may be nil.
	Redact func(string) string
	// TelemetryPath is where metrics are, at the root and below RoutePrefix.
	TelemetryPath string
	// RoutePrefix is the path that a hub's proxy forwards; metrics are at it too.
	RoutePrefix string
	// Check lets a caller in, or returns why not; nil lets everybody in. Probes are
	// answered in any case: they tell nothing about people.
	Check func(*http.Request) *Refusal
	// Reload refreshes at once; nil is for nobody.
	Reload func()
	// Pprof serves Go's profiles below /debug/pprof/.
	Pprof bool
	Log   *slog.Logger
}

// Refusal is what a caller gets who may not read.
type Refusal struct {
	Status int // an HTTP status code
	Reason string
}

// ServeHTTP routes the paths, which are compared as they are: an operator's path
// is no pattern. A hub gives its prefix as it stands in an address, with escapes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix := strings.TrimRight(h.RoutePrefix, "/")
	if unescaped, err := url.PathUnescape(prefix); err == nil {
		prefix = unescaped
	}
	path := r.URL.Path
	bare := prefix != "" && strings.TrimSuffix(path, "/") == prefix
	methods := "GET, HEAD"
	var serve func(http.ResponseWriter, *http.Request)
	switch {
	case path == h.TelemetryPath, path == prefix+h.TelemetryPath, bare:
		serve = h.checked(bare, h.metrics)
	case path == "/-/healthy":
		serve = healthy
	case path == "/-/ready":
		serve = h.ready
	case path == "/-/reload":
		methods = "POST, PUT"
		serve = h.checked(false, h.reload)
	case path == "/":
		serve = h.checked(false, h.landing)
	case h.Pprof && strings.HasPrefix(path, "/debug/pprof/"):
		methods = "GET, HEAD, POST"
		serve = h.checked(false, profile)
	default:
		serve = h.checked(false, http.NotFound)
	}
	if !slices.Contains(strings.Split(methods, ", "), r.Method) {
		w.Header().Set("Allow", methods)
		http.Error(w, "only "+methods, http.StatusMethodNotAllowed)
		return
	}
	steady(serve)(w, r)
}

// checked asks who comes before it serves. At the bare prefix no answer is 5xx: a
// hub takes that for a service that is down.
func (h *Handler) checked(bare bool, serve http.HandlerFunc) http.HandlerFunc {
	if h.Check == nil {
		return serve
	}
	return func(w http.ResponseWriter, r *http.Request) {
		refusal := h.Check(r)
		if refusal == nil {
			serve(w, r)
			return
		}
		status := refusal.Status
		if bare && status >= 500 {
			status = http.StatusForbidden
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="JupyterHub"`)
		}
		http.Error(w, refusal.Reason, status)
	}
}

// The answers of the probes. They name the program, so that a health check recognizes it.
const (
	HealthyText = "groups-exporter is healthy\n"
	ReadyText   = "groups-exporter is ready\n"
)

func healthy(w http.ResponseWriter, _ *http.Request) { writeText(w, HealthyText) }

func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) {
	if h.State().Status.Refreshed.IsZero() {
		http.Error(w, "no refresh has succeeded yet", http.StatusServiceUnavailable)
		return
	}
	writeText(w, ReadyText)
}

func (h *Handler) reload(w http.ResponseWriter, _ *http.Request) {
	if h.Reload == nil {
		http.Error(w, "--web.enable-lifecycle is not set", http.StatusForbidden)
		return
	}
	h.Reload()
	w.WriteHeader(http.StatusAccepted)
	writeText(w, "refreshing\n")
}

func profile(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/debug/pprof/cmdline":
		// A token may be among the arguments: nobody gets them.
		http.NotFound(w, r)
	case "/debug/pprof/profile":
		pprof.Profile(w, r)
	case "/debug/pprof/symbol":
		pprof.Symbol(w, r)
	case "/debug/pprof/trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}

// metrics answers a scrape. It never fails: a hub takes an answer of 5xx at the
// prefix for a service that is down.
func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	page := h.State().Page
	header := w.Header()
	header.Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	header.Set("Vary", "Accept-Encoding")
	// If the scraper closes the connection, there is nothing left to do.
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Length", strconv.FormatInt(page.GzipSize(), 10))
		_ = page.WriteGzip(w)
		return
	}
	header.Set("Content-Length", strconv.FormatInt(page.Size(), 10))
	_, _ = page.WriteTo(w)
}

// acceptsGzip reads Accept-Encoding by RFC 9110: gzip itself decides, then "*".
func acceptsGzip(headers []string) bool {
	accepted := false
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			name, parameters, _ := strings.Cut(part, ";")
			weight := 1.0
			if q, ok := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q="); ok {
				weight, _ = strconv.ParseFloat(q, 64)
			}
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return weight > 0
			case "*":
				accepted = weight > 0
			}
		}
	}
	return accepted
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// Security says how connections are secured. The zero value is plain HTTP.
type Security struct {
	// ConfigFile names a file in the format of Prometheus' exporter-toolkit, with TLS and
	// basic auth. It isn't read if TLS is set.
	ConfigFile string
	// TLS has a GetConfigForClient or a certificate.
	TLS *tls.Config
	// Log is the log of exporter-toolkit, which reads ConfigFile.
	Log *slog.Logger
}

// Serve answers on the listeners until ctx ends, then lets open requests finish for
// a while. It returns nil after such a stop.
func Serve(ctx context.Context, listeners []net.Listener, handler http.Handler, security Security, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, l := range limit(listeners, log) {
		// exporter-toolkit changes the server, so each listener needs one of its own.
		server := newServer(handler, log)
		go func() {
			err := serve(server, l, security)
			cancel() // the others stop with it
			ended <- err
		}()
		go func() {
			<-ctx.Done()
			ended <- shutDown(ctx, server)
		}()
	}
	var failures []error
	for range 2 * len(listeners) {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// shutDown stops a server. Open requests may go on for drainTime.
func shutDown(ctx context.Context, server *http.Server) error {
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer done()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, WriteByteTimeout: pieceTimeout,
			// Nobody has a body to send; these are the least that HTTP/2 allows.
			MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve answers on a listener until it fails or the server is shut down.
func serve(server *http.Server, l net.Listener, security Security) error {
	if security.TLS == nil {
		return web.Serve(l, server, &web.FlagConfig{WebConfigFile: &security.ConfigFile}, security.Log)
	}
	server.TLSConfig = security.TLS.Clone() // net/http adds to it
	return server.ServeTLS(l, "", "")
}
