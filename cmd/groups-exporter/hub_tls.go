package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// hubTLS is the TLS configuration of requests to the hub. It is made of files, which are replaced
// when certificates are rotated.
type hubTLS struct {
	authorities      *pemFile // nil trusts the system's
	certificate, key *pemFile // ours; nil if there is none

	// report is called with the outcome each time that the files are read again. It may be nil.
	report func(error)

	mu   sync.Mutex
	last *tls.Config
}

// newHubTLS reads the files. The names may be empty.
func newHubTLS(caFile, certFile, keyFile string) (*hubTLS, error) {
	t := &hubTLS{authorities: newPEMFile(caFile), certificate: newPEMFile(certFile), key: newPEMFile(keyFile)}
	return t, t.read()
}

// config returns the configuration for the next request. It reads the files again, and returns
// the same pointer as before as long as they have the same content. If they can't be used, the
// last configuration stays in use.
func (t *hubTLS) config() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.read(); t.report != nil {
		t.report(err)
	}
	return t.last
}

// read reads the files, and makes a new configuration if their content has changed.
func (t *hubTLS) read() error {
	authorities, err := t.authorities.read()
	if err != nil {
		return fmt.Errorf("the hub's authorities can't be read: %w", err)
	}
	certificate, err := t.certificate.read()
	if err != nil {
		return fmt.Errorf("the certificate for the hub can't be used: %w", err)
	}
	key, err := t.key.read()
	if err != nil {
		return fmt.Errorf("the certificate for the hub can't be used: %w", err)
	}
	if t.last != nil && !t.authorities.isNew(authorities) && !t.certificate.isNew(certificate) && !t.key.isNew(key) {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.authorities != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return fmt.Errorf("there is no certificate in %s", t.authorities.name)
		}
	}
	if t.certificate != nil {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return fmt.Errorf("the certificate for the hub can't be used: %w", err)
		}
		// If it were in Certificates, a hub that expects other authorities wouldn't see it, and
		// would report that there is none.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	t.authorities.use(authorities)
	t.certificate.use(certificate)
	t.key.use(key)
	t.last = config
	return nil
}

// logTo makes a log of when the files can't be used, and when they can be used again.
func (t *hubTLS) logTo(log *slog.Logger) {
	status := changes{
		log:    log,
		failed: "the certificates for the hub can't be read again: the previous ones stay in use",
		mended: "the certificates for the hub can be read again",
	}
	t.report = status.report
}

// pemFile is a file with certificates or a key. A nil pemFile has no content.
type pemFile struct {
	name   string
	isPipe bool   // so that it can be read only once
	used   []byte // the content in use
}

// newPEMFile returns a file that isn't read yet, or nil if the name is empty.
func newPEMFile(name string) *pemFile {
	if name == "" {
		return nil
	}
	info, err := os.Stat(name)
	return &pemFile{name: name, isPipe: err == nil && !info.Mode().IsRegular()}
}

func (f *pemFile) read() ([]byte, error) {
	switch {
	case f == nil:
		return nil, nil
	case f.isPipe && f.used != nil:
		return f.used, nil
	default:
		return os.ReadFile(f.name)
	}
}

// isNew reports whether a content isn't the one in use.
func (f *pemFile) isNew(content []byte) bool { return f != nil && !bytes.Equal(content, f.used) }

func (f *pemFile) use(content []byte) {
	if f != nil {
		f.used = content
	}
}
