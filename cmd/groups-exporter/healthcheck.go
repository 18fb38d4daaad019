package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

type healthcheckOptions struct {
	url        string
	timeout    time.Duration
	configFile string // of the exporter
	certFile   string // the client certificate
	keyFile    string

	// Set by complete.
	address   *url.URL
	passwords bool // whether the exporter's configuration demands passwords
}

func (o *healthcheckOptions) addFlags(cmd *cobra.Command) {
	o.timeout = 5 * time.Second
	flags := cmd.Flags()
	flags.StringVar(&o.url, "url", "", "`URL` of /-/healthy or /-/ready (default \"http://127.0.0.1"+defaultListenAddress+"/-/healthy\")")
	flags.Var(duration{&o.timeout}, "timeout", "limit for the request")
	flags.StringVar(&o.certFile, "cert-file", "", "PEM `file` with the client certificate")
	flags.StringVar(&o.keyFile, "key-file", "", "PEM `file` with its key")
	flags.StringVar(&o.configFile, "web.config.file", "", "`file` that serve has, for TLS and basic auth")
}

func (o *healthcheckOptions) complete(ctx context.Context, getenv func(string) string) error {
	if (o.certFile == "") != (o.keyFile == "") {
		return usagef("--cert-file and --key-file must be set together")
	}
	web := webOptions{ // those of serve in the same environment
		listenOn: lines(getenv("GROUPS_EXPORTER_WEB_LISTEN_ADDRESS")), configFile: cmp.Or(o.configFile, getenv("GROUPS_EXPORTER_WEB_CONFIG_FILE")),
		telemetryPath: defaultTelemetryPath,
	}
	if o.url != "" {
		var err error
		if o.address, err = remote.ParseURLOrSocket(o.url); err != nil {
			return usagef("--url is not a valid address: %w", err)
		}
		if err := web.openConfig(); err != nil {
			return err
		}
	} else {
		if err := web.complete(getenv); err != nil {
			return err
		}
		o.address = healthyURL(ctx, &web)
		if web.tls != nil && o.certFile == "" { // the exporter accepts its own certificate, whoever signed it
			o.certFile, o.keyFile = web.tls.certFile, web.tls.keyFile
		}
	}
	o.passwords = web.demands(webconfig.Password)
	return nil
}

// healthyURL returns the URL of /-/healthy at the first address where an exporter listens.
func healthyURL(ctx context.Context, web *webOptions) *url.URL {
	u := &url.URL{Scheme: "http", Path: "/-/healthy"}
	unix := remote.HTTPUnix
	if web.tls != nil || web.demands(webconfig.TLS) {
		u.Scheme, unix = "https", remote.HTTPSUnix
	}
	first := web.addresses[0]
	if first.network == "unix" {
		u.Scheme, u.Host = unix, first.address
		return u
	}
	host, port, _ := net.SplitHostPort(first.address) // valid since web.complete
	number, _ := net.LookupPort("tcp", port)
	if len(localAddresses(ctx, host)) == 0 {
		host = "127.0.0.1"
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(number))
	return u
}

func newHealthcheckCommand(getenv func(string) string) *cobra.Command {
	var o healthcheckOptions
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Check that an exporter is running",
		Long: `Check that an exporter answers, for the health check of a container. Nothing is
printed if it is healthy. Another program at the address is an error. The
certificate of an https address isn't verified, because the exporter is on the
same machine.

Without --url, healthcheck reads GROUPS_EXPORTER_WEB_LISTEN_ADDRESS and
GROUPS_EXPORTER_WEB_CONFIG_FILE, like serve. If the exporter demands passwords,
its answer 401 counts as healthy. If it demands client certificates, use
--cert-file and --key-file.

Exit codes: 0 healthy, 1 not healthy, 2 invalid command line.`,
		Example: `  groups-exporter healthcheck
  groups-exporter healthcheck --url http://127.0.0.1:8100/-/ready
  groups-exporter healthcheck --cert-file client.crt --key-file client.key

  # on a Unix socket
  groups-exporter healthcheck --url http+unix://%2Frun%2Fgroups-exporter.sock/-/healthy`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(cmd.Context(), getenv); err != nil {
				return err
			}
			return runHealthcheck(cmd.Context(), o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runHealthcheck(ctx context.Context, o healthcheckOptions) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, remote.RequestURL(o.address).String(), nil)
	if err != nil {
		return err
	}
	var certificate tls.Certificate // empty for none
	if o.certFile != "" {
		if certificate, err = tls.LoadX509KeyPair(o.certFile, o.keyFile); err != nil {
			return fmt.Errorf("the client certificate can't be used: %w", err)
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify:   true, //nolint:gosec // the request holds no secret, and the exporter is on the same machine
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	}}
	if socket := remote.Socket(o.address); socket != "" {
		transport.DialContext = remote.DialSocket(socket)
	}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the exporter at %s doesn't answer: %w", o.address, remote.Cause(err))
	}
	defer response.Body.Close()
	return o.checkAnswer(response)
}

// checkAnswer returns an error unless the response is that of a healthy exporter.
func (o *healthcheckOptions) checkAnswer(response *http.Response) error {
	switch response.StatusCode {
	case http.StatusOK:
		body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
		if err != nil {
			return fmt.Errorf("the answer of %s can't be read: %w", o.address, remote.Cause(err))
		}
		if text := string(body); text != server.HealthyText && text != server.ReadyText {
			return fmt.Errorf("%s is not the /-/healthy or /-/ready of groups-exporter", o.address)
		}
		return nil
	case http.StatusUnauthorized:
		// If --web.config.file has passwords, exporter-toolkit answers, and the exporter never sees the request.
		basic := response.Header.Get("WWW-Authenticate") == "Basic"
		if basic && o.passwords {
			return nil
		}
		if basic {
			return fmt.Errorf("%s answered %s: if this is an exporter with passwords, add --web.config.file with its file", o.address, response.Status)
		}
	}
	return fmt.Errorf("%s answered %s", o.address, response.Status)
}
