package remote_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

func TestDecoder(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		what, text string
		reason     remote.Reason
		problem    string
	}{
		{"a value", `["` + x(2<<20) + `"]`, remote.Connect, "the answer broke off: EOF"},
		{"values", strings.Repeat(`"`+x(1<<20)+`" `, 7), remote.Connect, "the answer broke off: EOF"},
		{"a value that is too large", `["` + x(3<<20) + `"]`, remote.TooLarge, "a part of it is over 3 MiB"},
		{"white space that is too large", `"x"` + strings.Repeat(" ", 3<<20) + `"x"`, remote.TooLarge, "a part of it is over 3 MiB"},
		{"values that are too large", strings.Repeat(`"`+x(1<<20)+`" `, 8), remote.TooLarge, "it is over 8 MiB"},
		{"an end that is missing", `["` + x(1<<20), remote.Connect, "the answer broke off: unexpected EOF"},
		{"no JSON", `<`, remote.Format, "invalid character '<' looking for beginning of value"},
	} {
		d := remote.NewDecoder(strings.NewReader(c.text), 8<<20, 3<<20)
		var err error
		for err == nil {
			err = d.Decode(new(json.RawMessage))
		}
		if got := remote.DecodeError(err); got.Reason != c.reason || got.Problem != c.problem {
			t.Errorf("%s: got %s: %s, want %s: %s", c.what, got.Reason, got.Problem, c.reason, c.problem)
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
