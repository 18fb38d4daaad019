package remote_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func TestDecoder(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ what, text, want string }{
		{"a value", `["` + x(2<<20) + `"]`, ""},
		{"values", strings.Repeat(`"`+x(1<<20)+`" `, 7), ""},
		{"a value that is too large", `["` + x(3<<20) + `"]`, "a part of it is over 3 MiB"},
		{"white space that is too large", `"x"` + strings.Repeat(" ", 3<<20) + `"x"`, "a part of it is over 3 MiB"},
		{"values that are too large", strings.Repeat(`"`+x(1<<20)+`" `, 8), "it is over 8 MiB"},
		{"an end that is missing", `["` + x(1<<20), "unexpected EOF"},
	} {
		d := remote.NewDecoder(strings.NewReader(c.text), 8<<20, 3<<20)
		var err error
		for err == nil {
			err = d.Decode(new(json.RawMessage))
		}
		if c.want == "" && !errors.Is(err, io.EOF) || c.want != "" && err.Error() != c.want {
			t.Errorf("%s: got %v, want %q", c.what, err, c.want)
		}
		if tooLarge := errors.As(d.ReadErr, new(remote.TooLarge)); tooLarge != strings.Contains(c.want, "over") {
			t.Errorf("%s: the last read got %v", c.what, d.ReadErr)
		}
	}
}

// White space costs time by its length. If it were scanned again after each byte, this would take days.
func TestDecoderReadsWhiteSpaceOnce(t *testing.T) {
	blanks := strings.Repeat(" ", 4<<20)
	d := remote.NewDecoder(iotest.OneByteReader(strings.NewReader("["+blanks+"1"+blanks+"]")), 64<<20, 8<<20)
	var got []int
	if token, err := d.Token(); err != nil || token != json.Delim('[') {
		t.Fatal(token, err)
	}
	for d.More() {
		var n int
		if err := d.Decode(&n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if _, err := d.Token(); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}
