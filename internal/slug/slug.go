// Package slug implements kubespawner's naming schemes for pods, volume claims,
// labels and home directories.
//
// The results are identical to those of kubespawner 7.1.0 (kubespawner/slugs.py
// and KubeSpawner._expand_user_properties). The functions accept any string. In
// a name that isn't valid UTF-8, which Python doesn't allow, bytes outside ASCII
// aren't letters, and are hashed unchanged.
package slug

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	// userMax is the maximum length of the safe form of a user, a server or both
	// together (_slug_max_length in _expand_user_properties).
	userMax = 48
	// PartMax is the maximum length of a Part.
	PartMax = (userMax-(hashLength+1))/2 - 2
	// hashedMax is the default maximum length of a hashed form (strip_and_hash).
	hashedMax = 32
	// objectMax is the maximum length of the name of a Kubernetes object and of a
	// label value, in code points.
	objectMax = 63
	// hashLength is the number of hexadecimal digits of SHA-256 in a hashed form.
	hashLength = 8

	hexDigits = "0123456789abcdef"
)

// Forms holds all forms that kubespawner derives from the names of a user and a
// server. The default server has the empty name.
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

// FormsOf returns all forms of the names of a user and a server.
func FormsOf(user, server string) Forms {
	safe, escape := SafeUserServer(user, server), EscapeUserServer(user, server)
	return Forms{
		Username: user, Servername: server,
		Escape: Escape(user), Safe: Safe(user), Label: Label(user),
		SafeUserServer: safe, EscapeUserServer: escape,
		SafePodName: PodName(safe), EscapePodName: PodName(escape),
	}
}

// Escape returns the form of name in the scheme "escape" (escape_slug). Each byte
// outside [a-z0-9] becomes a hyphen and its hexadecimal value without padding: a
// tab becomes "-9".
func Escape(name string) string {
	unchanged := true
	for i := 0; i < len(name) && unchanged; i++ {
		unchanged = isLowerAlnum(name[i])
	}
	if unchanged {
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

// Safe returns the form of name in the scheme "safe" (safe_slug with a maximum
// of 48). A valid object name stays as it is. For others, Safe returns the
// stripped name, three hyphens and eight digits of the SHA-256 hash.
func Safe(name string) string {
	if !strings.Contains(name, "--") && isObjectName(name) && len(name) <= userMax {
		return name
	}
	return stripAndHash(name, userMax)
}

// Label returns the form of name that kubespawner 7 writes into the pod label
// hub.jupyter.org/username (safe_slug with is_valid_label). A valid label value
// stays as it is. For others, Label returns a hashed form of at most 32
// characters.
func Label(name string) string {
	if !strings.Contains(name, "--") && isLabelValue(name) {
		return name
	}
	return stripAndHash(name, hashedMax)
}

// Unescape returns a name whose escape form is form, and reports whether there is
// one. A byte below 0x10 is escaped without padding, so "-2d" stands for a hyphen
// and also for the control character 0x02 and a "d". Unescape then returns the
// name without the control character.
func Unescape(form string) (string, bool) {
	out := make([]byte, 0, len(form))
	for i := 0; i < len(form); {
		if form[i] != '-' {
			out = append(out, form[i])
			i++
			continue
		}
		if encoded, n := escapedRune(form[i:]); n > 0 {
			out = append(out, encoded...)
			i += n
			continue
		}
		digit := strings.IndexByte(hexDigits, (form[i:] + "-")[1])
		if digit < 0 {
			return "", false
		}
		out = append(out, byte(digit))
		i += len("-0")
	}
	name := string(out)
	return name, Escape(name) == form
}

// escapedRune returns the character at the start of an escape form, if its bytes
// are escaped with two digits each, and the length of its escape form. The length
// is 0 if there is no such character.
func escapedRune(form string) (encoded []byte, length int) {
	const each = len("-00")
	for length+each <= len(form) && len(encoded) < utf8.UTFMax && form[length] == '-' {
		b, err := hex.DecodeString(form[length+1 : length+each])
		if err != nil || isLowerAlnum(b[0]) || b[0] < 0x10 {
			return nil, 0
		}
		encoded, length = append(encoded, b[0]), length+each
		if utf8.FullRune(encoded) {
			break
		}
	}
	if r, size := utf8.DecodeRune(encoded); r == utf8.RuneError && size <= 1 {
		return nil, 0
	}
	return encoded, length
}

// LegacyEscape returns the template field {legacy_escape_username}, which
// kubespawner had before version 7: in lower case, and with a hyphen for each
// character outside [a-z0-9].
func LegacyEscape(name string) string {
	out := make([]byte, 0, len(name))
	for _, r := range name {
		c, rest := asciiLower(r)
		if c != 0 {
			out = append(out, c)
		}
		if rest {
			out = append(out, '-')
		}
	}
	return string(out)
}

// EscapeUserServer returns the template field {user_server} in the scheme
// "escape". The default server has the empty name.
func EscapeUserServer(user, server string) string {
	if server == "" {
		return Escape(user)
	}
	return Escape(user) + "--" + Escape(server)
}

// SafeUserServer returns the template field {user_server} in the scheme "safe".
// The default server has the empty name. A user whose safe form has 47 or 48
// characters is hashed again even for the default server, because kubespawner
// always reserves space for two hyphens.
func SafeUserServer(user, server string) string {
	safeServer := ""
	if server != "" {
		safeServer = Safe(server)
	}
	return JoinSafe(user, server, Safe(user), safeServer)
}

// JoinSafe returns SafeUserServer, given the safe forms of the names. That of the
// default server is empty.
func JoinSafe(user, server, safeUser, safeServer string) string {
	switch {
	case len(safeUser)+len(safeServer)+2 > userMax:
		return multiSlug(user, server)
	case server == "":
		return safeUser
	default:
		return safeUser + "--" + safeServer
	}
}

// PodName returns the name of the pod for a {user_server} in kubespawner's
// default template, "jupyter-{user_server}". Like kubespawner, it removes
// trailing hyphens.
func PodName(userServer string) string {
	return strings.TrimRight("jupyter-"+userServer, "-")
}

// stripAndHash implements kubespawner's strip_and_hash.
func stripAndHash(name string, maxLength int) string {
	sum := sha256.Sum256([]byte(name))
	return stripped(name, maxLength-(hashLength+3)) + "---" + hexHash(sum[:])
}

// multiSlug implements kubespawner's multi_slug for two names. It hashes both
// together, separated by the byte 0xFF, which doesn't occur in UTF-8.
func multiSlug(user, server string) string {
	sum := sha256.Sum256([]byte(user + "\xff" + server))
	return Part(user) + "--" + Part(server) + "---" + hexHash(sum[:])
}

// Part returns what can be read of a user or a server in a SafeUserServer that
// hashes both names together.
func Part(name string) string { return stripped(name, PartMax) }

func hexHash(sum []byte) string { return hex.EncodeToString(sum[:hashLength/2]) }

// stripped implements kubespawner's _extract_safe_name. It converts a name to
// lower case, replaces each run of other characters with one hyphen, and cuts
// the result at a maximum length. Like in kubespawner, a name with the added
// prefix "x-" may end in a hyphen.
func stripped(name string, maxLength int) string {
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
	safe := strings.TrimRight(string(out[:min(len(out), maxLength)]), "-")
	switch {
	case safe == "":
		return "x"
	case safe[0] < 'a':
		return "x-" + safe[:min(len(safe), maxLength-2)]
	default:
		return safe
	}
}

// asciiLower returns the [a-z0-9] at the start of Python's r.lower(), or 0, and
// reports whether other characters follow or take its place. Two characters
// outside ASCII have one: U+0130 becomes "i" and a combining dot, and U+212A
// (Kelvin) becomes "k".
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

// isObjectName implements kubespawner's is_valid_object_name.
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

// isLabelValue implements kubespawner's is_valid_label. Its pattern ignores case,
// so Python also matches four letters outside ASCII. Its length is in code
// points.
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
