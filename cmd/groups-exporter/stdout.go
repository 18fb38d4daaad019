package main

import (
	"io"
	"sync/atomic"
)

// standardOutput remembers the first error of a write, because the libraries that write to standard output drop such
// errors or turn them into text.
type standardOutput struct {
	io.Writer
	failure atomic.Pointer[error]
}

func (o *standardOutput) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		o.failure.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Err returns the first error of a write, or nil.
func (o *standardOutput) Err() error {
	if failure := o.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// Fd returns the descriptor of the underlying file, by which a terminal is recognized.
func (o *standardOutput) Fd() uintptr { return uintptr(descriptor(o.Writer)) }

// standardError discards everything once standard output has failed, because cobra would report the same error in its
// own words.
type standardError struct {
	io.Writer
	stdout *standardOutput
}

func (e *standardError) Write(p []byte) (int, error) {
	if e.stdout.failure.Load() != nil {
		return len(p), nil
	}
	return e.Writer.Write(p)
}
