package remote_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func TestServerURL(t *testing.T) {
	for address, want := range map[string]string{
		"http://hub:8081": "http://hub:8081", "https://hub": "https://hub", "https://hub:8081/base/": "https://hub:8081/base/",
		"http://[::1]:65535": "http://[::1]:65535", "http://127.0.0.1:0": "http://127.0.0.1:0",
		"127.0.0.1:8081": "http://127.0.0.1:8081", "localhost:9090/prometheus": "http://localhost:9090/prometheus",
		"[::1]:8081": "http://[::1]:8081", "localhost": "http://localhost",
	} {
		if u, err := remote.ServerURL(address); err != nil || u.String() != want {
			t.Errorf("%q is %v, error %v; want %s", address, u, err, want)
		}
	}
	if u, err := remote.ServerURL(" http://hub\n"); err != nil || u.String() != "http://hub" {
		t.Errorf("with spaces around it: %v, error %v", u, err)
	}
	for address, want := range map[string]string{
		"hub:8081": "it doesn't start with http:// or https://", "10.0.0.1:8081": "it doesn't start with http:// or https://",
		"localhost.example:8081": "it doesn't start with http:// or https://", "ftp://127.0.0.1": "it doesn't start with http:// or https://",
		"": "it doesn't start with http:// or https://", "127.0.0.1:8081?x": "it doesn't start with http:// or https://",
		"http://hub/hub/login?next=%2F": "it has a query or a fragment: leave out what begins with ? or #",
	} {
		if u, err := remote.ServerURL(address); err == nil || err.Error() != want {
			t.Errorf("%q is %v, error %v; want %s", address, u, err, want)
		}
	}
}

// Wherever somebody puts a password by mistake, no error repeats it.
func TestNoErrorRepeatsTheAddress(t *testing.T) {
	for _, secret := range []string{"hunter", "hunter2!", "7777777", "%zz", "a b", "é", "["} {
		for _, form := range []string{
			"http://127.0.0.1:SECRET", "http://127.0.0.1:SECRET/hub", "http://user:SECRET@hub", "http://SECRET@hub", "http://user:SECRET%40hub", "http://user:SECRET\uff20hub",
			"http://[::1]:SECRET", "http://[SECRET", "http://hub?SECRET", "http://hub#SECRET", "http:SECRET", "SECRET", "SECRET://hub", "user:SECRET", "://SECRET", "http://\x7f SECRET",
			"http+unix://SECRET", "http+unix://SECRET@%2Fx", "http+unix://%2Fx?SECRET", "http+unix://%2Fx#SECRET", "http+unix:SECRET",
		} {
			address := strings.ReplaceAll(form, "SECRET", secret)
			for what, parse := range map[string]func(string) (*url.URL, error){"ParseURLOrSocket": remote.ParseURLOrSocket, "ServerURL": remote.ServerURL} {
				if _, err := parse(address); err == nil {
					t.Errorf("%s takes %q", what, address)
				} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "SECRET") {
					t.Errorf("%s repeats %q: %v", what, address, err)
				}
			}
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ what, text, want string }{
		{"plain", "connection refused", "connection refused"},
		{"a secret and control characters", "s3cret-Token\r\n\x1b[31m", "[token]   [31m"},
		{"a secret at the end of a long text", strings.Repeat("x", 400) + "s3cret-token", strings.Repeat("x", 300) + "…"},
		{"a secret where the text is cut", strings.Repeat("x", 297) + "s3cret-token", strings.Repeat("x", 297) + "[to…"},
	} {
		if got := remote.Text(c.text, "s3cret-token"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// Whatever the text and the secret are, what comes out is short, printable and without the secret.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "the s3cret-token", "S3CRET-TOKENs3cret-token", "\x00\xff\u202e", "K\u212aey", strings.Repeat("s3cret-token", 99)} {
		f.Add(seed, "s3cret-token")
		f.Add(seed, `"\+%/ "\+%/`)
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := remote.Text(text, secret)
		if len(got) > 310 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("Text(%q) = %q", text, got)
		}
		if len(secret) >= 8 && strings.Contains(text, secret) && strings.Contains(got, secret) {
			t.Errorf("Text(%q, %q) = %q", text, secret, got)
		}
	})
}
