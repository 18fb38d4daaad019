//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The exporter runs as a managed and as an external service of the hub. Both are available through the hub's proxy, but
// only to callers with access.
func TestServices(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]string{"root": "/", "folder": "/science/my%20lab/"} {
		t.Run(name, func(t *testing.T) {
			onEach(t, versions, func(t *testing.T, version string) { services(t, version, base) })
		})
	}
}

func services(t *testing.T, version, base string) {
	elsewhere := freeAddress(t)
	h := prepareHub(t, version, base, people(),
		service{name: "groups-exporter", scopes: reader.scopes, url: freeAddress(t), command: []string{program, "serve"}},
		service{name: "external", scopes: reader.scopes, url: elsewhere},
		service{name: "prometheus", scopes: []string{"access:services!service=groups-exporter", "access:services!service=external"}},
		service{name: "metrics", scopes: []string{"read:metrics"}},
		service{name: "other", scopes: []string{"access:services!service=other", "read:users"}},
	)
	// The managed service comes first, because JupyterHub 6 waits for it. It must respond before its first refresh.
	external := launch(t, t.TempDir(), append(h.of(token("external")),
		"JUPYTERHUB_SERVICE_NAME=external",
		"JUPYTERHUB_SERVICE_URL="+elsewhere+"/",
		"JUPYTERHUB_SERVICE_PREFIX="+base+"services/external/",
	), program, "serve")
	h.start()

	h.change("PATCH", "/users/user-001", map[string]any{"admin": true})
	admin, other := h.newToken("user-001"), h.newToken("user-002")
	for name, exporter := range map[string]*process{"groups-exporter": h.process, "external": external} {
		for _, path := range []string{"", "metrics"} {
			address := h.public + "services/" + name + "/" + path
			exporter.untilMemberships(published(people()), func() (string, error) { return getAs(token("prometheus"), address) })
			statuses(t, func(caller string) error { _, err := getAs(caller, address); return err }, map[string]int{
				"": 401, "nobody's": 401, token("other"): 403, token(name): 403, token("metrics"): 200, token(owner): 200, admin: 200, other: 403,
			})
		}
	}
	// The public address of the hub works as well as the address of the API.
	dump := succeed(t, environment("JUPYTERHUB_API_TOKEN="+token("external")), "dump", "--hub-url="+h.public)
	report(t, "dump through the proxy", sameMemberships(published(people()), dump))
	// Probes need no token.
	statuses(t, func(path string) error { _, err := get(elsewhere + path); return err }, map[string]int{"/-/healthy": 200, "/-/ready": 200})

	external.end(syscall.SIGINT)
	// The hub first sends SIGINT to a service, and later SIGTERM if the service is still running.
	h.stopWithout("Terminating", "Killing", "exited with status", "Cannot connect", "level=ERROR")
	if !strings.Contains(h.process.output(), "Interrupting") {
		t.Errorf("the hub did not stop its service\n%s", h.process.tail())
	}
}

// With internal_ssl, the hub and its proxy use https and a client certificate for a service with an https URL.
func TestAServiceWithInternalSSL(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		scheme, otherScheme := "https", "http"
		if strings.HasPrefix(version, "6.") {
			// JupyterHub 6 connects to services with the TLS context of its server, so it can't reach a service
			// over https. Over http, the service must not use TLS.
			scheme, otherScheme = otherScheme, scheme
		}
		address := fmt.Sprintf("://127.0.0.1:%d", freePort(t))
		h := prepareHub(t, version, "/", people(),
			service{name: "groups-exporter", scopes: reader.scopes, url: scheme + address, command: []string{program, "serve"}},
			service{name: "prometheus", scopes: []string{"access:services!service=groups-exporter"}},
		)
		h.config["JupyterHub"]["internal_ssl"] = true
		h.config["ConfigurableHTTPProxy"]["api_url"] = fmt.Sprintf("https://127.0.0.1:%d", freePort(t))
		h.start()
		h.process.untilMemberships(published(people()), func() (string, error) {
			return getAs(token("prometheus"), h.public+"services/groups-exporter/")
		})
		if _, err := get(h.public + "services/groups-exporter/"); statusOf(err) != 401 {
			t.Errorf("without a token: %v", err)
		}
		for _, scheme := range []string{scheme, otherScheme} {
			_, err := get(scheme + address + "/-/healthy")
			if isOpen := err == nil; isOpen != (scheme == "http" && otherScheme == "https") {
				t.Errorf("%s without a certificate: %v", scheme, err)
			}
		}
		certificate := filepath.Join(h.dir, "internal-ssl", "user-service", "user-service")
		succeed(t, environment("JUPYTERHUB_SERVICE_URL="+scheme+address,
			"JUPYTERHUB_SSL_CERTFILE="+certificate+".crt", "JUPYTERHUB_SSL_KEYFILE="+certificate+".key"), "healthcheck")
		h.stopWithout("exited with status", "Cannot connect", "level=ERROR", "level=WARN msg=\"the certificate")
	})
}

// If a hub with internal_ssl creates new certificate authorities, the exporter uses them without a restart.
func TestRotatedAuthorities(t *testing.T) {
	onEach(t, versions, func(t *testing.T, version string) {
		h := prepareHub(t, version, "/", people(),
			// keeper records the environment that the hub passes to its services.
			service{name: "keeper", scopes: reader.scopes, command: []string{"sh", "-c", "env >its.new && mv its.new its.env; exec sleep 100000"}},
		)
		certificates := filepath.Join(h.dir, "internal-ssl")
		h.config["JupyterHub"]["internal_ssl"] = true
		h.config["JupyterHub"]["internal_certs_location"] = certificates
		h.config["ConfigurableHTTPProxy"]["api_url"] = fmt.Sprintf("https://127.0.0.1:%d", freePort(t))
		h.start()
		var text []byte
		h.process.until("the service has its environment", time.Minute, func() (err error) {
			text, err = os.ReadFile(filepath.Join(h.dir, "its.env"))
			return err
		})
		var env []string
		authorities := ""
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "JUPYTERHUB_") {
				env = append(env, strings.TrimSpace(line))
			}
			if name, ok := strings.CutPrefix(line, "JUPYTERHUB_SSL_CLIENT_CA="); ok {
				authorities = strings.TrimSpace(name)
			}
		}
		first := read(t, authorities)
		exporter, address := serve(t, environment(env...), "--refresh-interval=1s")
		untilUp := func(value string) {
			t.Helper()
			series := "groups_exporter_hub_up{namespace=\"default\"} " + value
			exporter.untilMetrics(series, address, contains("\n"+series+"\n"))
		}
		untilUp("1")

		h.stop()
		noError(t, os.Rename(certificates, certificates+".old"))
		untilUp("0")
		exporter.untilLogged("the certificates for the hub can't be read again")
		h.start()
		if read(t, authorities) == first {
			t.Fatal("the hub has the same authorities as before")
		}
		untilUp("1")
		if !strings.Contains(exporter.output(), "the certificates for the hub can be read again") {
			t.Errorf("no message in the log that the files can be read again\n%s", exporter.tail())
		}
		h.stop()
	})
}
