package remote

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// shortestSecret is the length below which nothing is taken for a secret: a JupyterHub accepts no shorter token.
const shortestSecret = 8

// Redact returns a text with the secrets removed, in any letter case, and also if they are quoted, even repeatedly, or
// escaped for a URL. It replaces each unprintable character with a space. Use it as the last step before a text is
// logged or shown.
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

// pattern returns a pattern for a secret that also matches it in JSON and in the output of %q, nested or not.
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
