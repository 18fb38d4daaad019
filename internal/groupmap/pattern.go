package groupmap

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
)

// pattern is a regular expression for whole names.
type pattern struct {
	text  string
	whole *regexp.Regexp
	// filters has a filter for each alternative. Most names pass none of them, which takes much less time than matching
	// the expression: see BenchmarkApply.
	filters []filter
}

// filter has texts that every name contains that an expression matches.
type filter struct {
	prefix, suffix string
	middle         []string // in this order, including the prefix and the suffix
}

func newPattern(text string) (*pattern, error) {
	parsed, err := syntax.Parse(text, syntax.Perl) // by itself, because "a)(b" would be valid inside of other brackets
	if err != nil {
		return nil, err
	}
	whole, err := regexp.Compile("^(?s:" + text + ")$")
	if err != nil {
		return nil, err
	}
	p := &pattern{text: text, whole: whole}
	alternatives := []*syntax.Regexp{parsed}
	if parsed.Op == syntax.OpAlternate {
		alternatives = parsed.Sub
	}
	for _, one := range alternatives {
		p.filters = append(p.filters, newFilter(one))
	}
	return p, nil
}

func newFilter(re *syntax.Regexp) filter {
	f := filter{middle: literals(re)}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	f.prefix, _ = literal(parts[0])
	f.suffix, _ = literal(parts[len(parts)-1])
	return f
}

// literal returns the text of an expression that matches only this text.
func literal(re *syntax.Regexp) (string, bool) {
	if re.Op != syntax.OpLiteral || re.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	return string(re.Rune), true
}

// literals returns texts that every match of an expression contains, in this order.
func literals(re *syntax.Regexp) []string {
	if text, ok := literal(re); ok {
		return []string{text}
	}
	switch {
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

// passes reports whether a name has all texts of the filter.
func (f *filter) passes(name string) bool {
	if !strings.HasPrefix(name, f.prefix) || !strings.HasSuffix(name, f.suffix) {
		return false
	}
	for _, text := range f.middle {
		_, after, found := strings.Cut(name, text)
		if !found {
			return false
		}
		name = after
	}
	return true
}

func (p *pattern) matches(name string) bool {
	for i := range p.filters {
		if p.filters[i].passes(name) {
			return p.whole.MatchString(name)
		}
	}
	return false
}

// expand returns a template with the parts of a matching name that it refers to.
func (p *pattern) expand(template, name string) string {
	if !strings.Contains(template, "$") {
		return template
	}
	return string(p.whole.ExpandString(nil, template, name, p.whole.FindStringSubmatchIndex(name)))
}

// reference matches what begins with a dollar sign in a template.
var reference = regexp.MustCompile(`\$(\$|\w+|\{[^}]*\})?`)

// check returns what is wrong with a template: it may refer only to parts of the pattern.
func (p *pattern) check(template string) error {
	for _, found := range reference.FindAllStringSubmatch(template, -1) {
		part := strings.Trim(found[1], "{}")
		switch {
		case part == "$":
		case part == "":
			return errors.New("has a $ without the number or the name of a part: write $1, ${1} or, for the sign itself, $$")
		case !p.has(part):
			return fmt.Errorf("refers to %s, but match has %s", found[0], p.parts())
		}
	}
	return nil
}

// has reports whether the pattern has a group with a name or a number.
func (p *pattern) has(part string) bool {
	number, err := strconv.Atoi(part)
	if err != nil {
		return p.whole.SubexpIndex(part) >= 0
	}
	return strconv.Itoa(number) == part && number <= p.whole.NumSubexp()
}

// parts returns how many parts the pattern has.
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
