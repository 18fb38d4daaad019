package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// secureHub is a hub that has a certificate of an authority, and demands one of the same authority.
type secureHub struct {
	*httptest.Server
	t   *testing.T
	tls atomic.Pointer[tls.Config]
}

func newSecureHub(t *testing.T, a *authority) *secureHub {
	t.Helper()
	h := &fakehub.Hub{}
	h.SetUsers(fakehub.User{Name: "ada"})
	h.Grant("exporter", "list:users")
	s := &secureHub{Server: httptest.NewUnstartedServer(h), t: t}
	s.rotate(a)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil }}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// rotate makes the hub use another authority.
func (s *secureHub) rotate(a *authority) {
	s.t.Helper()
	pair, err := tls.X509KeyPair(a.pair())
	if err != nil {
		s.t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	config.ClientCAs.AddCert(a.root)
	s.tls.Store(config)
}

// Certificates for the hub are rotated without a restart: each new connection uses the files as they are. While they
// can't be used, the previous ones are.
func TestCertificatesForTheHubAreRotated(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := newAuthority(t), newAuthority(t)
	certificate, key := first.pair()
	write("ca.pem", first.pem())
	write("cert.pem", certificate)
	write("key.pem", key)
	server := newSecureHub(t, first)

	o := hubOptions{address: server.URL, token: hub.NewToken("exporter"), timeout: time.Minute, caFile: path("ca.pem"), certFile: path("cert.pem"), keyFile: path("key.pem")}
	o.rules.NoneName, o.rules.MultipleName = "none", "multiple"
	if err := o.complete(func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	o.tls.logTo(slog.New(slog.NewTextHandler(&text, nil)))
	client := hub.New(o.client())
	// ask makes one request on a new connection.
	ask := func() error {
		server.CloseClientConnections()
		_, _, err := client.ScopesOf(t.Context(), o.token)
		return err
	}

	if err := ask(); err != nil {
		t.Fatalf("at the start: %v", err)
	}
	server.rotate(second)
	if err := ask(); err == nil || !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Fatalf("a hub with a new authority, and the old one in the file: %v", err)
	}
	write("ca.pem", second.pem())
	if err := ask(); err == nil || errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Fatalf("with the new authority in the file, and the old certificate: %v", err)
	}
	certificate, key = second.pair()
	write("cert.pem", certificate)
	write("key.pem", key)
	if err := ask(); err != nil {
		t.Fatalf("with a new certificate too: %v", err)
	}
	if text.Len() > 0 {
		t.Errorf("nothing was wrong with the files, and this is in the log:\n%s", &text)
	}

	for _, c := range []struct {
		what   string
		breaks func()
		err    string
	}{
		{"no file with authorities", func() { _ = os.Remove(path("ca.pem")) }, "the hub's authorities can't be read: "},
		{"an empty file with authorities", func() { write("ca.pem", nil) }, "there is no certificate in "},
		{"a file without an authority", func() { write("ca.pem", []byte("# soon\n")) }, "there is no certificate in "},
		{"no certificate", func() { _ = os.Remove(path("cert.pem")) }, "the certificate for the hub can't be used: "},
		{"the key of another certificate", func() { _, other := second.pair(); write("key.pem", other) }, "the certificate for the hub can't be used: tls: private key does not match"},
	} {
		text.Reset()
		c.breaks()
		for range 2 {
			if err := ask(); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		write("ca.pem", second.pem())
		write("cert.pem", certificate)
		write("key.pem", key)
		if err := ask(); err != nil {
			t.Errorf("after %s: %v", c.what, err)
		}
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], c.err) || !strings.Contains(lines[1], "can be read again") {
			t.Errorf("%s: the log is\n%s", c.what, &text)
		}
	}
}

// A shell's <(…) is a pipe, which is empty when it is read again.
func TestAuthoritiesFromAPipe(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.pair()
	pipe := func(content []byte) string {
		t.Helper()
		reader, writer, err := os.Pipe()
		if err == nil {
			_, err = writer.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
		writer.Close()
		t.Cleanup(func() { reader.Close() })
		return fmt.Sprintf("/dev/fd/%d", reader.Fd())
	}
	server := newSecureHub(t, a)
	o := hubOptions{address: server.URL, token: hub.NewToken("exporter"), timeout: time.Minute, caFile: pipe(a.pem()), certFile: pipe(certificate), keyFile: pipe(key)}
	o.rules.NoneName, o.rules.MultipleName = "none", "multiple"
	if err := o.complete(func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	o.tls.report = func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	client := hub.New(o.client())
	for range 2 {
		server.CloseClientConnections()
		if _, _, err := client.ScopesOf(t.Context(), o.token); err != nil {
			t.Error(err)
		}
	}
}
