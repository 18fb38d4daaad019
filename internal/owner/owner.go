// Package owner finds the users that names made by kubespawner belong to: names
// of pods, volume claims and home directories, labels, and forms of a user name.
//
// A name is never taken apart to guess its user. It is compared with the names
// that kubespawner makes for the known users, in both naming schemes. Servers that
// the hub no longer lists are found if the name itself proves the user.
package owner

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Kind says what has a name.
type Kind string

// Kinds of names.
const (
	KindUser      Kind = "user"      // the name of a user
	KindPod       Kind = "pod"       // see Templates
	KindClaim     Kind = "claim"     // see Templates
	KindEscaped   Kind = "escaped"   // {username} in the scheme "escape"
	KindSafe      Kind = "safe"      // {username} in the scheme "safe"
	KindLabel     Kind = "label"     // the pod label hub.jupyter.org/username
	KindDirectory Kind = "directory" // see Templates
)

// Kinds returns all kinds, the most specific first.
func Kinds() []Kind {
	return []Kind{KindUser, KindPod, KindClaim, KindEscaped, KindSafe, KindLabel, KindDirectory}
}

// Match is a user that a name belongs to.
type Match struct {
	Kind   Kind
	User   string
	Server string // empty for the default server, and for what all servers share
	Scheme Scheme
}

// User is a user of a hub with the names of the user's named servers.
type User struct {
	Name    string
	Servers []string
}

// Templates are the templates of a hub. A hub whose templates changed has several.
type Templates struct {
	Pods, Claims, Directories []Template
}

// DefaultTemplates returns the default templates of kubespawner 6 and 7 and of
// Zero to JupyterHub. For directories, it also returns the name of the user,
// which spawners without Kubernetes use.
func DefaultTemplates() Templates {
	parse := func(texts ...string) []Template {
		templates := make([]Template, len(texts))
		for i, text := range texts {
			templates[i], _ = ParseTemplate(text) // a test parses them
		}
		return templates
	}
	return Templates{
		Pods:        parse("jupyter-{user_server}", "jupyter-{username}--{servername}"),
		Claims:      parse("claim-{user_server}", "claim-{username}--{servername}", "claim-{username}{servername}"),
		Directories: parse("{username}", "{unescaped_username}"),
	}
}

// Index finds users by the names that kubespawner makes for them. It is not safe
// for concurrent use.
type Index struct {
	users   []User
	forms   []forms // of the users and their default servers
	sources []source
	depth   int           // the largest number of slashes in the name of a directory
	indexed map[Kind]bool // the kinds whose names were added, see addKind
	// Names aren't stored, only their hashes. With 100,000 users there are a million names, which would keep the
	// garbage collector busy for longer than everything else takes.
	seed    maphash.Seed
	first   map[uint64]int32 // index of the first entry by the hash of the name, plus 1
	entries []entry
	servers map[string][]string // names of servers by their safe form, and by their part
	byPart  byPart
}

// source is a template that names of a kind come from.
type source struct {
	Template
	kind      Kind
	schemes   []Scheme
	hasServer bool
}

// entry is a name of a user. Entries whose names have the same hash form a chain.
type entry struct {
	user         int32
	server       int32 // index in User.Servers, plus 1
	next         int32 // like Index.first
	source       int16
	escape, safe bool // the schemes in which the name is the same
}

// add adds a scheme in which the name is the same.
func (e *entry) add(scheme Scheme) {
	e.escape = e.escape || scheme == Escape
	e.safe = e.safe || scheme == Safe
}

// scheme returns the only scheme in which the name is the same, or Either.
func (e *entry) scheme() Scheme {
	switch {
	case e.escape == e.safe:
		return Either
	case e.safe:
		return Safe
	default:
		return Escape
	}
}

// NewIndex returns an index of users.
func NewIndex(users []User, templates Templates) *Index {
	names := 10 * len(users) // about as many as the default templates make
	x := &Index{
		users: users, forms: make([]forms, len(users)), indexed: map[Kind]bool{}, servers: map[string][]string{},
		seed: maphash.MakeSeed(), first: make(map[uint64]int32, names), entries: make([]entry, 0, names),
	}
	x.addSource(KindUser, Template{exact: true, parts: []part{{field: unescapedUsername}}})
	x.addSource(KindEscaped, Template{parts: []part{{field: escapedUsername}}})
	x.addSource(KindSafe, Template{parts: []part{{field: safeUsername}}})
	x.addSource(KindLabel, Template{parts: []part{{field: escapedUsername}}}) // until kubespawner 6
	x.addSource(KindLabel, Template{parts: []part{{field: labelForm}}})
	x.addSource(KindPod, templates.Pods...)
	x.addSource(KindClaim, templates.Claims...)
	for _, t := range templates.Directories {
		t = t.withoutParents()
		x.addSource(KindDirectory, t)
		if t.endsInName() { // other spawners keep the hyphens at its end
			t.exact = true
			x.addSource(KindDirectory, t)
		}
		x.depth = max(x.depth, t.depth())
	}
	for i, user := range users {
		x.forms[i].user = user.Name
		for _, server := range user.Servers {
			x.addServer(slug.Safe(server), server)
			x.addServer(slug.Part(server), server)
		}
	}
	return x
}

func (x *Index) addSource(kind Kind, templates ...Template) {
	for _, t := range templates {
		x.sources = append(x.sources, source{t, kind, t.schemes(), t.hasServer()})
	}
}

// mayBe reports whether a name starts like the names of a kind.
func (x *Index) mayBe(name string, kind Kind) bool {
	return slices.ContainsFunc(x.sources, func(s source) bool {
		return s.kind == kind && strings.HasPrefix(name, strings.TrimRight(s.parts[0].text, "-"))
	})
}

// addKind adds all names of a kind, unless they have been added before.
func (x *Index) addKind(kind Kind) {
	if x.indexed[kind] {
		return
	}
	x.indexed[kind] = true
	for i := range x.users {
		x.addUser(i, kind)
	}
}

// addUser adds the names of a kind for a user and the user's servers.
func (x *Index) addUser(user int, kind Kind) {
	for i := range x.sources {
		if x.sources[i].kind == kind {
			x.add(i, &x.forms[user], user, 0)
		}
	}
	for j, server := range x.users[user].Servers {
		if server == "" {
			continue
		}
		f := forms{user: x.users[user].Name, server: server}
		for i := range x.sources {
			if x.sources[i].kind == kind && x.sources[i].hasServer {
				x.add(i, &f, user, j+1)
			}
		}
	}
}

// addServer adds a form of the name of a server.
func (x *Index) addServer(form, name string) {
	if !slices.Contains(x.servers[form], name) {
		x.servers[form] = append(x.servers[form], name)
	}
}

// add adds the names that a source has for a user and a server.
func (x *Index) add(source int, f *forms, user, server int) {
	for _, scheme := range x.sources[source].schemes {
		var room [128]byte
		hash := maphash.Bytes(x.seed, x.sources[source].expand(room[:0], f, scheme))
		first := x.first[hash]
		if known := x.entry(first, source, user, server); known != nil {
			known.add(scheme)
			continue
		}
		e := entry{user: int32(user), server: int32(server), next: first, source: int16(source)}
		e.add(scheme)
		x.entries = append(x.entries, e)
		x.first[hash] = int32(len(x.entries))
	}
}

// entry returns the entry of a chain that has the same kind, user and server, or
// nil. The entries of a kind and a user follow each other.
func (x *Index) entry(first int32, source, user, server int) *entry {
	for i := first; i > 0 && int(x.entries[i-1].user) == user; i = x.entries[i-1].next {
		e := &x.entries[i-1]
		if x.sources[e.source].kind == x.sources[source].kind && int(e.server) == server {
			return e
		}
	}
	return nil
}

// Find returns the matches of a name of any kind, sorted by user, server and kind.
// If they have several users, kubespawner makes the same name for each of them. A
// name with a slash is the path of a directory.
func (x *Index) Find(name string) []Match {
	if strings.Contains(name, "/") {
		return x.FindKind(name, KindDirectory)
	}
	return x.FindKind(name, Kinds()...)
}

// FindKind is like Find, for a name of one of some kinds.
func (x *Index) FindKind(name string, kinds ...Kind) []Match { return x.find(name, false, kinds) }

// FindAll is like FindKind, but a server that the hub lists doesn't rule out other
// users: they may have had a server for which kubespawner makes the same name.
func (x *Index) FindAll(name string, kinds ...Kind) []Match { return x.find(name, true, kinds) }

// find returns the matches of FindAll if all is set, and those of FindKind otherwise.
func (x *Index) find(name string, all bool, kinds []Kind) []Match {
	var matches []Match
	for _, kind := range kinds {
		for _, key := range x.keys(name, kind) {
			found := x.known(key, kind)
			if len(found) == 0 || all {
				isListed := func(m Match) bool {
					return slices.ContainsFunc(found, func(o Match) bool { return o.User == m.User })
				}
				found = append(found, slices.DeleteFunc(x.unlisted(key, kind), isListed)...)
			}
			if len(found) > 0 {
				matches = append(matches, found...)
				break // the longest part of a path that fits is the name
			}
		}
	}
	order := Kinds()
	slices.SortFunc(matches, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Server, b.Server),
			cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Scheme, b.Scheme))
	})
	return slices.Compact(matches)
}

// keys returns the names to look up: for a directory, the ends of its path, the
// longest first, and for other kinds the name itself.
func (x *Index) keys(name string, kind Kind) []string {
	if kind != KindDirectory {
		return []string{name}
	}
	folders := strings.Split(strings.TrimRight(name, "/"), "/")
	var keys []string
	for first := max(len(folders)-1-x.depth, 0); first < len(folders); first++ {
		keys = append(keys, strings.Join(folders[first:], "/"))
	}
	return keys
}

// known returns the matches of a name of a kind among the users and the servers
// that the hub lists.
func (x *Index) known(name string, kind Kind) []Match {
	if !x.mayBe(name, kind) {
		return nil
	}
	x.addKind(kind) // only now, because most lookups are of few kinds
	var matches []Match
	for i := x.first[maphash.String(x.seed, name)]; i > 0; i = x.entries[i-1].next {
		e := &x.entries[i-1]
		source := &x.sources[e.source]
		if source.kind != kind {
			continue
		}
		f := &x.forms[e.user]
		if e.server > 0 {
			f = &forms{user: f.user, server: x.users[e.user].Servers[e.server-1]}
		}
		var room [128]byte
		isName := func(scheme Scheme) bool { return string(source.expand(room[:0], f, scheme)) == name }
		if slices.ContainsFunc(source.schemes, isName) { // and not another name with the same hash
			matches = append(matches, Match{kind, f.user, f.server, e.scheme()})
		}
	}
	return matches
}
