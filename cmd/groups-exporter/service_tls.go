package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync/atomic"
)

// serviceTLS holds the certificate with which a service of a hub with internal_ssl serves https.
type serviceTLS struct {
	certFile, keyFile string
	caFile            string // may be empty: then callers need no certificate

	last atomic.Pointer[tls.Config] // read from the files
}

// serviceTLSOf returns the serviceTLS from the hub's environment, or nil if the service's URL
// isn't an https URL or the service has no certificate. Port 0 is what a hub puts into the URL of a
// service that it doesn't connect to.
func serviceTLSOf(getenv func(string) string) *serviceTLS {
	u, err := url.Parse(getenv("JUPYTERHUB_SERVICE_URL"))
	s := &serviceTLS{
		certFile: getenv("JUPYTERHUB_SSL_CERTFILE"), keyFile: getenv("JUPYTERHUB_SSL_KEYFILE"),
		caFile: getenv("JUPYTERHUB_SSL_CLIENT_CA"),
	}
	if err != nil || u.Scheme != "https" || u.Port() == "0" || s.certFile == "" || s.keyFile == "" {
		return nil
	}
	return s
}

// read reads the files. As in JupyterHub's own services, callers need a certificate of the
// hub's authorities. The hub and its proxy have one.
func (s *serviceTLS) read() error {
	pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return err
		}
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("there is no certificate in %s", s.caFile)
		}
		config.ClientCAs.AddCert(pair.Leaf) // healthcheck has our own
	}
	s.last.Store(config)
	return nil
}

// config returns the configuration of a server. It reads the files for each connection, because
// a hub replaces them whenever it starts a service. If they can't be read, the last ones stay in
// use.
func (s *serviceTLS) config(log *slog.Logger) *tls.Config {
	status := changes{log: log, failed: "the certificate for https can't be read again: the last one stays in use", mended: "the certificate for https can be read again"}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		status.report(s.read())
		if last := s.last.Load(); last != nil {
			return last, nil
		}
		return nil, errors.New("no certificate")
	}}
}
