package remote_test

import (
	"fmt"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func TestRedact(t *testing.T) {
	const secret = `s3cret"\token.+`
	for text, want := range map[string]string{
		"":                           "",
		"plain text, ünïcode and 日本": "plain text, ünïcode and 日本",
		"a " + secret + "b":          "a [token]b",
		`S3CRET"\Token.+`:            "[token]",
		fmt.Sprintf("%q", secret):    `"[token]"`,
		fmt.Sprintf("%q", fmt.Sprintf("%q", secret)):   `"\"[token]\""`,
		"s3cret\"\\tokenxx":                            "s3cret\"\\tokenxx",  // a secret is no pattern
		"/s3cret%22%5Ctoken.+?t=s3cret%22%5ctoken.%2B": "/[token]?t=[token]", // in a URL
		"\x1b[31mred\x00\r\n\u202eend":                 " [31mred    end",
		"\xff":                                         "\ufffd",
		"a short one stays":                            "a short one stays",
	} {
		if got := remote.Redact(text, "", "short", secret); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
