// Package ports reserves ports of loopback, for tests and benchmarks.
package ports

import (
	"errors"
	"net"
)

// Reserve returns an address on which nothing listens, until somebody does on purpose. Its port stays reserved until
// release is called: there is a connection on it, so the system gives it to nobody who asks for any port. A program
// can listen on it all the same, as it can after a restart.
func Reserve() (address string, release func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = listener.Addr().String()
	client, err := net.Dial("tcp", address)
	if err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	server, err := listener.Accept()
	if err = errors.Join(err, listener.Close()); err != nil {
		return "", nil, errors.Join(err, client.Close())
	}
	return address, func() {
		_ = client.Close()
		_ = server.Close()
	}, nil
}
