package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// eachName calls handle with each argument or, if there are none, with each name on standard input. It reports names
// that no user can have, because they are empty or not UTF-8, and calls handle with "" instead. It returns the number
// of names that are not UTF-8.
func eachName(in io.Reader, errOut io.Writer, args []string, null bool, handle func(name string) error) (invalid int, err error) {
	const longest = 1 << 20
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, longest)
	names, unit, number := slices.Values(args), "argument", 0
	if len(args) == 0 {
		what := "names, one per line"
		unit = "line"
		if null {
			what, unit = "names with NUL after each", "name"
			scanner.Split(splitAtNull)
		}
		sayReading(in, errOut, what)
		names = func(yield func(string) bool) {
			for scanner.Scan() && yield(scanner.Text()) {
			}
		}
	}
	for name := range names {
		if number++; number == 1 && unit == "line" {
			name = strings.TrimPrefix(name, "\ufeff") // Windows programs begin a text file with a byte order mark
		}
		if name == "" {
			say(errOut, fmt.Sprintf("%s %d is empty", unit, number), "")
		}
		if !utf8.ValidString(name) {
			say(errOut, fmt.Sprintf("%s %d is not UTF-8: %q", unit, number, remote.Short(name)), "")
			name, invalid = "", invalid+1
		}
		if err := handle(name); err != nil {
			return invalid, err
		}
	}
	return invalid, scanner.Err()
}

// sayReading says what is read if somebody has to type it.
func sayReading(in io.Reader, errOut io.Writer, what string) {
	if isTerminal(in) {
		say(errOut, "reading "+what+"; Ctrl-D ends", "")
	}
}

// splitAtNull is a bufio.SplitFunc for names that end with NUL. It returns an error if the last name ends with a line break.
// Then there is probably a name on each line, and the whole list would become one name.
func splitAtNull(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && bytes.HasSuffix(data, []byte("\n")) {
		return 0, nil, errors.New("the last name ends with a line break and not with NUL: leave out --null, or write NUL after each name")
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
