package server

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxConnections limits the memory that clients can take up. Each connection holds an unfinished request of up to
	// maxHeaderBytes, or a response with 64 KiB of unpacked text and twice the sendBuffer in the kernel.
	maxConnections = 128
	// sendBuffer limits how much of a response the kernel buffers, so that a client that stops reading is noticed. By
	// default, the kernel takes 4 MiB. With a quarter of this limit, 1.7 MB take 1.8 ms to send instead of 0.7.
	sendBuffer = 256 << 10
)

// connections is the set of open connections, oldest first.
type connections struct {
	mu   sync.Mutex
	open []*connection
}

// connection is an open connection. Close removes it from the set.
type connection struct {
	net.Conn
	host netip.Addr
	set  *connections
}

// add adds a connection. If there are now too many, it removes one and returns it, to be closed: the oldest of the host
// that has the most connections. So a client that opens many connections loses its own.
func (c *connections) add(added *connection) (surplus *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, added)
	if len(c.open) <= maxConnections {
		return nil
	}
	count := map[netip.Addr]int{}
	for _, o := range c.open {
		count[o.host]++
	}
	for _, o := range c.open {
		if surplus == nil || count[o.host] > count[surplus.host] {
			surplus = o
		}
	}
	c.remove(surplus) // before the lock is released, so that another listener doesn't choose it too
	return surplus
}

// remove removes a connection from the set, if the set has it. The caller holds the lock.
func (c *connections) remove(removed *connection) {
	c.open = slices.DeleteFunc(c.open, func(o *connection) bool { return o == removed })
}

// Close closes the connection and removes it from the set.
func (c *connection) Close() error {
	c.set.mu.Lock()
	c.set.remove(c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// client returns the client's address. On a Unix socket it has none, and the socket's path is returned.
func (c *connection) client() string {
	if !c.host.IsValid() {
		return c.LocalAddr().String()
	}
	return c.RemoteAddr().String()
}

// CloseWrite lets net/http deliver a refusal to a client that is still sending.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok { // TCP, or a Unix socket
		return half.CloseWrite()
	}
	return nil
}

// limitedListener adds the connections that it accepts to a set.
type limitedListener struct {
	net.Listener
	set     *connections
	warning *rate.Sometimes
	log     *slog.Logger
}

// limit returns the listeners with a common limit on their connections.
func limit(listeners []net.Listener, log *slog.Logger) []net.Listener {
	var set connections
	warning := rate.Sometimes{Interval: time.Minute}
	var limited []net.Listener
	for _, l := range listeners {
		limited = append(limited, &limitedListener{l, &set, &warning, log})
	}
	return limited
}

// Accept returns the next connection. It closes another one if there are too many.
func (l *limitedListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := accepted.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	c := &connection{accepted, hostOf(accepted.RemoteAddr()), l.set}
	if surplus := l.set.add(c); surplus != nil {
		_ = surplus.Close()
		l.warning.Do(func() {
			l.log.Warn("too many open connections: closing the oldest of the client that has the most", "client", surplus.client(), "max", maxConnections)
		})
	}
	return c, nil
}

// hostOf returns the host of an address. For IPv6 it returns the /64 network, because one machine can use all of it.
// All clients of a Unix socket count as one host.
func hostOf(address net.Addr) netip.Addr {
	remote, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Addr{}
	}
	host := remote.Addr().Unmap()
	if host.Is6() {
		network, _ := host.Prefix(64) // fails for lengths above 128 only
		return network.Addr()
	}
	return host
}
