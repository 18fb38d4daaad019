package hub

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// transport makes requests with the current TLS configuration. Connections that were opened with
// another one are not used again.
type transport struct {
	tls func() *tls.Config

	mu      sync.Mutex
	config  *tls.Config // of the last request
	current *http.Transport
}

// newTransport returns the transport for a hub that is reached through a proxy, or directly.
func newTransport(o Options, proxy string) http.RoundTripper {
	connections := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: min(o.Timeout/2, remote.HandshakeTimeout),
		IdleConnTimeout:     90 * time.Second,
		// A hub's headers are short; 64 KiB is room for any proxy's.
		MaxResponseHeaderBytes: 64 << 10,
	}
	socket := remote.Socket(o.API)
	if socket != "" {
		connections.Proxy, connections.DialContext = nil, remote.DialSocket(socket)
	}
	var t http.RoundTripper = connections
	if o.TLS != nil {
		t = &transport{tls: o.TLS, current: connections}
	}
	if socket == "" && proxy == "" {
		t = remote.SchemeTransport(t)
	}
	return t
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	if config := t.tls(); config != t.config {
		t.current.CloseIdleConnections()
		t.current = t.current.Clone()
		t.config, t.current.TLSClientConfig = config, config
	}
	current := t.current
	t.mu.Unlock()
	return current.RoundTrip(r)
}
