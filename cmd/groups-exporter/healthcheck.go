package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

type healthcheckOptions struct {
	url     string
	timeout time.Duration
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
			listenAddress: getenv("GROUPS_EXPORTER_WEB_LISTEN_ADDRESS"), configFile: getenv("GROUPS_EXPORTER_WEB_CONFIG_FILE"),
			telemetryPath: defaultTelemetryPath,
		}
		if err := web.complete(getenv); err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(web.listenAddress) // complete has checked both
		number, _ := net.LookupPort("tcp", port)
		if len(localAddresses(ctx, host)) == 0 {
			host = "127.0.0.1"
		}
		scheme := "http://"
		if o.tls = web.tls; o.tls != nil || web.demands(webconfig.TLS) {
			scheme = "https://"
		}
		o.url = scheme + net.JoinHostPort(host, strconv.Itoa(number)) + "/-/healthy"
	}
	if _, err := remote.ParseURL(o.url); err != nil {
		return usagef("--url is no address: %w", err)
	}
	return nil
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
  groups-exporter healthcheck --url http://127.0.0.1:8100/-/ready`,
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url, nil)
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
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the exporter at %s doesn't answer: %w", o.url, remote.Cause(err))
	}
	defer response.Body.Close()
	// With passwords in --web.config.file nobody gets an answer without one; it is well
	// all the same.
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("the exporter at %s answered %s", o.url, response.Status)
	}
	return nil
}
