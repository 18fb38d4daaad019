package groupmap_test

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
)

// A pattern matches what package regexp alone matches.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{
		`(?i)abc`, `(?i:K)a`, `ab(?i)cd(?-i)ef`, `a|b|`, `abc|abd`, `(?:a|b)c`, `a(|b)c`, `a+b`, `(ab){2,3}`, `a{0}b`, `x*`,
		`(?:(?:a)+b){0,1}c`, `aa.*aa`, `a.*a+a`, `(?U)a+b`, `(?m)^a$\n^b$`, `^a$|\Ab\z`, `a\b.*`, `(?-s).`, `\Qa.b\E+`, `\Qa.b`, `\Qa)\`, `\pL+`, `é|ab`,
	} {
		for _, name := range []string{"", "a", "aa", "aaa", "aaaa", "b", "abb", "abab", "abc", "ABC", "abCDef", "a.b", "a)\\", "a\nb", "\n", "é", "k", "\u212aa"} {
			f.Add(text, name)
		}
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if _, err := syntax.Parse(text, syntax.Perl); err != nil || text == "" || !utf8.ValidString(name) {
			return
		}
		m, err := groupmap.Parse([]byte("ignore_users: ["+strconv.Quote(text)+"]"), rules())
		if err != nil {
			return // an expression that isn't valid, or too large
		}
		want, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil {
			want = regexp.MustCompile("^(?s:" + text + `\E)$`)
		}
		if got := m.Ignores(name); got != want.MatchString(name) {
			t.Errorf("%q matches %q: %v, want %v", text, name, got, !got)
		}
	})
}
