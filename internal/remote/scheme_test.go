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
	"net/url"
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
// It closes connections that don't begin with a request if it is given nothing to answer.
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

func TestSchemeTransport(t *testing.T) {
	plain, secure := newServer(t, false, handler(200, "text/plain", "hi")), newServer(t, true, handler(200, "text/plain", "hi"))
	other := func(server *httptest.Server) string {
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme = map[string]string{"http": "https", "https": "http"}[u.Scheme]
		return u.String()
	}
	for what, server := range map[string]*httptest.Server{"http": plain, "https": secure} {
		if text, err := request(t, server.URL, server); err != nil || text != "hi" {
			t.Errorf("the right scheme, %s: %q, %v", what, text, err)
		}
		_, err := request(t, other(server), server)
		if wrong, ok := errors.AsType[*remote.WrongScheme](err); !ok || wrong.Speaks != what {
			t.Errorf("the other scheme at a server with %s: %v", what, err)
		}
	}
}

// A server may say nothing to a request of the other scheme.
func TestSchemeOfSilentServers(t *testing.T) {
	_, err := request(t, "https://"+waiting(t, "HTTP/1.1 302 Found\r\nLocation: /hub/\r\nContent-Length: 0\r\n\r\n"), nil)
	if wrong, ok := errors.AsType[*remote.WrongScheme](err); !ok || wrong.Speaks != "http" {
		t.Errorf("https at a server that waits: %v", err)
	}

	// It closes the connection if it isn't TLS.
	certificate := newServer(t, true, handler(200, "", "")).TLS.Certificates
	for what, config := range map[string]*tls.Config{
		"a certificate":         {Certificates: certificate},
		"client certificates":   {Certificates: certificate, ClientAuth: tls.RequireAnyClientCert},
		"no certificate at all": {},
	} {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: config.Certificates, ClientAuth: config.ClientAuth, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
				conn.(*tls.Conn).NetConn().Close()
			}
		}()
		_, err = request(t, "http://"+listener.Addr().String(), nil)
		if wrong, ok := errors.AsType[*remote.WrongScheme](err); !ok || wrong.Speaks != "https" {
			t.Errorf("http at a server with %s: %v", what, err)
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
			t.Errorf("%s: %v", what, err)
		}
	}
	secure := newServer(t, true, handler(200, "text/plain", "hi"))
	if _, err := request(t, secure.URL, nil); err == nil || errors.As(err, new(*remote.WrongScheme)) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
}

// A server that answers plain requests with a redirect to https, or as bad, speaks https, and may be slow.
func TestASlowHandshakeIsNoOtherScheme(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 301 Moved Permanently\r\nLocation: https://hub/\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
	} {
		transport := &http.Transport{TLSHandshakeTimeout: 3 * time.Second}
		_, err := (&http.Client{Transport: remote.SchemeTransport(transport)}).Get("https://" + waiting(t, answer))
		if err == nil || !strings.Contains(err.Error(), "TLS handshake timeout") {
			t.Errorf("%.12s: %v", answer, err)
		}
	}
}
