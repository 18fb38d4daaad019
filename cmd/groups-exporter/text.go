package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// isVisible reports whether a character can be printed as it is. Control characters, line separators, characters that
// reorder or hide text, and invisible letters can't.
func isVisible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// escapeInvisible escapes every character that isn't visible. All text from outside is printed through it, except in
// CSV and metrics, whose formats have no such escapes.
func escapeInvisible(text string, escape func(rune) string) string {
	var escaped strings.Builder
	for _, r := range text {
		if isVisible(r) {
			escaped.WriteRune(r)
		} else {
			escaped.WriteString(escape(r))
		}
	}
	return escaped.String()
}

// goEscape returns a character as an escape of Go, like \u202e.
func goEscape(r rune) string { return strings.Trim(strconv.QuoteRuneToASCII(r), "'") }

// jsonEscape returns a character as an escape of JSON, and line breaks between values as they are.
func jsonEscape(r rune) string {
	if r == '\n' {
		return "\n"
	}
	var escape strings.Builder
	for _, unit := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(&escape, `\u%04x`, unit)
	}
	return escape.String()
}

// oneLine returns a text on one line that is safe to print on a terminal.
func oneLine(text string) string { return escapeInvisible(text, goEscape) }

// printable returns a name, in quotes if it has characters that aren't visible, or looks like a quoted name.
func printable(name string) string {
	odd := func(r rune) bool { return !isVisible(r) || r == unicode.ReplacementChar }
	if name == "" || name[0] == '"' || strings.TrimSpace(name) != name || strings.ContainsFunc(name, odd) {
		return quote(name)
	}
	return name
}

// noun returns a noun for n things: "user", or "users".
func noun(n int, singular string) string {
	if n == 1 {
		return singular
	}
	return singular + "s"
}

// plural returns a number of things, like "3 users".
func plural(n int, singular string) string { return fmt.Sprintf("%d %s", n, noun(n, singular)) }

// some lists words, up to eight of them.
func some(words []string) string {
	const most = 8
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}

// quote returns a text as a string literal of Go, which is also one of Python and YAML.
func quote(text string) string { return oneLine(strconv.Quote(text)) }
