package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// at is a listener at an address.
type at struct {
	net.Listener
	address net.Addr
}

func (l at) Addr() net.Addr { return l.address }

// The log says where the exporter listens, and warns of addresses that others reach. A Unix socket is none.
func TestLogOfListening(t *testing.T) {
	loopback := at{address: &net.TCPAddr{IP: net.IPv6loopback, Port: 1}}
	all := at{address: &net.TCPAddr{IP: net.IPv6unspecified, Port: 2}}
	other := at{address: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 3}}
	unix := at{address: &net.UnixAddr{Net: "unix", Name: "/run/x.sock"}}
	for _, c := range []struct {
		listeners []net.Listener
		auth      authMode
		warning   string // the addresses in it
	}{
		{[]net.Listener{loopback, unix}, authNone, ""},
		{[]net.Listener{unix, all}, authNone, "address=[::]:2"},
		{[]net.Listener{all, loopback, other}, authNone, `address="[::]:2 192.0.2.1:3"`},
		{[]net.Listener{all, unix}, authHub, ""},
	} {
		var text bytes.Buffer
		o := webOptions{auth: c.auth}
		o.logListening(c.listeners, false, slog.New(slog.NewTextHandler(&text, nil)))
		for _, l := range c.listeners {
			want := "msg=listening address=" + l.Addr().String() + " "
			if l == net.Listener(unix) {
				want = "msg=listening address=unix:/run/x.sock "
			}
			if !strings.Contains(text.String(), want) {
				t.Errorf("%v: no %q in the log\n%s", c, want, &text)
			}
		}
		_, warning, warned := strings.Cut(text.String(), "level=WARN")
		if warned != (c.warning != "") || !strings.Contains(warning, c.warning) {
			t.Errorf("%v: the log is\n%s", c, &text)
		}
	}
}

// The hint for a hub's socket depends on why it can't be reached.
func TestHintsAboutSockets(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.EACCES: "c.JupyterHub.hub_socket_mode", syscall.ENOENT: "c.JupyterHub.hub_bind_url", syscall.ECONNREFUSED: "c.JupyterHub.hub_bind_url",
	} {
		err := &remote.Error{Reason: remote.Connect, Server: "hub", URL: "http+unix://%2Frun%2Fhub.sock/hub/api/users", Err: errno}
		if got := hint(fmt.Errorf("wrapped: %w", err)); !strings.Contains(got, want) {
			t.Errorf("%v: got %q, want %q", errno, got, want)
		}
	}
}
