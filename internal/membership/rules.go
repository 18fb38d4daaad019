package membership

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MultiGroup says what a user in two or more groups gets.
type MultiGroup string

// The values of MultiGroup.
const (
	Each     MultiGroup = "each"     // one row a group
	Multiple MultiGroup = "multiple" // one row, in the pseudo-group
	Both     MultiGroup = "both"     // one row a group, and the pseudo-group beside them
)

// The pseudo-groups' names where the rules give no others.
const (
	DefaultNoneName     = "none"
	DefaultMultipleName = "multiple"
)

// EmptyName is the name under which a group without a name is published. If it is taken,
// there are more parentheses around it.
const EmptyName = "(empty)"

// Rules are the operator's: which groups are exported, and how a user in none
// or in several is published. The zero value exports all, one row a group.
type Rules struct {
	MultiGroup MultiGroup // Each where empty
	// Allow and Deny are patterns of group names, as Globs takes them. A group is
	// exported if Allow is empty or matches it, and Deny doesn't.
	Allow, Deny []string
	// NoneName and MultipleName rename the pseudo-groups.
	NoneName, MultipleName string
}

// Validate says what is wrong with the rules.
func (r Rules) Validate() error {
	r = r.withDefaults()
	if !slices.Contains([]MultiGroup{Each, Multiple, Both}, r.MultiGroup) {
		return fmt.Errorf("%q is none of %s, %s, %s", r.MultiGroup, Each, Multiple, Both)
	}
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

// filter returns a function that reports whether a group is exported, by the names that it
// goes by.
func (r Rules) filter() func(names ...string) bool {
	allow, deny := Globs(r.Allow), Globs(r.Deny)
	return func(names ...string) bool {
		return (len(r.Allow) == 0 || slices.ContainsFunc(names, allow)) && !slices.ContainsFunc(names, deny)
	}
}

// Globs returns a function that tells whether a name matches any of the
// patterns: exact names, or globs in which * stands for any characters, slashes
// too, and ? for one.
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
