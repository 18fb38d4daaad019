// Package owner finds the users that names made by kubespawner belong to: names
// of pods, volume claims and home directories, labels, and forms of a user name.
//
// A name is never taken apart to guess its user. It is compared with the names
// that kubespawner makes for the known users, in both naming schemes. Servers that
// the hub no longer lists are found if the name itself proves the user.
package owner

import (
	"cmp"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/slug"
)

// Kind is what a name is the name of.
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

// of returns the templates of a kind.
func (t Templates) of(kind Kind) []Template {
	switch kind {
	case KindPod:
		return t.Pods
	case KindClaim:
		return t.Claims
	case KindDirectory:
		return t.Directories
	default:
		return nil
	}
}

// Index finds users by name. It must not be used concurrently.
type Index struct {
	users     []User
	templates Templates
	depths    []int            // of the templates of directories
	first     map[string]int32 // index of the first entry of a name, plus 1
	entries   []entry
	servers   map[string][]string // names of servers by their safe form, and by their part
	prefixes  prefixes
}

// entry is a Match in a chain of those with the same name.
type entry struct {
	kind    Kind
	user    int32
	next    int32 // like Index.first
	server  string
	schemes schemes
}

// schemes is a set of schemes.
type schemes struct{ escape, safe bool }

// with returns the set with another scheme.
func (s schemes) with(scheme Scheme) schemes {
	return schemes{s.escape || scheme == Escape, s.safe || scheme == Safe}
}

// scheme returns the only scheme in the set, or Either.
func (s schemes) scheme() Scheme {
	switch {
	case s.escape == s.safe:
		return Either
	case s.safe:
		return Safe
	default:
		return Escape
	}
}

// NewIndex returns an index of users.
func NewIndex(users []User, templates Templates) *Index {
	x := &Index{users: users, templates: templates, first: make(map[string]int32, 4*len(users)), servers: map[string][]string{}}
	x.templates.Directories = nil
	for _, t := range templates.Directories {
		t = t.withoutParents()
		x.templates.Directories = append(x.templates.Directories, t)
		x.depths = append(x.depths, t.depth())
	}
	slices.Sort(x.depths)
	x.depths = slices.Compact(x.depths)
	for i := range users {
		x.addUser(int32(i))
	}
	return x
}

// addUser adds the names of a user and of the user's servers.
func (x *Index) addUser(user int32) {
	account := x.users[user]
	f := newForms(account.Name, "")
	x.add(account.Name, Either, entry{kind: KindUser, user: user})
	x.add(f.escapedUser, Escape, entry{kind: KindEscaped, user: user})
	x.add(f.safeUser, Safe, entry{kind: KindSafe, user: user})
	x.add(f.escapedUser, Escape, entry{kind: KindLabel, user: user}) // until kubespawner 6
	x.add(slug.Label(account.Name), Safe, entry{kind: KindLabel, user: user})
	x.expand(user, f, func(Template) bool { return true })
	for _, server := range account.Servers {
		if server == "" {
			continue
		}
		f := newForms(account.Name, server)
		x.expand(user, f, Template.hasServer)
		x.addServer(f.safeServer, server)
		x.addServer(slug.Part(server), server)
	}
}

// expand adds the names that some templates have for a user and a server.
func (x *Index) expand(user int32, f forms, which func(Template) bool) {
	for _, kind := range []Kind{KindPod, KindClaim, KindDirectory} {
		for _, t := range x.templates.of(kind) {
			if !which(t) {
				continue
			}
			for _, scheme := range t.schemes() {
				x.add(t.expand(f, scheme), scheme, entry{kind: kind, user: user, server: f.server})
			}
		}
	}
}

// add adds a name that an entry has in a scheme. Entries of a user follow each
// other, so those of other users needn't be searched.
func (x *Index) add(name string, scheme Scheme, e entry) {
	e.next = x.first[name]
	for i := e.next; i > 0 && x.entries[i-1].user == e.user; i = x.entries[i-1].next {
		if known := &x.entries[i-1]; known.kind == e.kind && known.server == e.server {
			known.schemes = known.schemes.with(scheme)
			return
		}
	}
	e.schemes = e.schemes.with(scheme)
	x.entries = append(x.entries, e)
	x.first[name] = int32(len(x.entries)) //nolint:gosec // a hub has fewer names
}

// addServer adds a form of the name of a server.
func (x *Index) addServer(form, name string) {
	if !slices.Contains(x.servers[form], name) {
		x.servers[form] = append(x.servers[form], name)
	}
}

// Find returns all users that a name belongs to, in any kind, sorted by user,
// server and kind. If there are several users, kubespawner can make the name for
// each of them. A path with a slash is a directory.
func (x *Index) Find(name string) []Match {
	if strings.Contains(name, "/") {
		return x.FindKind(name, KindDirectory)
	}
	return x.FindKind(name, Kinds()...)
}

// FindKind returns the users that a name of some kinds belongs to, like Find.
func (x *Index) FindKind(name string, kinds ...Kind) []Match {
	var matches []Match
	for _, kind := range kinds {
		for _, key := range x.keys(name, kind) {
			known := x.known(key, kind)
			if len(known) == 0 {
				known = x.unlisted(key, kind)
			}
			matches = append(matches, known...)
		}
	}
	order := Kinds()
	slices.SortFunc(matches, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Server, b.Server),
			cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(a.Scheme, b.Scheme))
	})
	return slices.Compact(matches)
}

// keys returns the ends of a path that may be the name of a directory, or the
// name of something else.
func (x *Index) keys(name string, kind Kind) []string {
	if kind != KindDirectory {
		return []string{name}
	}
	folders := strings.Split(strings.TrimRight(name, "/"), "/")
	var keys []string
	for _, depth := range x.depths {
		if depth < len(folders) {
			keys = append(keys, strings.Join(folders[len(folders)-1-depth:], "/"))
		}
	}
	return keys
}

// known returns the matches of a name of a kind among the users and the servers
// that the hub lists.
func (x *Index) known(name string, kind Kind) []Match {
	var matches []Match
	for i := x.first[name]; i > 0; i = x.entries[i-1].next {
		if e := x.entries[i-1]; e.kind == kind {
			matches = append(matches, Match{e.kind, x.users[e.user].Name, e.server, e.schemes.scheme()})
		}
	}
	return matches
}
