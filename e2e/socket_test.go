//go:build e2e

package e2e

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd opens the socket, and passes it on as the first file descriptor after the standard ones.
func TestSystemdSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			listener, err := net.Listen(network, address)
			noError(t, err)
			defer listener.Close()
			file, err := listener.(interface{ File() (*os.File, error) }).File()
			noError(t, err)
			defer file.Close()
			host, transport := listener.Addr().String(), http.DefaultTransport
			if network == "unix" {
				host, transport = "localhost", socket(address)
			}
			cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --demo --web.systemd-socket`, program)
			cmd.Env, cmd.ExtraFiles = environment(), []*os.File{file}
			exporter := launchCmd(t, cmd)
			exporter.until("ready", 10*time.Second, func() error {
				// The socket exists before the exporter runs. A connection waits for the exporter.
				_, err := getBy(transport, "", "http://"+host+"/-/ready")
				return err
			})
			exporter.end(syscall.SIGTERM)
			if network == "unix" {
				_, err := os.Stat(address)
				report(t, "socket of systemd", err)
			}
		})
	}
}

// The hub and the exporter use Unix sockets instead of ports.
func TestUnixSockets(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		dir := t.TempDir()
		hubSocket, ours := filepath.Join(dir, "hub.sock"), filepath.Join(dir, "exporter.sock")
		serve := []string{program, "serve", "--auth=hub", "--web.listen-address=unix:" + ours}
		scheme := "http+unix"
		if !strings.HasPrefix(version, "6.") {
			// These versions use another notation, and pass another address to their services.
			scheme = "unix+http"
			serve = append(serve, "--hub-url=unix+http://"+url.PathEscape(hubSocket))
		}
		h := prepareHub(t, version, "/", people(),
			service{name: "groups-exporter", scopes: reader.scopes, command: serve},
			service{name: "prometheus", scopes: []string{"read:metrics"}},
		)
		h.config["JupyterHub"]["hub_bind_url"] = scheme + "://" + url.PathEscape(hubSocket)
		if scheme == "unix+http" {
			h.config["JupyterHub"]["hub_connect_url"] = h.api
		}
		h.start()
		h.process.untilMemberships(published(people()), func() (string, error) {
			return getBy(socket(ours), token("prometheus"), "http://localhost/metrics")
		})
		statuses(t, func(caller string) error {
			_, err := getBy(socket(ours), caller, "http://localhost/metrics")
			return err
		}, map[string]int{"": 401, "nobody's": 401, token("groups-exporter"): 403})
		api := "http+unix://" + url.PathEscape(hubSocket) + "/hub/api"
		env := environment("JUPYTERHUB_API_URL="+api, "JUPYTERHUB_API_TOKEN="+token("groups-exporter"))
		if report := succeed(t, env, "check"); !strings.Contains(report, api) {
			t.Errorf("check prints\n%s", report)
		}
		succeed(t, env, "healthcheck", "--url=http+unix://"+url.PathEscape(ours)+"/-/ready")
		h.stop()
		if _, err := os.Stat(ours); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the exporter's socket still exists after its end: %v", err)
		}
	})
}
