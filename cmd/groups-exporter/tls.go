package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"sync"
)

// tlsFiles is a TLS configuration in PEM files: of the client for the hub, or of the server. The files are read again
// each time the configuration is used, because certificates are rotated.
type tlsFiles struct {
	caFile, certFile, keyFile string // "" for none

	// report is called with the outcome each time the files are read again. It may be nil.
	report func(error)

	mu      sync.Mutex
	content [][]byte    // of the files
	last    *tls.Config // made of the content
}

// serviceTLS returns the TLS configuration for a service of a hub with internal_ssl. It returns nil if the service has
// no https URL or no certificate. Port 0 means that the service has no address.
func serviceTLS(getenv func(string) string) *tlsFiles {
	u, err := url.Parse(getenv("JUPYTERHUB_SERVICE_URL"))
	f := &tlsFiles{caFile: getenv("JUPYTERHUB_SSL_CLIENT_CA"), certFile: getenv("JUPYTERHUB_SSL_CERTFILE"), keyFile: getenv("JUPYTERHUB_SSL_KEYFILE")}
	if err != nil || u.Scheme != "https" || u.Port() == "0" || f.certFile == "" || f.keyFile == "" {
		return nil
	}
	return f
}

// config returns the configuration that the files have now. It returns the same pointer until they change. If they
// can't be used, the last configuration stays in use.
func (f *tlsFiles) config() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); f.report != nil {
		f.report(err)
	}
	return f.last
}

// serverConfig returns a configuration for servers that uses the files as they are at each new connection.
func (f *tlsFiles) serverConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.config(), nil }}
}

// read reads the files, and makes a new configuration if their content has changed.
func (f *tlsFiles) read() error {
	var content [][]byte
	for _, name := range []string{f.caFile, f.certFile, f.keyFile} {
		var data []byte
		if name != "" {
			var err error
			if data, err = os.ReadFile(name); err != nil { //nolint:gosec // the operator names the files
				return err
			}
		}
		content = append(content, data)
	}
	if f.last != nil && slices.EqualFunc(content, f.content, bytes.Equal) {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caFile != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content[0]) {
			return fmt.Errorf("there is no certificate in %s", f.caFile)
		}
		// As in JupyterHub's own services, callers need a certificate of the hub's authorities. The hub and its proxy
		// have one.
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, config.RootCAs.Clone()
	}
	if f.certFile != "" {
		pair, err := tls.X509KeyPair(content[1], content[2])
		if err != nil {
			return fmt.Errorf("%s: %w", f.certFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
		// A client sends no certificate of Certificates to a hub that names other authorities, and the hub would report that
		// there is none.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		if config.ClientCAs != nil {
			config.ClientCAs.AddCert(pair.Leaf) // healthcheck connects with it
		}
	}
	f.content, f.last = content, config
	return nil
}

// logTo makes a log of when the files can't be used, and when they can be used again.
func (f *tlsFiles) logTo(log *slog.Logger, what string) {
	status := changes{
		log:    log,
		failed: "the certificates for " + what + " can't be read again: the previous ones stay in use",
		mended: "the certificates for " + what + " can be read again",
	}
	f.report = status.report
}
