//go:build unix

package remote_test

import (
	"strings"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func TestParseURLOrSocket(t *testing.T) {
	for _, c := range []struct{ address, parsed, socket, requested string }{
		{"http+unix://%2Frun%2Fhub.sock", "http+unix://%2Frun%2Fhub.sock", "/run/hub.sock", "http://localhost"},
		{"http+unix://%2frun%2Fhub.sock/base/hub/api", "http+unix://%2Frun%2Fhub.sock/base/hub/api", "/run/hub.sock", "http://localhost/base/hub/api"},
		{"HTTP+Unix://%2Frun%2FHub.sock/", "http+unix://%2Frun%2FHub.sock/", "/run/Hub.sock", "http://localhost/"},
		{"unix+http://%2Frun%2Fhub.sock/a%20b", "http+unix://%2Frun%2Fhub.sock/a%20b", "/run/hub.sock", "http://localhost/a%20b"},
		{"https+unix://%2Frun%2Fx%20y%3A8100.sock/-/ready", "https+unix://%2Frun%2Fx%20y:8100.sock/-/ready", "/run/x y:8100.sock", "https://localhost/-/ready"},
		{"http+unix://%2F" + strings.Repeat("x", 106), "http+unix://%2F" + strings.Repeat("x", 106), "/" + strings.Repeat("x", 106), "http://localhost"},
		{"https://hub:8081/base/", "https://hub:8081/base/", "", "https://hub:8081/base/"},
	} {
		u, err := remote.ParseURLOrSocket(c.address)
		if err != nil {
			t.Errorf("%s: %v", c.address, err)
			continue
		}
		if got := u.String(); got != c.parsed {
			t.Errorf("%s is %s", c.address, got)
		}
		if got := remote.Socket(u); got != c.socket {
			t.Errorf("%s has the socket %q", c.address, got)
		}
		if got := remote.RequestURL(u).String(); got != c.requested {
			t.Errorf("%s: requested is %s", c.address, got)
		}
		if again, err := remote.ParseURLOrSocket(u.String()); err != nil || *again != *u {
			t.Errorf("%s is not the same when it is parsed again: %v, %v", u, again, err)
		}
	}
}

func TestAddressesWithoutASocket(t *testing.T) {
	for address, want := range map[string]string{
		"http+unix:///run/s3cret.sock":                   "it names no socket: the slashes in the socket's path have to be written as %2F",
		"http+unix://":                                   "it names no socket: the slashes in the socket's path have to be written as %2F",
		"http+unix://s3cret.sock":                        "the path of its socket is not absolute",
		"http+unix://run/s3cret.sock":                    "the path of its socket is not absolute",
		"http+unix://%2Frun%2Fs3cret%00":                 "the path of its socket has a NUL in it",
		"http+unix://%2F" + strings.Repeat("s3cret", 18): "the path of its socket is longer than 107 bytes",
		"http+unix://%2Frun%2Fs3cret%zz":                 "it is not a valid URL",
		"http+unix://ada:s3cret@%2Frun%2Fhub.sock":       "it contains a user name or password, which must not be in an address",
		"http+unix://%2Frun%2Fhub.sock/hub?token=s3cret": "it has a query or a fragment: leave out what begins with ? or #",
		"http+unix://%2Frun%2Fhub.sock#s3cret":           "it has a query or a fragment: leave out what begins with ? or #",
		"http+unix:%2Frun%2Fs3cret.sock":                 "it doesn't start with http:// or https://",
		"unix:/run/s3cret.sock":                          "it doesn't start with http:// or https://",
		"ftp+unix://%2Frun%2Fs3cret.sock":                "it is not a valid URL, or its port is not a number",
	} {
		if u, err := remote.ParseURLOrSocket(address); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v", address, u, err)
		}
		if u, err := remote.ParseURL(address); err == nil {
			t.Errorf("%s is a URL: %v", address, u)
		}
	}
}
