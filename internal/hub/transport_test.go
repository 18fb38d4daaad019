package hub_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// A connection serves many requests, but none after the TLS configuration has changed.
func TestConnectionsEndWithTheirTLSConfiguration(t *testing.T) {
	var opened, open atomic.Int32
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(newHub(people(1)...))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of a client that doesn't trust it
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
			closed <- struct{}{}
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)

	trusting := func() *tls.Config {
		config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		config.RootCAs.AddCert(server.Certificate())
		return config
	}
	config := trusting()
	c := client(t, server.URL, func(o *hub.Options) { o.TLS = func() *tls.Config { return config } })
	ask := func() error {
		_, _, err := c.ScopesOf(t.Context(), hub.NewToken(token))
		return err
	}
	for range 3 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections for three requests in a row", opened.Load())
	}

	config = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the authority: %v", err)
	}
	<-closed // the first connection, or the one without trust
	<-closed
	if open.Load() != 0 {
		t.Errorf("%d connections are open", open.Load())
	}
	config = trusting()
	if err := ask(); err != nil || opened.Load() != 3 {
		t.Errorf("with another configuration that trusts the hub: %v, after %d connections", err, opened.Load())
	}
}
