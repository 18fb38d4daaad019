package webconfig_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
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

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

const passwords = "basic_auth_users:\n  ada: $2a$04$8tLgszoIUBvUr0mkI8ihduZLiv93EAZS2xwAeDQlIYo8VOylsCIPa\n" // secret

// authority is a certificate and its key, with which it can sign others.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// certify makes a certificate that is signed by an authority, or by itself.
func certify(t *testing.T, template *x509.Certificate, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	if by == nil {
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key}
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	return certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
}

// sign returns a certificate for a name.
func (a *authority) sign(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	leaf := certify(t, &x509.Certificate{
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a)
	return &tls.Certificate{Certificate: [][]byte{leaf.certificate.Raw}, PrivateKey: leaf.key, Leaf: leaf.certificate}
}

// site is a --web.config.file and the files that it names, with the authority of clients and of the server.
type site struct {
	*authority
	t         *testing.T
	dir, path string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{authority: newAuthority(t), t: t, dir: t.TempDir()}
	s.path = filepath.Join(s.dir, "web.yml")
	server := s.sign(t, "exporter")
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.pem("cert.pem", "CERTIFICATE", server.Certificate[0])
	s.pem("key.pem", "PRIVATE KEY", key)
	s.pem("clients.pem", "CERTIFICATE", s.certificate.Raw)
	return s
}

func (s *site) pem(name, kind string, bytes []byte) {
	s.file(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})))
}

func (s *site) file(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// rewrite rewrites the configuration in place.
func (s *site) rewrite(content string) { s.file("web.yml", content) }

func (s *site) open() *webconfig.File {
	s.t.Helper()
	f, err := webconfig.Open(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

const (
	tlsOnly  = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
	mutual   = tlsOnly + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n"
	named    = mutual + "  client_allowed_sans: [prometheus]\n"
	anyone   = tlsOnly + "  client_auth_type: RequireAnyClientCert\n"
	systemCA = tlsOnly + "  client_auth_type: RequireAndVerifyClientCert\n"
)

// If a file demands less than before, Check refuses all callers until it demands as much again.
func TestFewerDemands(t *testing.T) {
	s := newSite(t)
	prometheus := s.sign(t, "prometheus")
	request := func(overTLS bool) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.SetBasicAuth("ada", "secret")
		if overTLS {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{prometheus.Leaf}}
		}
		return r
	}
	for start, weaker := range map[string][]string{
		passwords:         {"", "basic_auth_users:\n", "# being written\n", "basic_auth_", "http_server_config: {http2: false}\n"},
		tlsOnly:           {"", passwords},
		anyone:            {"", tlsOnly, tlsOnly + "  client_auth_type: VerifyClientCertIfGiven\n"},
		mutual:            {"", tlsOnly, anyone, systemCA},
		named:             {"", tlsOnly, anyone, systemCA, mutual},
		named + passwords: {"", named, mutual + passwords, passwords},
	} {
		s.rewrite(start)
		f := s.open()
		overTLS := start != passwords
		var reports []error
		f.Report = func(err error) { reports = append(reports, err) }
		for _, less := range weaker {
			s.rewrite(less)
			if err := f.Check(request(overTLS)); err == nil {
				t.Errorf("%q after %q: caller accepted, want an error", less, start)
			}
			if reports[len(reports)-1] == nil {
				t.Errorf("%q after %q: no error reported", less, start)
			}
			s.rewrite(start)
			if err := f.Check(request(overTLS)); err != nil {
				t.Errorf("%q again: got %v, want no error", start, err)
			}
			if err := reports[len(reports)-1]; err != nil {
				t.Errorf("%q again: reported %v, want nil", start, err)
			}
		}
		if err := os.Remove(s.path); err != nil {
			t.Fatal(err)
		}
		if err := f.Check(request(overTLS)); err == nil {
			t.Errorf("no file after %q: caller accepted, want an error", start)
		}
	}
}

// New demands are remembered like those at the start.
func TestMoreDemands(t *testing.T) {
	s := newSite(t)
	s.rewrite("http_server_config: {http2: false}\n")
	f := s.open()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if err := f.Check(r); err != nil || f.Demands(webconfig.Password) {
		t.Errorf("without demands: got %v, want no error", err)
	}
	s.rewrite(passwords)
	r.SetBasicAuth("ada", "secret")
	if err := f.Check(r); err != nil || !f.Demands(webconfig.Password) {
		t.Errorf("with passwords: got %v, want no error", err)
	}
	s.rewrite("http_server_config: {http2: false}\n")
	if err := f.Check(r); err == nil || err.Error() != "it no longer demands passwords" {
		t.Errorf("without passwords again: got %v, want an error", err)
	}
	// If the server started without TLS, the toolkit never enables it.
	s.rewrite(passwords + mutual)
	if err := f.Check(r); err != nil {
		t.Errorf("with TLS that needs a restart: got %v, want no error", err)
	}
}

// The toolkit may have read an empty file, and File the complete one.
func TestCheck(t *testing.T) {
	s, other := newSite(t), newAuthority(t)
	for what, c := range map[string]struct {
		config       string
		user, secret string
		tls          bool
		certificate  *tls.Certificate
		ok           bool
	}{
		"the right password":                  {passwords, "ada", "secret", false, nil, true},
		"the right password again":            {passwords, "ada", "secret", false, nil, true},
		"a wrong password":                    {passwords, "ada", "secret2", false, nil, false},
		"a wrong user":                        {passwords, "bob", "secret", false, nil, false},
		"no password":                         {passwords, "", "", false, nil, false},
		"plain HTTP":                          {tlsOnly, "", "", false, nil, false},
		"TLS":                                 {tlsOnly, "", "", true, nil, true},
		"no certificate":                      {mutual, "", "", true, nil, false},
		"a certificate":                       {mutual, "", "", true, s.sign(t, "x"), true},
		"a certificate of somebody else":      {mutual, "", "", true, other.sign(t, "x"), false},
		"a certificate with another name":     {named, "", "", true, s.sign(t, "x"), false},
		"a certificate with the right name":   {named, "", "", true, s.sign(t, "prometheus"), true},
		"any certificate":                     {anyone, "", "", true, other.sign(t, "x"), true},
		"none where any will do":              {anyone, "", "", true, nil, false},
		"a certificate but no password":       {mutual + passwords, "", "", true, s.sign(t, "x"), false},
		"a certificate and a password":        {mutual + passwords, "ada", "secret", true, s.sign(t, "x"), true},
		"a password but no certificate":       {mutual + passwords, "ada", "secret", true, nil, false},
		"the authorities of the system alone": {systemCA, "", "", true, s.sign(t, "x"), false},
	} {
		s.rewrite(c.config)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.user != "" {
			r.SetBasicAuth(c.user, c.secret)
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
			if c.certificate != nil {
				r.TLS.PeerCertificates = []*x509.Certificate{c.certificate.Leaf}
			}
		}
		f := s.open()
		for range 2 { // the second result comes from the cache
			if err := f.Check(r); (err == nil) != c.ok {
				t.Errorf("%s: got %v, want success: %v", what, err, c.ok)
			}
		}
	}
}

func TestOpenErrors(t *testing.T) {
	s := newSite(t)
	for content, want := range map[string]string{
		"":                         "it is empty",
		" \n\n":                    "it is empty",
		"basic_auth_users: 7":      "cannot unmarshal",
		"something: else":          "field something not found",
		"basic_auth_users: {a: b}": "hashedSecret too short",
	} {
		s.rewrite(content)
		if _, err := webconfig.Open(s.path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", content, err, want)
		}
	}
}

// serve starts a server with the toolkit and a File. It returns a function that sends a request.
func (s *site) serve() (get func(certificate *tls.Certificate, password string) string) {
	s.t.Helper()
	f := s.open()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "names")
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = web.Serve(listener, server, &web.FlagConfig{WebConfigFile: &s.path}, slog.New(slog.DiscardHandler))
	}()
	s.t.Cleanup(func() { server.Close(); <-stopped })
	scheme := "http://"
	if f.Demands(webconfig.TLS) {
		scheme = "https://"
	}
	get = func(certificate *tls.Certificate, password string) string {
		config := &tls.Config{InsecureSkipVerify: true}
		if certificate != nil {
			config.Certificates = []tls.Certificate{*certificate}
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, scheme+listener.Addr().String(), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("ada", password)
		}
		response, err := client.Do(request)
		if err != nil {
			return "no connection"
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return string(text)
	}
	return get
}

// With the toolkit, over the network, all callers are refused while the file demands less.
func TestServer(t *testing.T) {
	s := newSite(t)
	s.rewrite(mutual + passwords)
	get, good := s.serve(), s.sign(t, "prometheus")
	for deadline := time.Now().Add(time.Minute); get(good, "secret") != "names"; {
		if time.Now().After(deadline) {
			t.Fatalf("valid caller: got %q, want success", get(good, "secret"))
		}
	}
	for _, rewritten := range []string{"", tlsOnly, anyone + passwords, mutual, tlsOnly + "  client_auth_type: VerifyClientCertIfGiven\n"} {
		s.rewrite(rewritten)
		for _, certificate := range []*tls.Certificate{nil, good} {
			for _, password := range []string{"", "secret"} {
				if got := get(certificate, password); got == "names" {
					t.Errorf("accepted with a certificate: %v and a password: %v, while the file is\n%s", certificate != nil, password != "", rewritten)
				}
			}
		}
	}
	s.rewrite(mutual + passwords)
	if got := get(good, "secret"); got != "names" {
		t.Errorf("with the original file: got %q", got)
	}
}

// Requests arrive all the time while the file is rewritten in place.
func TestRewriteInPlace(t *testing.T) {
	s := newSite(t)
	s.rewrite(passwords)
	get := s.serve()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			s.rewrite(passwords)
			time.Sleep(time.Millisecond)
		}
	}()
	accepted := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if get(nil, "") == "names" {
			accepted++
		}
	}
	if accepted > 0 {
		t.Errorf("%d requests without a password accepted, want 0", accepted)
	}
	if got := get(nil, "secret"); got != "names" {
		t.Errorf("with the original file: got %q", got)
	}
}
