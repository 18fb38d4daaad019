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
	// drainTime is how long open requests may take after a stop. When JupyterHub stops a service, it sends SIGTERM 10 s
	// after SIGINT.
	drainTime = 5 * time.Second
	// writeTimeout is enough for 270,000 series, which are 60 MB of text, at 0.5 MB/s.
	writeTimeout = 2 * time.Minute
	// readHeaderTimeout can be short, because a request usually fits into one packet.
	readHeaderTimeout = 5 * time.Second
	// maxHeaderBytes has room for the cookies that a hub's proxy forwards. net/http adds 4 KiB.
	maxHeaderBytes = 16 << 10
	// maxStreams limits concurrent requests on one HTTP/2 connection.
	maxStreams = 8
)

// Handler serves the metrics, the probes and the landing page.
type Handler struct {
	// State returns the current state, without stale results.
	State func() *exporter.State
	// Redact removes secrets from external text. It may be nil.
	Redact func(string) string
	// TelemetryPath is the path of the metrics, both at the root and below RoutePrefix.
	TelemetryPath string
	// RoutePrefix is the path that the hub's proxy forwards. It serves the metrics too.
	RoutePrefix string
	// Check returns nil if the caller of a request has access. A nil Check allows all callers. Probes are not checked,
	// because they contain nothing about users.
	Check func(*http.Request) *Refusal
	// Reload starts a refresh at once. If it is nil, /-/reload is forbidden.
	Reload func()
	// Pprof enables Go's profiles below /debug/pprof/.
	Pprof bool
	Log   *slog.Logger
}

// Refusal is the response to a caller without access.
type Refusal struct {
	Status int // an HTTP status code
	Reason string
}

// ServeHTTP routes a request. It doesn't use http.ServeMux, which would take TelemetryPath for a pattern. RoutePrefix
// comes from the hub with percent-encoding, so ServeHTTP decodes it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix := strings.TrimRight(h.RoutePrefix, "/")
	if unescaped, err := url.PathUnescape(prefix); err == nil {
		prefix = unescaped
	}
	path := r.URL.Path
	atPrefix := prefix != "" && strings.TrimSuffix(path, "/") == prefix
	methods := "GET, HEAD"
	var serve func(http.ResponseWriter, *http.Request)
	switch {
	case path == h.TelemetryPath, path == prefix+h.TelemetryPath, atPrefix:
		serve = h.checked(atPrefix, h.metrics)
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
	withDeadlines(serve)(w, r)
}

// checked returns a handler that calls Check before serve. At the route prefix it never responds with 5xx, because the
// hub would take the service for down.
func (h *Handler) checked(atPrefix bool, serve http.HandlerFunc) http.HandlerFunc {
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
		if atPrefix && status >= 500 {
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
		// The arguments may contain a token.
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

// metrics serves the metrics. It never responds with 5xx, because the hub would take the service for down.
func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	page := h.State().Page
	header := w.Header()
	header.Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	header.Set("Vary", "Accept-Encoding")
	// Write errors are ignored: the scraper has closed the connection.
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Length", strconv.FormatInt(page.GzipSize(), 10))
		_ = page.WriteGzip(w)
		return
	}
	header.Set("Content-Length", strconv.FormatInt(page.Size(), 10))
	_, _ = page.WriteTo(w)
}

// acceptsGzip reports whether the Accept-Encoding headers allow gzip. As in RFC 9110, an entry for gzip takes
// precedence over "*".
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

// Security configures TLS and basic auth. The zero value is plain HTTP.
type Security struct {
	// ConfigFile names a file in the format of Prometheus' exporter-toolkit, with TLS and
	// basic auth. It isn't read if TLS is set.
	ConfigFile string
	// TLS is a configuration with a certificate or GetConfigForClient.
	TLS *tls.Config
	// Log is the logger of exporter-toolkit, which reads ConfigFile.
	Log *slog.Logger
}

// Serve serves on the listeners until ctx ends. Then it waits up to drainTime for open requests, and returns nil. If
// one listener fails, Serve stops the others and returns the error.
func Serve(ctx context.Context, listeners []net.Listener, handler http.Handler, security Security, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, l := range limit(listeners, log) {
		// exporter-toolkit changes the server, so each listener needs one of its own.
		server := newServer(handler, log)
		go func() {
			err := serve(server, l, security)
			cancel() // stops the other servers
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

// shutDown stops a server. It closes the connections of requests that are still open after drainTime.
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
			MaxConcurrentStreams: maxStreams, WriteByteTimeout: chunkTimeout,
			// Requests have no body. These are the minimum values of HTTP/2.
			MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve serves on a listener until the listener fails or the server is shut down.
func serve(server *http.Server, l net.Listener, security Security) error {
	if security.TLS == nil {
		return web.Serve(l, server, &web.FlagConfig{WebConfigFile: &security.ConfigFile}, security.Log)
	}
	server.TLSConfig = security.TLS.Clone() // net/http adds to it
	return server.ServeTLS(l, "", "")
}
