package server_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/server"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve serves a handler on listeners until stop is called, or until the test ends. stop returns once Serve has
// returned.
func serve(t *testing.T, handler http.Handler, webConfig string, log *slog.Logger, listeners ...net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := server.Serve(ctx, listeners, handler, server.Security{ConfigFile: webConfig, Log: log}, log); err != nil {
			t.Errorf("Serve: got %v, want no error", err)
		}
	}()
	stop = func() { cancel(); <-stopped }
	t.Cleanup(stop)
	return stop
}

// listenTCP listens on a free port of loopback.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// writeTLSConfig writes a web configuration with a certificate and more settings, and returns its path.
func writeTLSConfig(t *testing.T, more string) string {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	pair := certified.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"web.yml":  []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n" + more),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "web.yml")
}

// inMemory is a listener without a network, for use with synctest.
type inMemory struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newInMemory() *inMemory {
	return &inMemory{dialed: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *inMemory) Accept() (net.Conn, error) {
	select {
	case c := <-m.dialed:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *inMemory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *inMemory) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the client side of a new connection from an address. An empty address is that of a client of a Unix
// socket.
func (m *inMemory) dial(from string) net.Conn {
	client, server := net.Pipe()
	m.dialed <- &accepted{server, &net.TCPAddr{IP: net.ParseIP(from), Port: 1}}
	return client
}

// accepted is the server side of a connection.
type accepted struct {
	net.Conn
	from net.Addr
}

func (a *accepted) RemoteAddr() net.Addr { return a.from }
