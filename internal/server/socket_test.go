//go:build unix

package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/server"
)

// socketPath returns a path for a socket. Paths from t.TempDir can be too long.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestListenUnix(t *testing.T) {
	path := socketPath(t)
	// The socket of a process that ended without removing it.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	for _, when := range []string{"with a stale socket", "without a socket"} {
		listener, err := server.ListenUnix(path)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("%s: got %v, %v, want a socket with mode 0660", when, info, err)
		}
		if _, err := server.ListenUnix(path); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s, while another process listens: got %v, want EADDRINUSE", when, err)
		}
		connection, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("%s, after the second listener failed: %v", when, err)
		}
		connection.Close()
		listener.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: socket still exists after Close: %v", when, err)
		}
	}
}

func TestListenUnixKeepsOtherFiles(t *testing.T) {
	file := socketPath(t)
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := file + ".link"
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if _, err := server.ListenUnix(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: got %v, want an error about a file that is not a socket", path, err)
		}
	}
	if content, err := os.ReadFile(link); err != nil || string(content) != "precious" {
		t.Errorf("file contains %q (error: %v), want it unchanged", content, err)
	}
	if _, err := server.ListenUnix(filepath.Join(file+".missing", "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing folder: got %v, want %v", err, fs.ErrNotExist)
	}
}

// listen opens two listeners on loopback and one on a Unix socket.
func listen(t *testing.T) []net.Listener {
	t.Helper()
	socket, err := server.ListenUnix(socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	return []net.Listener{listenTCP(t), listenTCP(t), socket}
}

// clientOf returns a client that connects to a listener, whatever is in a URL.
func clientOf(l net.Listener) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, l.Addr().Network(), l.Addr().String())
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
}

// What --web.config.file demands holds on each listener, and a stop closes all of them.
func TestSeveralListeners(t *testing.T) {
	// The password is "secret".
	config := writeTLSConfig(t, "basic_auth_users: {ada: $2a$04$8tLgszoIUBvUr0mkI8ihduZLiv93EAZS2xwAeDQlIYo8VOylsCIPa}\n")
	listeners := listen(t)
	stop := serve(t, newSite(t), config, discard(), listeners...)
	for _, l := range listeners {
		for password, want := range map[string]int{"secret": http.StatusOK, "wrong": http.StatusUnauthorized} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://x/-/healthy", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth("ada", password)
			response, err := clientOf(l).Do(request)
			if err != nil {
				t.Fatalf("%s: %v", l.Addr(), err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s with the password %s: status %d, want %d", l.Addr(), password, response.StatusCode, want)
			}
		}
	}
	stop()
	for _, l := range listeners {
		if connection, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
			connection.Close()
			t.Errorf("%s is open after the stop", l.Addr())
		}
	}
}

func TestFailedListenerStopsOthers(t *testing.T) {
	listeners := listen(t)
	listeners[1].Close()
	if err := server.Serve(t.Context(), listeners, newSite(t), server.Security{Log: discard()}, discard()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: got %v, want %v", err, net.ErrClosed)
	}
}
