package owner

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

const (
	// hashSeparator stands before the hash in a safe form.
	hashSeparator = "---"
	hashLength    = 8
	// formMax is the maximum length of a safe form.
	formMax = 48
)

// byPart indexes users by slug.Part, for forms in which user and server are hashed
// together. Its maps are filled when they are first needed.
type byPart struct {
	users  map[string][]int32  // as indices of Index.users
	names  map[string][]string // of the same users, sorted
	tables map[table]map[string][]int32
	size   int // the number of users in all tables
}

// table identifies the forms of all users with the same part, for one server.
type table struct{ part, server string }

// cutHash returns a safe form without its hash, and reports whether it has one.
func cutHash(form string) (text string, ok bool) {
	i := strings.LastIndex(form, hashSeparator)
	if i <= 0 || len(form)-i != len(hashSeparator)+hashLength {
		return "", false
	}
	return form[:i], startsWithHash(form[i+len(hashSeparator):])
}

// startsWithHash reports whether a text starts with what may be the hash of a safe form.
func startsWithHash(text string) bool {
	isOther := func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }
	return len(text) >= hashLength && !strings.ContainsFunc(text[:hashLength], isOther)
}

// isJoined reports whether "user--server", where server ends in a hash, consists of
// two safe forms. The alternative is a form in which kubespawner hashed user and
// server together, so that the texts before the hash are their parts.
//
// Lengths rule out the alternative: kubespawner hashes both together only if their
// safe forms are too long. If a part is shorter than slug.PartMax-1, nothing was
// cut off, and the safe form is at most a hash longer than the part.
func (s split) isJoined(user, server string) bool {
	text, ok := cutHash(server)
	if !ok || len(server) > formMax || text[0] < 'a' || strings.Contains(text, separator) {
		return false
	}
	const hash = len(hashSeparator) + hashLength
	_, isUserHashed := cutHash(user)
	switch {
	case len(user)+len(separator)+len(server) > formMax:
		return !s.together
	case isUserHashed, len(user) > slug.PartMax, len(text) > slug.PartMax:
		return true
	default:
		return len(user) < slug.PartMax-1 && len(text) < slug.PartMax-1 && len(user)+hash+len(separator)+len(text)+hash <= formMax
	}
}

// hashedParts returns the parts of a user and a server for each way to read a form
// in which both are hashed together.
func hashedParts(form string) iter.Seq2[string, string] {
	return func(yield func(user, server string) bool) {
		text, ok := cutHash(form)
		if !ok || len(form) > formMax {
			return
		}
		for i := range text {
			user := text[:i]
			server, ok := strings.CutPrefix(text[i:], separator)
			if ok && user != "" && server != "" && len(user) <= slug.PartMax && len(server) <= slug.PartMax && !yield(user, server) {
				return
			}
		}
	}
}

// hashedTogether returns the users and servers that have a form in which both are
// hashed together. It tries the server's part as its name, and the names of the
// hub's servers with the same part.
func (x *Index) hashedTogether(form string) []Match {
	var matches []Match
	for user, part := range hashedParts(form) {
		for _, server := range append([]string{part}, x.servers[part]...) {
			for _, i := range x.table(table{user, server})[form] {
				matches = append(matches, Match{User: x.users[i].Name, Server: server})
			}
		}
	}
	slices.SortFunc(matches, func(a, b Match) int { return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Server, b.Server)) })
	return slices.Compact(matches)
}

// table returns the users of a table, as indices of Index.users, by their forms.
func (x *Index) table(key table) map[string][]int32 {
	if forms, ok := x.byPart.tables[key]; ok {
		return forms
	}
	users := x.withPart(key.part)
	if len(users) == 0 {
		return nil
	}
	// Tables are kept, because names of many servers follow each other in any order. But servers may have any number of
	// names, so all tables are dropped when they are larger than the index.
	if p := &x.byPart; p.tables == nil || p.size+len(users) > 4*len(x.users) {
		p.tables, p.size = map[table]map[string][]int32{}, 0
	}
	forms := make(map[string][]int32, len(users))
	for _, i := range users {
		form := slug.SafeUserServer(x.users[i].Name, key.server)
		forms[form] = append(forms[form], i)
	}
	x.byPart.tables[key] = forms
	x.byPart.size += len(users)
	return forms
}

// withPart returns the users with a slug.Part, as indices of Index.users.
func (x *Index) withPart(part string) []int32 {
	if x.byPart.users == nil {
		x.byPart.users = make(map[string][]int32, len(x.users))
		for i, user := range x.users {
			key := slug.Part(user.Name)
			x.byPart.users[key] = append(x.byPart.users[key], int32(i))
		}
	}
	return x.byPart.users[part]
}

// Possible returns the users that a name of a kind may belong to although the name
// doesn't prove it, sorted. Callers must not treat such a name as nobody's. Possible
// is for names that FindKind doesn't find. The result must not be changed.
//
// There are two cases, and in both the hub doesn't list the server: user and server
// are hashed together, and the name starts with the part of the user; or the
// escaped name of the server starts with what may be a hash.
func (x *Index) Possible(name string, kind Kind) []string {
	var users, userParts []string
	for _, key := range x.keys(name, kind) {
		for r := range x.readings(key, kind) {
			for _, m := range x.joined(&r, true) {
				if isText(m.Server) {
					users = append(users, m.User)
				}
			}
			if r.left != safeUsername && r.right != safeUsername {
				continue
			}
			for part := range hashedParts(r.rest) {
				if len(x.withPart(part)) > 0 && !slices.Contains(userParts, part) {
					userParts = append(userParts, part)
				}
			}
		}
	}
	if len(userParts) == 1 && len(users) == 0 {
		return x.namesWithPart(userParts[0]) // as it is, because there may be many
	}
	for _, part := range userParts {
		users = append(users, x.namesWithPart(part)...)
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// isText reports whether a name is UTF-8 without control characters. Nobody types
// another name, and nearly every hash is also the escaped form of such a name.
func isText(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

// namesWithPart returns the names of the users that withPart returns, sorted. It
// keeps the result, because many names may start with the same part.
func (x *Index) namesWithPart(part string) []string {
	if names, ok := x.byPart.names[part]; ok {
		return names
	}
	var names []string
	for _, i := range x.withPart(part) {
		names = append(names, x.users[i].Name)
	}
	slices.Sort(names)
	if x.byPart.names == nil {
		x.byPart.names = map[string][]string{}
	}
	x.byPart.names[part] = names
	return names
}
