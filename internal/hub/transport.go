package hub

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// newTransport returns the transport for a hub.
func newTransport(o Options) http.RoundTripper {
	if o.TLS == nil {
		return remote.SchemeTransport(newConnections(o, nil))
	}
	return remote.SchemeTransport(&transport{o: o})
}

// transport makes requests with the current TLS configuration. Connections that were opened with
// another one are not used again.
type transport struct {
	o Options

	mu     sync.Mutex
	config *tls.Config
	http   *http.Transport // nil before the first request
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.current().RoundTrip(r)
}

func (t *transport) current() *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	config := t.o.TLS()
	if t.http != nil && config != t.config {
		t.http.CloseIdleConnections()
		t.http = nil
	}
	if t.http == nil {
		t.config, t.http = config, newConnections(t.o, config)
	}
	return t.http
}

// newConnections returns a transport that has no connection yet.
func newConnections(o Options, config *tls.Config) *http.Transport {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: o.Timeout,
		IdleConnTimeout:     90 * time.Second,
		// A hub's headers are short; 64 KiB is room for any proxy's.
		MaxResponseHeaderBytes: 64 << 10,
	}
	if socket := remote.Socket(o.API); socket != "" {
		transport.Proxy, transport.DialContext = nil, remote.DialSocket(socket)
	}
	return transport
}
