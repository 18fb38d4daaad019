package remote

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// shortestSecret is the length below which nothing is taken for a secret: a JupyterHub accepts no shorter token.
const shortestSecret = 8

// Redact returns a text without the secrets, in whatever letter case and however often quoted or escaped for a URL they
// appear, and with a space for each character that isn't printable. Use it as the last step before a text is logged or shown.
func Redact(text string, secrets ...string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	for _, secret := range secrets {
		if len(secret) >= shortestSecret {
			for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(secret)} {
				text = pattern(form).ReplaceAllLiteralString(text, "[token]")
			}
		}
	}
	return text
}

// pattern matches a secret also in JSON and in what %q prints, one within the other.
func pattern(secret string) *regexp.Regexp {
	var p strings.Builder
	p.WriteString("(?i)")
	for _, r := range secret {
		switch r {
		case '\\':
			p.WriteString(`\\+`)
		case '"', '\'':
			p.WriteString(`\\*` + string(r))
		default:
			p.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(p.String())
}
