package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// isVisible reports whether a character can be printed as it is. This excludes control
// characters, line separators, format characters that reorder or hide text, and letters
// without a shape: they would change how the rest of the text looks.
func isVisible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// escapeInvisible escapes every character that isn't visible. All text from outside is
// printed through it, except in CSV and metrics, whose formats have no such escapes.
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

// jsonEscape returns a character as an escape of JSON, and the line breaks between
// its tokens as they are.
func jsonEscape(r rune) string {
	switch {
	case r == '\n':
		return "\n"
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}

// oneLine returns a text on one line that is safe to print on a terminal.
func oneLine(text string) string { return escapeInvisible(text, goEscape) }

// printable returns a name, in quotes if it would look like another name without them.
func printable(name string) string {
	odd := func(r rune) bool { return !isVisible(r) || r == unicode.ReplacementChar }
	if name == "" || name[0] == '"' || strings.TrimSpace(name) != name || strings.ContainsFunc(name, odd) {
		return quote(name)
	}
	return name
}

// quote returns a text as a string of Go, which Python and YAML read too.
func quote(text string) string { return oneLine(strconv.Quote(text)) }
