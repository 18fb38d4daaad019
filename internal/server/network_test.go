package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/server"
)

// serve serves a handler on a listener until the test ends.
func serve(t *testing.T, listener net.Listener, handler http.Handler, webConfig string, log *slog.Logger) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- server.Serve(ctx, []net.Listener{listener}, handler, server.Security{ConfigFile: webConfig, Log: log}, log)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// start serves a handler on loopback until the test ends, and returns the address.
func start(t *testing.T, handler http.Handler, webConfig string, log *slog.Logger) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, listener, handler, webConfig, log)
	return listener.Addr().String()
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

// dial returns the client side of a new connection from an address.
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
