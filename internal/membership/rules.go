package membership

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// MultiGroup says in which groups a user in two or more groups is published.
type MultiGroup string

// The values of MultiGroup.
const (
	Each     MultiGroup = "each"     // in each of them
	Multiple MultiGroup = "multiple" // in the pseudo-group only
	Both     MultiGroup = "both"     // in each of them and in the pseudo-group
)

// The default names of the pseudo-groups.
const (
	DefaultNoneName     = "none"
	DefaultMultipleName = "multiple"
)

// EmptyName is the name of the hub's group without a name, which a hub may have. Prometheus takes an empty label for a
// missing one.
const EmptyName = "(empty)"

// Rules say which groups are exported, and how users in no group or in several are published. The zero value exports
// all groups, and users in each of theirs.
type Rules struct {
	MultiGroup MultiGroup // Each if empty
	// Allow and Deny are patterns of group names, as in Globs. A group is exported if Allow is empty or matches it, and
	// Deny doesn't match it.
	Allow, Deny []string
	// Exempt is a group that is exported whatever Allow and Deny say, such as the pseudo-group for users in several groups
	// in recorded memberships.
	Exempt string
	// NoneName and MultipleName are the names of the pseudo-groups for users in no group and in several. The defaults
	// are DefaultNoneName and DefaultMultipleName.
	NoneName, MultipleName string
}

// Validate returns an error if the rules contradict each other.
func (r Rules) Validate() error {
	r = r.withDefaults()
	if r.NoneName == r.MultipleName {
		return errors.New("users in no group and users in several can't share the name " + r.NoneName)
	}
	return nil
}

func (r Rules) withDefaults() Rules {
	r.MultiGroup = cmp.Or(r.MultiGroup, Each)
	r.NoneName = cmp.Or(r.NoneName, DefaultNoneName)
	r.MultipleName = cmp.Or(r.MultipleName, DefaultMultipleName)
	return r
}

// PseudoNames returns the names of the pseudo-groups that these rules can publish.
func (r Rules) PseudoNames() []string {
	r = r.withDefaults()
	if r.MultiGroup == Each {
		return []string{r.NoneName}
	}
	return []string{r.NoneName, r.MultipleName}
}

// Globs returns a function that reports whether a name matches any of the patterns. A pattern is an exact name, or a
// glob in which * matches any characters, including slashes, and ? matches one.
func Globs(patterns []string) func(name string) bool {
	exact := map[string]bool{}
	var globs []*regexp.Regexp
	for _, p := range patterns {
		exact[p] = true
		if strings.ContainsAny(p, "*?") {
			quoted := regexp.QuoteMeta(p)
			quoted = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(quoted)
			globs = append(globs, regexp.MustCompile(`(?s)^`+quoted+`$`))
		}
	}
	return func(name string) bool {
		return exact[name] || slices.ContainsFunc(globs, func(g *regexp.Regexp) bool { return g.MatchString(name) })
	}
}
