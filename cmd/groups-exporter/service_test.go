package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/ports"
)

// Where the host of a service's URL is elsewhere, the exporter listens on all addresses: the hub's proxy reaches it by
// that host, and the hub ends when the exporter exits.
func TestListensWhereTheHubExpects(t *testing.T) {
	address, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	_, port, _ := net.SplitHostPort(address)
	const all, none = "listens on all addresses", ""
	for _, c := range []struct{ url, reached, log string }{
		{"http://127.0.0.1:" + port, "127.0.0.1", none},
		{"http://localhost:" + port + "/", "localhost", none},
		{"http://127.9.9.9:" + port, "127.9.9.9", none},
		{"http://[::1]:" + port, "[::1]", none},
		{"http://0.0.0.0:" + port, "127.0.0.1", none},
		{"https://127.0.0.1:" + port, "127.0.0.1", none},
		{"http://192.0.2.1:" + port, "127.9.9.9", all},                       // of another machine
		{"http://[2001:db8::1]:" + port, "127.0.0.1", all},                   // the same
		{"http://" + strings.Repeat("a", 64) + ":" + port, "127.0.0.1", all}, // a name that has no address
		{"http://192.0.2.1", "127.0.0.1", none},                              // with the default, which the test replaces
		{"http://user:pw@192.0.2.1", "127.0.0.1", none},                      // the same
		{"http://192.0.2.1:0", "127.0.0.1", none},                            // not a URL to listen at
	} {
		t.Run(c.url, func(t *testing.T) {
			if u, err := url.Parse(c.url); err == nil && u.Hostname() == "::1" && len(localAddresses(t.Context(), "::1")) == 0 {
				c.reached, c.log = "127.0.0.1", all // this machine has no IPv6
			}
			o := webOptions{telemetryPath: defaultTelemetryPath}
			if err := o.complete(func(name string) string { return map[string]string{"JUPYTERHUB_SERVICE_URL": c.url}[name] }); err != nil {
				t.Fatal(err)
			}
			if !o.byURL {
				o.addresses = []listenAddress{{"tcp", ":" + port}}
			}
			var text bytes.Buffer
			listeners, err := o.listen(t.Context(), slog.New(slog.NewTextHandler(&text, nil)))
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range listeners {
				defer l.Close()
			}
			addresses, err := net.LookupHost(strings.Trim(c.reached, "[]"))
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range addresses { // of localhost, all
				connection, err := net.Dial("tcp", net.JoinHostPort(address, port))
				if err != nil {
					t.Fatal(err)
				}
				connection.Close()
			}
			if got := text.String(); c.log == none && got != "" || !strings.Contains(got, c.log) || strings.Contains(got, "pw") {
				t.Errorf("log %q, want %q", got, c.log)
			}
		})
	}
}
