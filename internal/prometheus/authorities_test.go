package prometheus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// selfSigned returns a self-signed certificate for 127.0.0.1, and its PEM as an authority.
func selfSigned(t *testing.T) (*tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// The authorities in a file named by --prometheus.config.file are rotated without a restart. While the file is
// unusable, queries fail.
func TestAuthoritiesAreRotated(t *testing.T) {
	var current atomic.Pointer[tls.Certificate]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status": "success", "data": {"resultType": "vector", "result": []}}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*current.Load()}}, nil
	}}
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(caFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, authority := selfSigned(t)
	current.Store(certificate)
	write(authority)
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	settings := config.DefaultHTTPClientConfig
	settings.TLSConfig.CAFile = caFile
	client, err := prometheus.New(prometheus.Options{URL: u, HTTP: settings, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	// read sends a query on a new connection.
	read := func() error {
		server.CloseClientConnections()
		_, err := (&prometheus.UsageReader{Client: client}).Read(t.Context(), usage.Memory)
		return err
	}

	if err := read(); err != nil {
		t.Fatalf("at the start: %v", err)
	}
	certificate, authority = selfSigned(t)
	current.Store(certificate)
	if err := read(); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("server with a new authority, old one in the file: got %v, want an error", err)
	}
	write(authority)
	if err := read(); err != nil {
		t.Errorf("with the new authority in the file: %v", err)
	}
	for _, c := range []struct {
		what   string
		breaks func()
	}{
		{"no file", func() { _ = os.Remove(caFile) }},
		{"an empty file", func() { write(nil) }},
		{"a file without an authority", func() { write([]byte("# soon\n")) }},
	} {
		c.breaks()
		err := read()
		failed, ok := errors.AsType[*remote.Error](err)
		// The hint for this error depends on this text.
		if !ok || failed.Reason != remote.Connect || !strings.HasPrefix(failed.Problem, "unable to ") || !strings.Contains(failed.Problem, caFile) {
			t.Errorf("%s: %v", c.what, err)
		}
		write(authority)
		if err := read(); err != nil {
			t.Errorf("after %s: %v", c.what, err)
		}
	}
}
