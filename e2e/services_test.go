//go:build e2e

package e2e

import (
	"encoding/json"
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
	type place struct{ version, base string }
	var places []place
	for _, version := range versions {
		places = append(places, place{version, "/"}, place{version, "/science/my lab/"})
	}
	for _, at := range places {
		t.Run(at.version+at.base, func(t *testing.T) {
			t.Parallel()
			elsewhere := freeAddress(t)
			base := strings.ReplaceAll(at.base, " ", "%20")
			h := prepareHub(t, at.version, base, people(),
				service{
					name:    "groups-exporter",
					scopes:  reader.scopes,
					url:     freeAddress(t),
					command: []string{program, "serve"},
				},
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

			// Tokens from the hub's Token page, for an administrator and for other users.
			h.change("PATCH", "/users/user-001", map[string]any{"admin": true})
			personal := map[string]string{}
			for _, name := range []string{"user-001", "user-002"} {
				status, answer := h.request(owner, "POST", "/users/"+name+"/tokens", map[string]any{})
				var made struct {
					Token string `json:"token"`
				}
				if err := json.Unmarshal(answer, &made); err != nil || made.Token == "" {
					t.Fatalf("a token of %s: %d %s", name, status, answer)
				}
				personal[name] = made.Token
			}

			for name, exporter := range map[string]*process{"groups-exporter": h.process, "external": external} {
				for _, path := range []string{"", "metrics"} {
					address := h.public + "services/" + name + "/" + path
					exporter.untilMemberships(published(people()), func() (string, error) { return getAs(token("prometheus"), address) })
					for caller, want := range map[string]int{
						"": 401, "nobody's": 401, token("other"): 403, token(name): 403, token("metrics"): 200, token(owner): 200,
						personal["user-001"]: 200, personal["user-002"]: 403,
					} {
						_, err := getAs(caller, address)
						if got := statusOf(err); got != want {
							t.Errorf("%s as %q: %d, want %d: %v", address, caller, got, want, err)
						}
					}
				}
			}
			// The public address of the hub works as well as the address of the API.
			env := environment("JUPYTERHUB_API_TOKEN=" + token("external"))
			dump := succeed(t, env, "dump", "--hub-url="+h.public)
			if err := sameMemberships(published(people()), dump); err != nil {
				t.Errorf("dump through the proxy: %v", err)
			}

			// Probes need no token.
			for _, path := range []string{"/-/healthy", "/-/ready"} {
				if _, err := get(elsewhere + path); err != nil {
					t.Error(err)
				}
			}

			if code := external.stop(syscall.SIGINT); code != 0 {
				t.Errorf("the external service ended with %d\n%s", code, external.tail())
			}
			h.stop()
			// The hub first sends SIGINT to a service, and later SIGTERM if the service is still running.
			log := h.process.output()
			for _, bad := range []string{"Terminating", "Killing", "exited with status", "Cannot connect", "level=ERROR"} {
				if strings.Contains(log, bad) {
					t.Errorf("%q in the log of the hub and its service\n%s", bad, h.process.tail())
				}
			}
			if !strings.Contains(log, "Interrupting") {
				t.Errorf("the hub did not stop its service\n%s", h.process.tail())
			}
		})
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
		h.configure("JupyterHub", "internal_ssl", true)
		h.configure("ConfigurableHTTPProxy", "api_url", fmt.Sprintf("https://127.0.0.1:%d", freePort(t)))
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
		h.stop()
		log := h.process.output()
		for _, bad := range []string{"exited with status", "Cannot connect", "level=ERROR", "level=WARN msg=\"the certificate"} {
			if strings.Contains(log, bad) {
				t.Errorf("%q in the log of the hub and its service\n%s", bad, h.process.tail())
			}
		}
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
		h.configure("JupyterHub", "internal_ssl", true)
		h.configure("JupyterHub", "internal_certs_location", certificates)
		h.configure("ConfigurableHTTPProxy", "api_url", fmt.Sprintf("https://127.0.0.1:%d", freePort(t)))
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
		if err := os.Rename(certificates, certificates+".old"); err != nil {
			t.Fatal(err)
		}
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
