package main

import (
	"errors"

	"github.com/dustin/go-humanize"
)

// byteSize is the value of a flag that takes a number of bytes, like 10GiB.
type byteSize uint64

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*b))
}

// Set sets the size.
func (b *byteSize) Set(text string) error {
	bytes, err := humanize.ParseBytes(text)
	if err != nil || bytes == 0 || bytes > 1<<62 {
		return errors.New(`it must be a size like "500MB" or "10GiB"`)
	}
	*b = byteSize(bytes)
	return nil
}

// Type returns what the help shows as the value.
func (b *byteSize) Type() string { return "size" }
