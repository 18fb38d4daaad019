package main

import (
	"io"
	"sync/atomic"
)

// standardOutput remembers the first error of a write. The libraries that write to
// standard output drop such an error or turn it into text, so run checks it here.
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
// If there is no file, Fd returns a descriptor that is never open.
func (o *standardOutput) Fd() uintptr {
	if file, ok := o.Writer.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}

// standardError discards everything once standard output has failed: cobra would
// print the same error in its own words.
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
