package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/hub"
)

func TestIsClosedPipe(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}, true},
		{&hub.Error{Reason: hub.Connect, Err: &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}}, false},
		{errors.New("another"), false},
		{nil, false},
	} {
		if got := isClosedPipe(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// closedPipe is an output whose reader went away.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestAClosedPipeEndsQuietly(t *testing.T) {
	var errOut bytes.Buffer
	none := func(string) string { return "" }
	if code := run(t.Context(), []string{"escape", "ada"}, none, strings.NewReader(""), closedPipe{}, &errOut); code != exitOK || errOut.Len() > 0 {
		t.Errorf("exit code %d, error %q", code, &errOut)
	}
}
