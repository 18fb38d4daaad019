package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

type healthcheckOptions struct {
	url     string
	timeout time.Duration

	// What complete makes of them.
	address *url.URL
	tls     *serviceTLS // of the exporter, and our own certificate; nil for none
}

func (o *healthcheckOptions) addFlags(cmd *cobra.Command) {
	o.timeout = 5 * time.Second
	cmd.Flags().StringVar(&o.url, "url", "", "`URL` of /-/healthy or /-/ready (default \"http://127.0.0.1"+defaultListenAddress+"/-/healthy\")")
	cmd.Flags().Var(duration{&o.timeout}, "timeout", "limit for the request")
}

func (o *healthcheckOptions) complete(ctx context.Context, getenv func(string) string) error {
	if o.url == "" {
		// Where and how serve listens in the same environment.
		web := webOptions{
			listenOn: lines(getenv("GROUPS_EXPORTER_WEB_LISTEN_ADDRESS")), configFile: getenv("GROUPS_EXPORTER_WEB_CONFIG_FILE"),
			telemetryPath: defaultTelemetryPath,
		}
		if err := web.complete(getenv); err != nil {
			return err
		}
		o.address = healthyURL(ctx, &web)
		o.tls = web.tls
		return nil
	}
	var err error
	if o.address, err = remote.ParseURLOrSocket(o.url); err != nil {
		return usagef("--url is no address: %w", err)
	}
	return nil
}

// healthyURL returns the URL of /-/healthy at the first address on which an exporter listens.
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
	host, port, _ := net.SplitHostPort(first.address) // complete has checked both
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
		Long: `Ask a running exporter for its health, for the health check of a container.
Nothing is printed if it is healthy. The certificate of an https address isn't
verified, because the exporter is on the same machine.

Exit codes: 0 healthy, 1 not healthy, 2 invalid command line.`,
		Example: `  groups-exporter healthcheck
  groups-exporter healthcheck --url http://127.0.0.1:8100/-/ready

  # on a Unix socket
  groups-exporter healthcheck --url http+unix://%2Frun%2Fgroups-exporter.sock/-/healthy`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(cmd.Context(), getenv); err != nil {
				return err
			}
			return interruptible(cmd.Context(), func() error { return runHealthcheck(cmd.Context(), o) })
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
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it has no secret to tell, and asks about itself
	if o.tls != nil {
		pair, err := tls.LoadX509KeyPair(o.tls.certFile, o.tls.keyFile)
		if err != nil {
			return fmt.Errorf("the hub's certificate for its service can't be used: %w", err)
		}
		// It doesn't matter who signed the certificate: the exporter accepts its own.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	if socket := remote.Socket(o.address); socket != "" {
		transport.DialContext = remote.DialSocket(socket)
	}
	client := http.Client{Transport: transport}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the exporter at %s doesn't answer: %w", o.address, remote.Cause(err))
	}
	defer response.Body.Close()
	// With passwords in --web.config.file nobody gets an answer without one; it is well
	// all the same.
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("the exporter at %s answered %s", o.address, response.Status)
	}
	return nil
}
