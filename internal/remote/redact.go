package remote

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// shortestSecret is the length below which nothing is taken for a secret: a JupyterHub accepts no shorter token.
const shortestSecret = 8

// Redact returns a text without the secrets, in whatever letter case they appear, and with a space for each
// character that isn't printable. Use it as the last step before a text is logged or shown.
func Redact(text string, secrets ...string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	for _, secret := range secrets {
		if len(secret) < shortestSecret {
			continue
		}
		quoted := strconv.Quote(secret) // as %q shows it
		for _, form := range []string{secret, quoted[1 : len(quoted)-1]} {
			text = regexp.MustCompile("(?i)"+regexp.QuoteMeta(form)).ReplaceAllLiteralString(text, "[token]")
		}
	}
	return text
}
