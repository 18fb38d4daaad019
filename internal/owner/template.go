package owner

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Scheme is a naming scheme of kubespawner (slug_scheme).
type Scheme string

// Naming schemes. In a Match, Either means that the name is the same in both, or
// in none of them.
const (
	Escape Scheme = "escape"
	Safe   Scheme = "safe"
	Either Scheme = ""
)

// Template is a template for names in the configuration of kubespawner, such as
// "jupyter-{user_server}".
type Template struct {
	text  string
	parts []part
	exact bool // keep hyphens at the end
	path  bool // drop slashes at the end, as after a folder without a name
}

// part is a text, or a field if it has a name.
type part struct {
	text  string
	field field
}

// field is the name of a field in a template.
type field string

const (
	username             field = "username"
	servername           field = "servername"
	userServer           field = "user_server"
	unescapedUsername    field = "unescaped_username"
	unescapedServername  field = "unescaped_servername"
	safeUsername         field = "safe_username"
	safeServername       field = "safe_servername"
	safeUserServer       field = "safe_user_server"
	escapedUsername      field = "escaped_username"
	escapedServername    field = "escaped_servername"
	escapedUserServer    field = "escaped_user_server"
	legacyEscapeUsername field = "legacy_escape_username" // until kubespawner 6
	labelForm            field = "label"                  // for Index only
)

var (
	userFields   = [...]field{username, unescapedUsername, safeUsername, escapedUsername, legacyEscapeUsername}
	serverFields = [...]field{servername, unescapedServername, safeServername, escapedServername}
	bothFields   = [...]field{userServer, safeUserServer, escapedUserServer}
	// otherFields are those of kubespawner whose values a hub's API doesn't list.
	otherFields = [...]field{"userid", "hubnamespace", "namespace", "pod_name", "pvc_name"}
)

// isOneOf reports whether a field is one of several.
func (f field) isOneOf(fields ...field) bool { return slices.Contains(fields, f) }

// ParseTemplate parses a template as kubespawner does, and returns an error if no
// field in it names the user. "{{" and "}}" stand for braces.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	literal := ""
	hasUser := false
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			literal += rest
			break
		}
		literal, rest = literal+rest[:i], rest[i:]
		if strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			literal, rest = literal+rest[:1], rest[2:]
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		if rest[0] == '}' || !closed {
			return Template{}, fmt.Errorf("the template %q has a brace without its counterpart", text)
		}
		f := field(name)
		if err := f.check(text); err != nil {
			return Template{}, err
		}
		hasUser = hasUser || !f.isOneOf(serverFields[:]...)
		t.parts = append(t.parts, part{text: literal}, part{field: f})
		literal, rest = "", after
	}
	if !hasUser {
		return Template{}, fmt.Errorf("the template %q has no field for the user, such as {username} or {user_server}", text)
	}
	t.parts = append(t.parts, part{text: literal})
	return t, nil
}

// check returns an error if the value of the field isn't known.
func (f field) check(template string) error {
	switch {
	case f.isOneOf(userFields[:]...), f.isOneOf(serverFields[:]...), f.isOneOf(bothFields[:]...):
		return nil
	case f.isOneOf(otherFields[:]...):
		return fmt.Errorf("the template %q has the field {%s}, which a hub doesn't list: replace it by its value", template, f)
	default:
		return fmt.Errorf("the template %q has the field {%s}, which kubespawner doesn't have", template, f)
	}
}

// String returns the template as it is written in the configuration.
func (t Template) String() string { return t.text }

// Expand returns the name that kubespawner gives to what belongs to a user and a
// server (KubeSpawner._expand_user_properties). The default server has the empty
// name.
func (t Template) Expand(user, server string, scheme Scheme) string {
	return string(t.expand(nil, &forms{user: user, server: server}, scheme))
}

// expand appends a name to an empty buffer.
func (t Template) expand(buffer []byte, f *forms, scheme Scheme) []byte {
	for _, p := range t.parts {
		buffer = append(buffer, p.text...)
		if p.field != "" {
			buffer = append(buffer, f.value(p.field.in(scheme))...)
		}
	}
	if !t.exact && !strings.HasSuffix(t.text, "-") {
		buffer = bytes.TrimRight(buffer, "-")
	}
	if t.path {
		buffer = bytes.TrimRight(buffer, "/")
	}
	return buffer
}

// in returns the field that a field stands for in a scheme.
func (f field) in(scheme Scheme) field {
	switch {
	case f == username && scheme == Escape:
		return escapedUsername
	case f == username:
		return safeUsername
	case f == servername && scheme == Escape:
		return escapedServername
	case f == servername:
		return safeServername
	case f == userServer && scheme == Safe:
		return safeUserServer
	default:
		return f
	}
}

// schemes returns the schemes in which a template has different names.
func (t Template) schemes() []Scheme {
	scheme := Either
	for _, p := range t.parts {
		switch p.field {
		case username, servername, userServer:
			return []Scheme{Escape, Safe}
		case escapedUsername, escapedServername, escapedUserServer, legacyEscapeUsername:
			scheme = Escape
		case safeUsername, safeServername, safeUserServer, labelForm:
			scheme = Safe
		}
	}
	return []Scheme{scheme}
}

// hasServer reports whether names differ between the servers of a user.
func (t Template) hasServer() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool {
		return p.field.isOneOf(serverFields[:]...) || p.field.isOneOf(bothFields[:]...)
	})
}

// withoutParents returns the template from the first folder on that differs
// between users.
func (t Template) withoutParents() Template {
	i := strings.LastIndexByte(t.parts[0].text, '/') + 1
	parts := slices.Clone(t.parts)
	parts[0].text = parts[0].text[i:]
	return Template{text: t.text, parts: parts, path: true}
}

// endsInName reports whether a template ends in the name of the user as it is.
func (t Template) endsInName() bool {
	last := len(t.parts) - 1
	return t.parts[last].text == "" && t.parts[last-1].field == unescapedUsername
}

// depth returns the number of slashes in a template.
func (t Template) depth() int {
	depth := 0
	for _, p := range t.parts {
		depth += strings.Count(p.text, "/")
	}
	return depth
}

// forms are the values of the fields for a user and a server. They are computed on
// the first use.
type forms struct {
	user, server                    string
	escaped, safe, together, legacy string
}

// value returns the value of a field that doesn't depend on the scheme, or of
// {user_server} in the scheme "escape".
func (f *forms) value(name field) string {
	switch name {
	case unescapedUsername:
		return f.user
	case unescapedServername:
		return f.server
	case safeUsername:
		return once(&f.safe, func() string { return slug.Safe(f.user) })
	case safeServername:
		if f.server == "" {
			return ""
		}
		return slug.Safe(f.server)
	case safeUserServer:
		return once(&f.together, func() string {
			return slug.JoinSafe(f.user, f.server, f.value(safeUsername), f.value(safeServername))
		})
	case escapedUsername:
		return once(&f.escaped, func() string { return slug.Escape(f.user) })
	case escapedServername:
		return slug.Escape(f.server)
	case escapedUserServer:
		return f.value(escapedUsername) + separator + f.value(escapedServername)
	case legacyEscapeUsername:
		return once(&f.legacy, func() string { return slug.LegacyEscape(f.user) })
	case labelForm:
		return slug.Label(f.user)
	default: // {user_server} in the scheme "escape"
		if f.server == "" {
			return f.value(escapedUsername)
		}
		return f.value(escapedUserServer)
	}
}

// once returns a value, which it computes if the value is empty.
func once(value *string, form func() string) string {
	if *value == "" {
		*value = form()
	}
	return *value
}
