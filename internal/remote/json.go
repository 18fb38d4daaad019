package remote

import (
	"encoding/json"
	"fmt"
	"io"
)

// TooLarge is an error that says which bound an answer exceeds.
type TooLarge string

func (e TooLarge) Error() string { return string(e) }

// Decoder is a JSON decoder whose memory and time are limited, whatever it reads.
type Decoder struct {
	*json.Decoder
	// ReadErr is the error of the last read: io.EOF at the end.
	ReadErr error

	from              io.Reader
	maxBytes, maxText int64
	read              int64
}

// NewDecoder returns a decoder that reads at most maxBytes of JSON and holds at most maxText bytes of it
// at a time. So maxText limits each string, and each list or object that is decoded as a whole.
func NewDecoder(from io.Reader, maxBytes, maxText int64) *Decoder {
	d := &Decoder{from: from, maxBytes: maxBytes, maxText: maxText}
	d.Decoder = json.NewDecoder(reader{d})
	return d
}

// reader is what the JSON decoder reads.
type reader struct{ *Decoder }

// Read fills p as far as the bounds allow, because short reads would be slow: the JSON decoder scans white
// space again after each read.
func (r reader) Read(p []byte) (n int, err error) {
	held := r.read - r.InputOffset()
	switch {
	case r.read == r.maxBytes:
		err = TooLarge(fmt.Sprintf("it is over %d MiB", r.maxBytes>>20))
	case held >= r.maxText:
		err = TooLarge(fmt.Sprintf("a part of it is over %d MiB", r.maxText>>20))
	default:
		p = p[:min(int64(len(p)), r.maxBytes-r.read, r.maxText-held)]
	}
	for n < len(p) && err == nil {
		var more int
		more, err = r.from.Read(p[n:])
		n += more
	}
	r.read += int64(n)
	r.ReadErr = err
	return n, err
}

// Drain reads to the end of the answer within the bounds, so that its connection can be used again.
func (d *Decoder) Drain() { _, _ = io.Copy(io.Discard, reader{d}) }
