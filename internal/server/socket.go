package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// socketMode lets the owner of a socket and its group connect.
const socketMode fs.FileMode = 0o660

// ListenUnix listens on a Unix socket. Its owner and group may connect. It replaces a socket on which nobody listens
// any more, and the listener removes the file when it is closed.
func ListenUnix(path string) (net.Listener, error) {
	listener, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		listener, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// removeStale removes the socket of a process that has ended without removing it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // removed meanwhile
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is a file that is not a socket")
	}
	connection, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = connection.Close()
		return syscall.EADDRINUSE
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, syscall.EAGAIN): // its queue is full
		return syscall.EADDRINUSE
	default:
		return err
	}
}
