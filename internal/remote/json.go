package remote

import (
	"encoding/json"
	"errors"
	"io"
)

// Decoder is a JSON decoder whose memory and time are limited, whatever it reads.
type Decoder struct {
	*json.Decoder

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

// reader is what the JSON decoder reads. Its errors are io.EOF, and Errors.
type reader struct{ *Decoder }

// Read fills p as far as the limits allow, because short reads would be slow: the JSON decoder scans white
// space again after each read.
func (r reader) Read(p []byte) (n int, err error) {
	held := r.read - r.InputOffset()
	switch {
	case r.read == r.maxBytes:
		return 0, Oversized("it is over %d MiB", r.maxBytes>>20)
	case held >= r.maxText:
		return 0, Oversized("a part of it is over %d MiB", r.maxText>>20)
	}
	p = p[:min(int64(len(p)), r.maxBytes-r.read, r.maxText-held)]
	for n < len(p) && err == nil {
		var more int
		more, err = r.from.Read(p[n:])
		n += more
	}
	r.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokenOff(err)
	}
	return n, err
}

// brokenOff returns the Error for an answer whose end is missing.
func brokenOff(err error) *Error {
	broken := NetworkError(err)
	if broken.Reason == Connect {
		broken.Problem = "the answer broke off: " + broken.Problem
	}
	return broken
}

// DecodeError returns the Error for an error of a Decoder.
func DecodeError(err error) *Error {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return brokenOff(err)
	}
	return Malformed("%v", err)
}

// Drain reads to the end of the answer within the limits, so that its connection can be used again.
func (d *Decoder) Drain() { _, _ = io.Copy(io.Discard, reader{d}) }
