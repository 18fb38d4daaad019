package remote_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// request makes a request to a server, whose certificate is trusted if there is one.
func request(t *testing.T, address string, server *httptest.Server) (string, error) {
	t.Helper()
	transport := &http.Transport{}
	if server != nil && server.TLS != nil {
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	}
	t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Transport: remote.SchemeTransport(transport), Timeout: time.Minute}
	response, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func handler(status int, contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func newServer(t *testing.T, withTLS bool, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if withTLS {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// waiting starts a server that reads a whole request of HTTP, and waits for it as long as it takes: as a hub does.
func waiting(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go func() {
				defer conn.Close()
				lines := bufio.NewReader(conn)
				for line := ""; !strings.HasSuffix(line, "\r\n\r\n"); {
					more, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					line += more
				}
				_, _ = io.WriteString(conn, answer)
			}()
		}
	}()
	return listener.Addr().String()
}

// wrongScheme reports whether an error says that a server speaks another scheme.
func wrongScheme(err error, speaks string) bool {
	wrong, ok := errors.AsType[*remote.WrongScheme](err)
	return ok && wrong.Speaks == speaks
}

func TestSchemeTransport(t *testing.T) {
	for speaks, other := range map[string]string{"http": "https", "https": "http"} {
		server := newServer(t, speaks == "https", handler(200, "text/plain", "hi"))
		if text, err := request(t, server.URL, server); err != nil || text != "hi" {
			t.Errorf("the right scheme, %s: got %q, %v", speaks, text, err)
		}
		if _, err := request(t, other+"://"+server.Listener.Addr().String(), server); !wrongScheme(err, speaks) {
			t.Errorf("the other scheme at a server with %s: got %v", speaks, err)
		}
	}
	// It asks for a client's certificate.
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	if _, err := request(t, "http://"+secure.Listener.Addr().String(), nil); !wrongScheme(err, "https") {
		t.Errorf("http at a server that needs certificates: got %v", err)
	}
}

// A server with http may wait for the rest of a request when it gets a TLS handshake. A server with TLS may be slow; if
// it answers a plain request, then with a redirect to https, or as bad.
func TestSchemeOfServersThatWait(t *testing.T) {
	for _, c := range []struct {
		answer string
		isHTTP bool
	}{
		{"HTTP/1.1 302 Found\r\nLocation: /hub/\r\nContent-Length: 0\r\n\r\n", true},
		{"HTTP/1.1 301 Moved Permanently\r\nLocation: https://hub/\r\nContent-Length: 0\r\n\r\n", false},
		{"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false},
	} {
		transport := &http.Transport{TLSHandshakeTimeout: 500 * time.Millisecond}
		_, err := (&http.Client{Transport: remote.SchemeTransport(transport)}).Get("https://" + waiting(t, c.answer))
		if err == nil || wrongScheme(err, "http") != c.isHTTP || !c.isHTTP && !strings.Contains(err.Error(), "TLS handshake timeout") {
			t.Errorf("%.12s: got %v, want another scheme: %v", c.answer, err, c.isHTTP)
		}
	}
}

// Nothing else is taken for another scheme.
func TestSchemeIsRight(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"a bad request in JSON": handler(400, "application/json", "{}"),
		"a bad request":         handler(400, "text/html", "bad"),
		"an error":              handler(502, "text/html", "bad"),
		"a redirect to https": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound)
		},
		"a connection that ends": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server := newServer(t, false, h)
		if _, err := request(t, server.URL, server); errors.As(err, new(*remote.WrongScheme)) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	secure := newServer(t, true, handler(200, "text/plain", "hi"))
	if _, err := request(t, secure.URL, nil); err == nil || errors.As(err, new(*remote.WrongScheme)) {
		t.Errorf("a certificate that nobody vouches for: got %v", err)
	}
}
