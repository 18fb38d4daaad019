package server

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

const (
	// drainTime is how long open scrapes may go on after a stop: a JupyterHub
	// that stops its service waits 10 s between SIGINT and SIGTERM.
	drainTime = 5 * time.Second
	// A page of 270,000 series is 60 MB of text: two minutes are 0.5 MB/s.
	writeTimeout = 2 * time.Minute
)

// Handler answers scrapes, probes and browsers.
type Handler struct {
	// Page returns what is published now; nil is an empty page.
	Page func() *exposition.Page
	// Ready tells whether a refresh ever succeeded.
	Ready func() bool
	// Self gives the families that are made anew for each scrape.
	Self prometheus.Gatherer
	// TelemetryPath is where metrics are, at the root and below RoutePrefix.
	TelemetryPath string
	// RoutePrefix is the path that a hub's proxy forwards; metrics are at it too.
	RoutePrefix string
	// Version is shown on the landing page.
	Version string
	Log     *slog.Logger
}

// ServeHTTP routes the paths, which are compared as they are: an operator's path
// is no pattern. A hub gives its prefix as it stands in an address, with escapes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	prefix := strings.TrimRight(h.RoutePrefix, "/")
	if unescaped, err := url.PathUnescape(prefix); err == nil {
		prefix = unescaped
	}
	switch path := r.URL.Path; {
	case path == h.TelemetryPath, path == prefix+h.TelemetryPath, prefix != "" && strings.TrimSuffix(path, "/") == prefix:
		h.metrics(w, r)
	case path == "/-/healthy":
		writeText(w, "ok\n")
	case path == "/-/ready" && h.Ready():
		writeText(w, "ok\n")
	case path == "/-/ready":
		http.Error(w, "no refresh has succeeded yet", http.StatusServiceUnavailable)
	case path == "/":
		h.landing(w)
	default:
		http.NotFound(w, r)
	}
}

// metrics answers a scrape. It never fails: a hub takes an answer of 5xx at the
// prefix for a service that is down.
func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	// In this order the exporter never tells of users who aren't on the page yet.
	self := h.self()
	page := h.Page()
	header := w.Header()
	header.Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	header.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		if gzip, err := page.Gzip(self); err == nil {
			header.Set("Content-Encoding", "gzip")
			header.Set("Content-Length", strconv.FormatInt(gzip.Size(), 10))
			_, _ = gzip.WriteTo(w) // a scraper that went away is no news
			return
		}
	}
	header.Set("Content-Length", strconv.FormatInt(page.Size()+int64(len(self)), 10))
	if _, err := page.WriteTo(w); err == nil {
		_, _ = w.Write(self)
	}
}

// self encodes what is made anew for each scrape.
func (h *Handler) self() []byte {
	families, err := h.Self.Gather()
	if err != nil {
		// What could be gathered is there all the same.
		h.Log.Warn("gathering the exporter's own metrics", "err", err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			h.Log.Warn("encoding the exporter's own metrics", "err", err)
		}
	}
	return text.Bytes()
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

// landing is the page for a browser. It says nothing about users.
func (h *Handler) landing(w http.ResponseWriter) {
	state := "No refresh has succeeded yet."
	if h.Ready() {
		state = "It has read its hub."
	}
	var page bytes.Buffer
	err := template.Must(template.New("landing").Parse(landingPage)).Execute(&page, map[string]string{
		"State": state, "Version": h.Version, "Metrics": strings.TrimPrefix(h.TelemetryPath, "/"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w)
}

const landingPage = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>groups-exporter</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }</style>
<h1>groups-exporter</h1>
<p>Publishes who is in which group of a JupyterHub, for Prometheus. {{.State}}</p>
<ul>
<li><a href="{{.Metrics}}">Metrics</a></li>
<li><a href="-/healthy">Healthy?</a></li>
<li><a href="-/ready">Ready?</a></li>
</ul>
<p><small>Version {{.Version}}</small></p>
</html>
`

// Serve answers on the listener until ctx ends, then lets open requests finish
// for a while. It returns nil after such a stop.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, done := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer done()
		err := server.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
