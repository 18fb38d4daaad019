package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/server"
)

// authority signs certificates, as the one that a hub with internal_ssl makes.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.root, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pair returns a new certificate and its key as PEM.
func (a *authority) pair() (certificate, key []byte) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, private.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// pem returns the authority's own certificate as PEM.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

// client returns a client that trusts the authority, with a certificate of it if shows.
func (a *authority) client(shows bool) *http.Client {
	a.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.root)
	if shows {
		pair, err := tls.X509KeyPair(a.pair())
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// With internal_ssl and an https address, a service serves the hub's certificate to callers that have one too. It uses a
// replaced file for the next connection, and keeps the previous one if the new one can't be read.
func TestServesTheHubsCertificate(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	install := func(a *authority) (certFile, keyFile, caFile string) {
		certificate, key := a.pair()
		return write("cert.pem", certificate), write("key.pem", key), write("ca.pem", a.pem())
	}
	first, second := newAuthority(t), newAuthority(t)
	certFile, keyFile, caFile := install(first)
	environment := map[string]string{
		"JUPYTERHUB_SERVICE_URL":  "https://127.0.0.1:8100",
		"JUPYTERHUB_SSL_CERTFILE": certFile, "JUPYTERHUB_SSL_KEYFILE": keyFile, "JUPYTERHUB_SSL_CLIENT_CA": caFile,
	}
	o := webOptions{telemetryPath: defaultTelemetryPath}
	if err := o.complete(func(name string) string { return environment[name] }); err != nil {
		t.Fatal(err)
	}
	if o.auth != authHub {
		t.Errorf("auth %s: the hub's proxy shows its certificate for anybody", o.auth)
	}
	var addresses []string
	var listeners []net.Listener
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners, addresses = append(listeners, listener), append(addresses, listener.Addr().String())
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	go func() { stopped <- server.Serve(ctx, listeners, http.NotFoundHandler(), o.security(log), log) }()

	statusOf := func(client *http.Client, url string) int {
		response, err := client.Get(url)
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return response.StatusCode
	}
	expect := func(when string, in, out *authority) {
		t.Helper()
		for _, address := range addresses {
			if got := statusOf(in.client(true), "https://"+address); got != http.StatusNotFound {
				t.Errorf("%s, with a certificate: %d", when, got)
			}
			if got := statusOf(in.client(false), "https://"+address); got != 0 {
				t.Errorf("%s, without a certificate: %d", when, got)
			}
			if got := statusOf(out.client(true), "https://"+address); got != 0 {
				t.Errorf("%s, with another authority: %d", when, got)
			}
			if got := statusOf(http.DefaultClient, "http://"+address); got != http.StatusBadRequest {
				t.Errorf("%s, plain: %d", when, got)
			}
		}
	}
	expect("at the start", first, second)
	certificate, _ := second.pair()
	write("cert.pem", certificate) // its key isn't there yet
	expect("while the files are replaced", first, second)
	install(second)
	expect("after that", second, first)
	write("ca.pem", nil)
	expect("without authorities", second, first)

	// A hub's services have certificates of an authority that they don't trust.
	certificate, key := newAuthority(t).pair()
	write("cert.pem", certificate)
	write("key.pem", key)
	write("ca.pem", second.pem())
	environment["JUPYTERHUB_SERVICE_URL"] = "https://" + addresses[0]
	check := healthcheckOptions{timeout: time.Minute}
	if err := check.complete(t.Context(), func(name string) string { return environment[name] }); err != nil {
		t.Fatal(err)
	}
	if err := runHealthcheck(t.Context(), check); err == nil || !strings.HasSuffix(err.Error(), "404 Not Found") {
		t.Errorf("healthcheck: %v", err)
	}

	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"can't be read again", "can be read again"} {
		if n := strings.Count(text.String(), want); n < 1 || n > 2 {
			t.Errorf("%q is logged %d times:\n%s", want, n, &text)
		}
	}
}

func TestServesTLSOnlyWhereTheHubExpectsIt(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	files := map[string]string{}
	certificate, key := a.pair()
	for name, content := range map[string][]byte{
		"cert.pem": certificate, "key.pem": key, "broken.pem": []byte("x"),
		"tls.yml":       []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"),
		"passwords.yml": []byte("basic_auth_users: {ada: $2a$04$8tLgszoIUBvUr0mkI8ihduZLiv93EAZS2xwAeDQlIYo8VOylsCIPa}\n"),
	} {
		files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(files[name], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what, url, cert, config string
		served                  bool
		err                     string
	}{
		{"an https address", "https://127.0.0.1:1", "cert.pem", "", true, ""},
		{"an http address, whatever else the hub encrypts", "http://127.0.0.1:1", "cert.pem", "", false, ""},
		{"no address", "", "cert.pem", "", false, ""},
		{"no address, as a hub writes it", "https://127.0.0.1:0/", "cert.pem", "", false, ""},
		{"no certificate: TLS ends elsewhere", "https://127.0.0.1:1", "", "", false, ""},
		{"TLS of one's own", "https://127.0.0.1:1", "cert.pem", "tls.yml", false, ""},
		{"passwords, and no TLS", "https://127.0.0.1:1", "cert.pem", "passwords.yml", false, "--web.config.file has no TLS"},
		{"a broken certificate", "https://127.0.0.1:1", "broken.pem", "", false, "the hub's certificate for its service can't be used: "},
	} {
		environment := map[string]string{"JUPYTERHUB_SERVICE_URL": c.url, "JUPYTERHUB_SSL_CERTFILE": files[c.cert], "JUPYTERHUB_SSL_KEYFILE": files["key.pem"]}
		o := webOptions{telemetryPath: defaultTelemetryPath, configFile: files[c.config]}
		err := o.complete(func(name string) string { return environment[name] })
		switch {
		case c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", c.what, err, c.err)
		case c.err == "" && (err != nil || (o.tls != nil) != c.served):
			t.Errorf("%s: TLS with the hub's certificate %v, error %v", c.what, o.tls != nil, err)
		}
	}
}
