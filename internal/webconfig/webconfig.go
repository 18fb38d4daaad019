// Package webconfig checks that a --web.config.file never demands less of callers than before.
//
// exporter-toolkit reads the file for each request and each TLS handshake, and applies what it finds. While the file is
// rewritten in place, it is empty or incomplete for a moment, and the toolkit lets everybody in. File adds a second
// check after the toolkit's, which can only refuse callers.
package webconfig

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"
)

// Demand is a requirement that a file can have for callers.
type Demand string

// The demands.
const (
	TLS                  Demand = "TLS"
	Password             Demand = "passwords"
	Certificate          Demand = "client certificates"
	VerifiedCertificate  Demand = "verified client certificates"
	CertificateAuthority Demand = "client certificates of certain authorities"
	CertificateName      Demand = "client certificates with certain names"
)

// maxVerified limits the cache of correct passwords. Checking one takes 60 ms by design.
const maxVerified = 64

// File is a --web.config.file.
type File struct {
	// Report is called for each check with what is wrong with the file, or nil.
	Report func(error)

	path     string
	isTLS    bool // whether the server started with TLS; the toolkit doesn't change that later
	verified *lru.Cache[[sha256.Size]byte, struct{}]

	mu      sync.Mutex
	demands []Demand // all demands since the start
}

// Open reads a file that must be valid and not empty.
func Open(path string) (*File, error) {
	if err := web.Validate(path); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path) //nolint:gosec // the path comes from the operator
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("it is empty") // perhaps because it is being written
	}
	config, err := parse(path, content)
	if err != nil {
		return nil, err
	}
	f := &File{Report: func(error) {}, path: path, isTLS: config.TLSConfig.IsEnabled()}
	f.verified, _ = lru.New[[sha256.Size]byte, struct{}](maxVerified) // fails only for sizes below 1
	f.demands = f.demandsOf(config)
	return f, nil
}

func parse(path string, content []byte) (*web.Config, error) {
	config := &web.Config{TLSConfig: web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}}
	if err := yaml.UnmarshalStrict(content, config); err != nil {
		return nil, err
	}
	config.TLSConfig.SetDirectory(filepath.Dir(path))
	return config, nil
}

// Demands reports whether the file has made a demand since the start.
func (f *File) Demands(demand Demand) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.demands, demand)
}

// demandsOf returns what a configuration demands of callers.
func (f *File) demandsOf(config *web.Config) []Demand {
	var demands []Demand
	if len(config.Users) > 0 {
		demands = append(demands, Password)
	}
	c := &config.TLSConfig
	if !f.isTLS || !c.IsEnabled() {
		return demands
	}
	demands = append(demands, TLS)
	switch c.ClientAuth {
	case "RequireAnyClientCert", "RequireClientCert":
		demands = append(demands, Certificate)
	case "RequireAndVerifyClientCert":
		demands = append(demands, Certificate, VerifiedCertificate)
		if c.ClientCAs != "" || c.ClientCAsText != "" {
			demands = append(demands, CertificateAuthority)
		}
	}
	if c.ClientAllowedSans != nil {
		demands = append(demands, CertificateName)
	}
	return demands
}

// Check returns an error if the file demands less than before, or if the caller doesn't meet its demands. The latter
// happens if the toolkit read the file while it was incomplete, or if the TLS handshake was before a change.
func (f *File) Check(r *http.Request) error {
	config, err := f.current()
	f.Report(err)
	if err != nil {
		return err
	}
	if len(config.Users) > 0 && !f.isCorrect(config, r) {
		return errors.New("wrong user name or password")
	}
	switch {
	case !f.isTLS:
		return nil
	case r.TLS == nil:
		return errors.New("not over TLS") // the file was empty when the toolkit started
	default:
		return f.checkCertificate(config, r.TLS.PeerCertificates)
	}
}

// current reads the file. It returns an error if the file demands less than at any time before, and remembers new
// demands.
func (f *File) current() (*web.Config, error) {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	config, err := parse(f.path, content)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	demands := f.demandsOf(config)
	for _, demand := range f.demands {
		if !slices.Contains(demands, demand) {
			return nil, fmt.Errorf("it no longer demands %s", demand)
		}
	}
	f.demands = demands
	return config, nil
}

// isCorrect reports whether a request has a correct user name and password.
func (f *File) isCorrect(config *web.Config, r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	hashed := config.Users[user]
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", user, hashed, password))
	if f.verified.Contains(key) {
		return true
	}
	if bcrypt.CompareHashAndPassword([]byte(hashed), []byte(password)) != nil {
		return false
	}
	f.verified.Add(key, struct{}{})
	return true
}

// checkCertificate repeats the checks of a TLS handshake under the configuration.
func (f *File) checkCertificate(config *web.Config, certificates []*x509.Certificate) error {
	demands := f.demandsOf(config)
	if !slices.Contains(demands, Certificate) {
		return nil
	}
	if len(certificates) == 0 {
		return errors.New("no client certificate")
	}
	tlsConfig, err := web.ConfigToTLSConfig(&config.TLSConfig)
	if err != nil {
		return err
	}
	if slices.Contains(demands, VerifiedCertificate) {
		options := x509.VerifyOptions{
			Roots: tlsConfig.ClientCAs, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		for _, c := range certificates[1:] {
			options.Intermediates.AddCert(c)
		}
		if _, err := certificates[0].Verify(options); err != nil {
			return err
		}
	}
	if tlsConfig.VerifyPeerCertificate != nil {
		return tlsConfig.VerifyPeerCertificate([][]byte{certificates[0].Raw}, nil)
	}
	return nil
}
