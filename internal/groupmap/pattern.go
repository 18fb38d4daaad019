package groupmap

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// pattern is a regular expression for whole names.
type pattern struct {
	text  string
	whole *regexp.Regexp
	// literals has, for each alternative of the expression, texts that all its matches contain, in this order. Most names
	// lack them, and searching for texts is 20 times as fast as matching the expression: see BenchmarkApply.
	literals [][]string
}

// newPattern returns the pattern with an expression, or an error if the expression is invalid.
func newPattern(text string) (*pattern, error) {
	parsed, err := syntax.Parse(text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return nil, err
	}
	// Not the text: what follows a \Q without \E is literal, also a bracket.
	whole, err := regexp.Compile("^(?:" + parsed.String() + ")$")
	if err != nil {
		return nil, err
	}
	p := &pattern{text: text, whole: whole}
	alternatives := []*syntax.Regexp{parsed}
	if parsed.Op == syntax.OpAlternate {
		alternatives = parsed.Sub
	}
	for _, one := range alternatives {
		p.literals = append(p.literals, literals(one))
	}
	return p, nil
}

// literals returns texts that every match of an expression contains, in this order and without overlaps.
func literals(re *syntax.Regexp) []string {
	switch {
	case re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0:
		return []string{string(re.Rune)}
	case re.Op == syntax.OpConcat:
		var all []string
		for _, part := range re.Sub {
			all = append(all, literals(part)...)
		}
		return all
	case re.Op == syntax.OpCapture, re.Op == syntax.OpPlus, re.Op == syntax.OpRepeat && re.Min > 0:
		return literals(re.Sub[0])
	default:
		return nil
	}
}

// matches reports whether the expression matches a whole name.
func (p *pattern) matches(name string) bool {
	isPossible := func(texts []string) bool { return hasInOrder(name, texts) }
	return slices.ContainsFunc(p.literals, isPossible) && p.whole.MatchString(name)
}

// hasInOrder reports whether a name contains all texts, in this order and without overlaps.
func hasInOrder(name string, texts []string) bool {
	for _, text := range texts {
		_, after, found := strings.Cut(name, text)
		if !found {
			return false
		}
		name = after
	}
	return true
}

// expand returns a template in which each reference is replaced by that part of a matching name.
func (p *pattern) expand(template, name string) string {
	if !strings.Contains(template, "$") {
		return template
	}
	return string(p.whole.ExpandString(nil, template, name, p.whole.FindStringSubmatchIndex(name)))
}

// reference matches a dollar sign in a template, with the characters after it that package regexp reads as the name of a
// part. These are letters and digits of all scripts.
var reference = regexp.MustCompile(`\$(?:\$|([\pL\p{Nd}_]+)|\{([\pL\p{Nd}_]+)\})?`)

// check returns an error if a template refers to anything but parts of the pattern.
func (p *pattern) check(template string) error {
	for _, found := range reference.FindAllStringSubmatch(template, -1) {
		part := found[1] + found[2]
		switch {
		case found[0] == "$$":
		case part == "":
			return errors.New("has a $ without the number or the name of a part: write $1, ${1} or, for the sign itself, $$")
		case !p.has(part):
			return fmt.Errorf("refers to %s, but match has %s", found[0], p.parts())
		}
	}
	return nil
}

// has reports whether the pattern has a part with a name or a number.
func (p *pattern) has(part string) bool {
	number, err := strconv.Atoi(part)
	if err != nil {
		return p.whole.SubexpIndex(part) >= 0
	}
	return strconv.Itoa(number) == part && number <= p.whole.NumSubexp()
}

// parts returns the number of parts in words.
func (p *pattern) parts() string {
	switch n := p.whole.NumSubexp(); n {
	case 0:
		return "no part in ( )"
	case 1:
		return "one part in ( )"
	default:
		return fmt.Sprintf("%d parts in ( )", n)
	}
}
