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
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
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

// pair returns a new certificate for 127.0.0.1 and its key as PEM.
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

// install writes new files of the authority to a folder.
func (a *authority) install(dir string) (caFile, certFile, keyFile string) {
	a.t.Helper()
	certificate, key := a.pair()
	return write(a.t, dir, "ca.pem", a.pem()), write(a.t, dir, "cert.pem", certificate), write(a.t, dir, "key.pem", key)
}

func write(t *testing.T, dir, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// client returns a client that trusts the authority, and has a certificate of it if shows.
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

// While the files can't be used, the previous configuration stays in use, and the log says so once.
func TestTLSFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t)
	var text bytes.Buffer
	f := new(tlsFiles)
	f.caFile, f.certFile, f.keyFile = a.install(dir)
	f.logTo(slog.New(slog.NewTextHandler(&text, nil)), "the hub")
	for _, c := range []struct {
		what, name string
		content    []byte // nil removes the file
		want       string
	}{
		{"no file with authorities", "ca.pem", nil, "no such file"},
		{"an empty file with authorities", "ca.pem", []byte{}, "there is no certificate in "},
		{"a file without an authority", "ca.pem", []byte("# soon\n"), "there is no certificate in "},
		{"no certificate", "cert.pem", nil, "no such file"},
		{"the certificate of another key", "cert.pem", func() []byte { other, _ := a.pair(); return other }(), "private key does not match"},
	} {
		before := f.config()
		if again := f.config(); again != before {
			t.Errorf("before %s: the configuration is new, though the files are not", c.what)
		}
		if text.Len() > 0 {
			t.Errorf("before %s: got log %s, want none", c.what, &text)
		}
		if err := os.Remove(filepath.Join(dir, c.name)); err != nil {
			t.Fatal(err)
		}
		if c.content != nil {
			write(t, dir, c.name, c.content)
		}
		for range 2 {
			if got := f.config(); got != before {
				t.Errorf("%s: the previous configuration is no longer in use", c.what)
			}
		}
		a.install(dir)
		if f.config() == before {
			t.Errorf("after %s: the new files are not in use", c.what)
		}
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], c.want) || !strings.Contains(lines[1], "can be read again") {
			t.Errorf("%s: got log\n%s\nwant a warning with %q, and that it can be read again", c.what, &text, c.want)
		}
		text.Reset()
	}
}

// Certificates for the hub are rotated without a restart.
func TestCertificatesForTheHubAreRotated(t *testing.T) {
	dir := t.TempDir()
	h := &fakehub.Hub{}
	h.Grant("exporter", "list:users")
	first, second := newAuthority(t), newAuthority(t)
	files := new(tlsFiles) // of the hub
	files.caFile, files.certFile, files.keyFile = first.install(t.TempDir())
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = files.serverConfig()
	server.StartTLS()
	defer server.Close()

	o := hubOptions{address: server.URL, token: hub.NewToken("exporter"), timeout: time.Minute}
	o.caFile, o.certFile, o.keyFile = first.install(dir)
	o.rules.NoneName, o.rules.MultipleName = "none", "multiple"
	if err := o.complete(func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
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
	second.install(filepath.Dir(files.caFile))
	if err := ask(); err == nil || !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Fatalf("a hub with a new authority, and the old one in the file: got %v, want an unknown authority", err)
	}
	write(t, dir, "ca.pem", second.pem())
	if err := ask(); err == nil || errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Fatalf("with the new authority in the file, and the old certificate: got %v, want that the hub refuses it", err)
	}
	second.install(dir)
	if err := ask(); err != nil {
		t.Fatalf("with a new certificate too: %v", err)
	}
}

// With internal_ssl and an https address, a service serves the hub's certificate to callers that have one too. It uses
// a replaced file for the next connection, and keeps the previous one if the new one can't be read.
func TestServesTheHubsCertificate(t *testing.T) {
	dir := t.TempDir()
	first, second := newAuthority(t), newAuthority(t)
	caFile, certFile, keyFile := first.install(dir)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	environment := map[string]string{
		"JUPYTERHUB_SERVICE_URL":  "https://" + address,
		"JUPYTERHUB_SSL_CERTFILE": certFile, "JUPYTERHUB_SSL_KEYFILE": keyFile, "JUPYTERHUB_SSL_CLIENT_CA": caFile,
	}
	getenv := func(name string) string { return environment[name] }
	o := webOptions{telemetryPath: defaultTelemetryPath}
	if err := o.complete(getenv); err != nil {
		t.Fatal(err)
	}
	if o.auth != authHub {
		t.Errorf("got auth %s, want hub: the hub's proxy shows its certificate for anybody", o.auth)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	log := slog.New(slog.DiscardHandler)
	go func() {
		stopped <- server.Serve(ctx, []net.Listener{listener}, http.NotFoundHandler(), o.security(log, log), log)
	}()
	statusOf := func(client *http.Client, scheme string) int {
		response, err := client.Get(scheme + "://" + address)
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	expect := func(when string, in, out *authority) {
		t.Helper()
		for _, c := range []struct {
			what   string
			client *http.Client
			scheme string
			want   int
		}{
			{"with a certificate", in.client(true), "https", http.StatusNotFound},
			{"without a certificate", in.client(false), "https", 0},
			{"with another authority", out.client(true), "https", 0},
			{"plain", http.DefaultClient, "http", http.StatusBadRequest},
		} {
			if got := statusOf(c.client, c.scheme); got != c.want {
				t.Errorf("%s, %s: got %d, want %d", when, c.what, got, c.want)
			}
		}
	}
	expect("at the start", first, second)
	certificate, _ := second.pair()
	write(t, dir, "cert.pem", certificate) // its key isn't there yet
	expect("while the files are replaced", first, second)
	second.install(dir)
	expect("after that", second, first)

	// A hub's services have certificates of an authority that they don't trust.
	newAuthority(t).install(dir)
	write(t, dir, "ca.pem", second.pem())
	check := healthcheckOptions{timeout: time.Minute}
	if err := check.complete(t.Context(), getenv); err != nil {
		t.Fatal(err)
	}
	if err := runHealthcheck(t.Context(), check); err == nil || !strings.HasSuffix(err.Error(), "404 Not Found") {
		t.Errorf("healthcheck: got %v, want 404", err)
	}
	stop()
	if err := <-stopped; err != nil {
		t.Error(err)
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
