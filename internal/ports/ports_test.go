package ports_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/ports"
)

func TestReserve(t *testing.T) {
	address, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for range 2 { // a port can be listened on again
		if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("connection %v, error %v, want a refused connection", c, err)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		listener.Close()
	}
}
