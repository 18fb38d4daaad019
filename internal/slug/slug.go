// Package slug holds kubespawner's naming schemes: which pod, claim, label or
// home directory carries a user's name, and how it is spelled there.
//
// Every function is pure and total: any string in, a string out. The rules are
// those of kubespawner 7.1.0 (kubespawner/slugs.py and
// KubeSpawner._expand_user_properties), to the byte. A name that isn't UTF-8,
// which Python could not even hold, is taken byte by byte: bytes outside ASCII
// are never letters, and they enter the hash as they are.
package slug

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	// userMax is the longest safe form of a user, a server or both together
	// (_slug_max_length in _expand_user_properties).
	userMax = 48
	// hashedMax is the longest hashed form where no limit is given
	// (strip_and_hash's default).
	hashedMax = 32
	// objectMax is the longest name of a Kubernetes object and the longest
	// label value, in code points.
	objectMax = 63
	// hashLength is how many hexadecimal digits of SHA-256 end a hashed form.
	hashLength = 8

	hexDigits = "0123456789abcdef"
)

// Forms is all that kubespawner makes of a user's name, and of a server of that
// user. The default server has the empty name.
type Forms struct {
	Username         string `json:"username"`
	Servername       string `json:"servername"`
	Escape           string `json:"escape"`
	Safe             string `json:"safe"`
	Label            string `json:"label"`
	SafeUserServer   string `json:"safe_user_server"`
	EscapeUserServer string `json:"escape_user_server"`
	SafePodName      string `json:"safe_pod_name"`
	EscapePodName    string `json:"escape_pod_name"`
}

// FormsOf returns every form of a user's and a server's name.
func FormsOf(user, server string) Forms {
	safe, escape := SafeUserServer(user, server), EscapeUserServer(user, server)
	return Forms{
		Username: user, Servername: server,
		Escape: Escape(user), Safe: Safe(user), Label: Label(user),
		SafeUserServer: safe, EscapeUserServer: escape,
		SafePodName: PodName(safe), EscapePodName: PodName(escape),
	}
}

// Escape returns name under the scheme "escape" (escape_slug): each byte of its
// UTF-8 outside [a-z0-9] becomes a hyphen and its hexadecimal value, which is
// not padded: a tab is "-9".
func Escape(name string) string {
	plain := true
	for i := 0; i < len(name) && plain; i++ {
		plain = isLowerAlnum(name[i])
	}
	if plain {
		return name
	}
	out := make([]byte, 0, len(name)+16)
	for i := range len(name) {
		c := name[i]
		switch {
		case isLowerAlnum(c):
			out = append(out, c)
		case c < 0x10:
			out = append(out, '-', hexDigits[c])
		default:
			out = append(out, '-', hexDigits[c>>4], hexDigits[c&0xf])
		}
	}
	return string(out)
}

// Safe returns name under the scheme "safe" (safe_slug with a maximum of 48):
// name itself where it is a valid object name, and otherwise a stripped form,
// three hyphens and eight digits of its SHA-256.
func Safe(name string) string {
	if !strings.Contains(name, "--") && isObjectName(name) && len(name) <= userMax {
		return name
	}
	return stripAndHash(name, userMax)
}

// Label returns name as kubespawner 7 writes it into the pod label
// hub.jupyter.org/username (safe_slug with is_valid_label): name itself where it
// is a valid label value, and otherwise a hashed form of at most 32 characters.
func Label(name string) string {
	if !strings.Contains(name, "--") && isLabelValue(name) {
		return name
	}
	return stripAndHash(name, hashedMax)
}

// EscapeUserServer returns the template field {user_server} under the scheme
// "escape". The default server has the empty name.
func EscapeUserServer(user, server string) string {
	if server == "" {
		return Escape(user)
	}
	return Escape(user) + "--" + Escape(server)
}

// SafeUserServer returns the template field {user_server} under the scheme
// "safe". The default server has the empty name. A user whose safe form has 47
// or 48 characters is hashed again even then, because kubespawner leaves room
// for the two hyphens all the same.
func SafeUserServer(user, server string) string {
	safeUser, safeServer := Safe(user), ""
	if server != "" {
		safeServer = Safe(server)
	}
	switch {
	case len(safeUser)+len(safeServer)+2 > userMax:
		return multiSlug(user, server)
	case server == "":
		return safeUser
	default:
		return safeUser + "--" + safeServer
	}
}

// PodName returns the pod of a {user_server} under kubespawner's default
// template, "jupyter-{user_server}". Trailing hyphens go, as they do there.
func PodName(userServer string) string {
	return strings.TrimRight("jupyter-"+userServer, "-")
}

// stripAndHash is kubespawner's strip_and_hash.
func stripAndHash(name string, most int) string {
	sum := sha256.Sum256([]byte(name))
	return stripped(name, most-(hashLength+3)) + "---" + hexHash(sum[:])
}

// multiSlug is kubespawner's multi_slug of two names: one hash over both, with
// the byte 0xFF, which no UTF-8 holds, between them.
func multiSlug(user, server string) string {
	sum := sha256.Sum256([]byte(user + "\xff" + server))
	const each = (userMax-(hashLength+1))/2 - 2
	return stripped(user, each) + "--" + stripped(server, each) + "---" + hexHash(sum[:])
}

func hexHash(sum []byte) string { return hex.EncodeToString(sum[:hashLength/2]) }

// stripped is kubespawner's _extract_safe_name: lower case, every run of other
// characters one hyphen, at most `most` characters. A hyphen can stay at the end
// of a name that got the prefix "x-": kubespawner does the same.
func stripped(name string, most int) string {
	out := make([]byte, 0, len(name))
	for _, r := range name {
		c, rest := asciiLower(r)
		if c != 0 {
			out = append(out, c)
		}
		if rest && len(out) > 0 && out[len(out)-1] != '-' {
			out = append(out, '-')
		}
	}
	safe := strings.TrimRight(string(out[:min(len(out), most)]), "-")
	switch {
	case safe == "":
		return "x"
	case safe[0] < 'a':
		return "x-" + safe[:min(len(safe), most-2)]
	default:
		return safe
	}
}

// asciiLower gives the [a-z0-9] at the start of Python's r.lower(), or 0, and
// whether anything else is in it. Two characters outside ASCII have a letter
// there: U+0130 lowers to "i" and a combining dot, U+212A (Kelvin) to "k".
func asciiLower(r rune) (c byte, rest bool) {
	switch {
	case r == 0x130:
		return 'i', true
	case r == 0x212A:
		return 'k', false
	case r >= 'A' && r <= 'Z':
		return byte(r) + 'a' - 'A', false
	case r < utf8.RuneSelf && isLowerAlnum(byte(r)):
		return byte(r), false
	default:
		return 0, true
	}
}

// isObjectName is kubespawner's is_valid_object_name.
func isObjectName(s string) bool {
	if s == "" || len(s) > objectMax || s[0] < 'a' || s[0] > 'z' || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !isLowerAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

// isLabelValue is kubespawner's is_valid_label. Its pattern ignores case, so
// Python also matches four letters outside ASCII; its length counts code points.
func isLabelValue(s string) bool {
	if s == "" {
		return true
	}
	if !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) || utf8.RuneCountInString(s) > objectMax {
		return false
	}
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf && isAlnum(byte(r)):
		case r == '.' || r == '-' || r == '_':
		case r == 0x130 || r == 0x131 || r == 0x17F || r == 0x212A: // İ ı ſ K
		default:
			return false
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isAlnum(c byte) bool { return isLowerAlnum(c) || c >= 'A' && c <= 'Z' }
