package owner

import (
	"iter"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// separator is what kubespawner puts between a user and a server.
const separator = "--"

// split is a template that consists of a user and a server with texts around them.
type split struct {
	prefix, between, suffix string
	left, right             field
	together                bool // one field stands for both, so both may be hashed together
}

// split returns the parts of a template in a scheme. It reports false if a name
// doesn't show where the user ends and where the server begins, as in
// "{username}{servername}".
func (t Template) split(scheme Scheme) (split, bool) {
	switch len(t.parts) {
	case 3:
		s := split{prefix: t.parts[0].text, between: separator, suffix: t.parts[2].text, together: true}
		switch f := t.parts[1].field.in(scheme); f {
		case safeUserServer:
			s.left, s.right = safeUsername, safeServername
		case escapedUserServer, userServer:
			s.left, s.right = escapedUsername, escapedServername
		default:
			return split{}, false
		}
		return s, true
	case 5:
		s := split{
			prefix: t.parts[0].text, between: t.parts[2].text, suffix: t.parts[4].text,
			left: t.parts[1].field.in(scheme), right: t.parts[3].field.in(scheme),
		}
		return s, s.isClear()
	default:
		return split{}, false
	}
}

// isClear reports whether the text between two fields can't be part of either.
func (s split) isClear() bool {
	if s.left.isOneOf(userFields[:]...) == s.right.isOneOf(userFields[:]...) {
		return false
	}
	for _, f := range []field{s.left, s.right} {
		if !f.isOneOf(safeUsername, safeServername, escapedUsername, escapedServername) {
			return strings.Contains(s.between, "/") // no name has a slash
		}
	}
	isOther := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	return s.between == separator || strings.ContainsFunc(s.between, isOther)
}

// reading is a way to read a name as that of a user and a server.
type reading struct {
	split
	template Template
	scheme   Scheme
	name     string
	rest     string // the name without the texts around user and server
}

// fits reports whether kubespawner makes the name for a user and a server.
func (r *reading) fits(user, server string) bool {
	return r.template.Expand(user, server, r.scheme) == r.name
}

// readings returns the ways to read a name of a kind, for each template and each scheme.
func (x *Index) readings(name string, kind Kind) iter.Seq[reading] {
	return func(yield func(reading) bool) {
		for _, t := range x.sources {
			if t.kind != kind {
				continue
			}
			for _, scheme := range t.schemes {
				s, ok := t.split(scheme)
				if !ok {
					continue
				}
				if rest, ok := s.inner(name); ok && !yield(reading{s, t.Template, scheme, name, rest}) {
					return
				}
			}
		}
	}
}

// unlisted returns the matches of a name of a known user's server that the hub
// doesn't list, such as the claim of a deleted server.
func (x *Index) unlisted(name string, kind Kind) []Match {
	var matches []Match
	for r := range x.readings(name, kind) {
		found := x.joined(&r, false)
		if r.together && r.left == safeUsername {
			found = append(found, x.hashedTogether(r.rest)...)
		}
		for _, m := range found {
			m.Kind, m.Scheme = kind, r.scheme
			if i := slices.IndexFunc(matches, func(o Match) bool { return o.User == m.User && o.Server == m.Server }); i < 0 {
				matches = append(matches, m)
			} else if matches[i].Scheme != m.Scheme {
				matches[i].Scheme = Either
			}
		}
	}
	return matches
}

// inner returns a name without the texts around its user and its server.
func (s split) inner(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, s.prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, s.suffix)
}

// joined returns the users and servers whose forms are the two sides of a name.
// "ada---5b41514d" looks like the hashed form of a user, although it may also belong
// to a server of ada whose name is escaped. Such matches are returned only if
// hashLike is set, and others only if it isn't.
func (x *Index) joined(r *reading, hashLike bool) []Match {
	var matches []Match
	for i := range r.rest {
		if i == 0 || !strings.HasPrefix(r.rest[i:], r.between) {
			continue
		}
		user, server := r.rest[:i], r.rest[i+len(r.between):]
		if isHashed := r.between == separator && strings.HasPrefix(server, "-") && startsWithHash(server[1:]); isHashed != hashLike {
			continue
		}
		userField, serverField := r.left, r.right
		if !userField.isOneOf(userFields[:]...) {
			user, server, userField, serverField = server, user, serverField, userField
		}
		if server == "" {
			continue
		}
		for _, m := range x.withForm(user, userField) {
			known := false
			for _, name := range x.serverNames(server, serverField) {
				if r.fits(m.User, name) {
					matches = append(matches, Match{User: m.User, Server: name})
					known = true
				}
			}
			if !known && serverField == safeServername && r.isJoined(user, server) {
				matches = append(matches, Match{User: m.User, Server: server})
			}
		}
	}
	return matches
}

// withForm returns the users that have a value in a field.
func (x *Index) withForm(value string, f field) []Match {
	switch f {
	case safeUsername:
		return x.known(value, KindSafe)
	case escapedUsername:
		return x.known(value, KindEscaped)
	case unescapedUsername:
		return x.known(value, KindUser)
	default:
		return nil
	}
}

// serverNames returns the names of servers that may have a value in a field.
func (x *Index) serverNames(value string, f field) []string {
	switch f {
	case safeServername:
		return append([]string{value}, x.servers[value]...)
	case escapedServername:
		name, _ := slug.Unescape(value)
		return []string{name}
	default:
		return []string{value}
	}
}
