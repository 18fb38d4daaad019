package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

// listenAddress is the host and port, or the path of the Unix socket, where the exporter listens.
type listenAddress struct {
	network string // "tcp" or "unix"
	address string
}

func (a listenAddress) String() string {
	if a.network == "unix" {
		return "unix:" + a.address
	}
	return a.address
}

// parseListenAddress parses a value of --web.listen-address.
func parseListenAddress(text string) (listenAddress, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if err := remote.CheckSocketPath(path); err != nil {
			return listenAddress{}, usagef("%q is not a valid address to listen on: %w", text, err)
		}
		return listenAddress{"unix", filepath.Clean(path)}, nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return listenAddress{}, usagef("%q is not a valid address to listen on: use one like :8100, 127.0.0.1:8100 or unix:/run/groups-exporter.sock", text)
	}
	return listenAddress{"tcp", text}, nil
}

// listen opens a listener.
func (a listenAddress) listen() (net.Listener, error) {
	var listener net.Listener
	var err error
	if a.network == "unix" {
		listener, err = server.ListenUnix(a.address)
	} else {
		listener, err = net.Listen("tcp", a.address)
	}
	if err != nil {
		return nil, fmt.Errorf("can't listen on %s: %w", a, remote.Cause(err))
	}
	return listener, nil
}

// listen opens the listeners.
func (o *webOptions) listen(ctx context.Context, log *slog.Logger) ([]net.Listener, error) {
	if o.systemdSocket {
		listeners, err := activation.Listeners()
		listeners = slices.DeleteFunc(listeners, func(l net.Listener) bool { return l == nil }) // datagram sockets
		if err == nil && len(listeners) == 0 {
			err = errors.New("there are none")
		}
		if err != nil {
			return nil, fmt.Errorf("the sockets of systemd can't be used: %w", err)
		}
		return listeners, nil
	}
	var listeners []net.Listener
	for _, address := range o.whereToListen(ctx, log) {
		listener, err := address.listen()
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// whereToListen returns the addresses to listen on. There is always one, whatever is in JUPYTERHUB_SERVICE_URL: if the
// exporter exited, so would the hub that started it.
func (o *webOptions) whereToListen(ctx context.Context, log *slog.Logger) []listenAddress {
	if !o.byURL {
		return o.addresses
	}
	host, port, _ := net.SplitHostPort(o.addresses[0].address)
	var addresses []listenAddress
	for _, ip := range localAddresses(ctx, host) {
		addresses = append(addresses, listenAddress{"tcp", net.JoinHostPort(ip.String(), port)})
	}
	if len(addresses) == 0 {
		addresses = []listenAddress{{"tcp", net.JoinHostPort("", port)}}
		log.Info("the host in JUPYTERHUB_SERVICE_URL is not an address of this machine, so the exporter listens on all addresses", "host", host, "address", addresses[0].String())
	}
	return addresses
}

// logListening logs where the exporter listens. It warns if anyone can read, except on Unix sockets, to which only
// their owner and group can connect, and in the demo.
func (o *webOptions) logListening(listeners []net.Listener, demo bool, log *slog.Logger) {
	secure := o.tls != nil || o.demands(webconfig.TLS)
	var public []string
	for _, l := range listeners {
		address := listenAddress{l.Addr().Network(), l.Addr().String()}
		log.Info("listening", "address", address.String(), "tls", secure, "path", o.telemetryPath, "prefix", o.routePrefix, "auth", o.auth, "reason", o.authReason)
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			public = append(public, address.String())
		}
	}
	if o.auth == authNone && len(public) > 0 && !demo && !o.demands(webconfig.Password) && !o.demands(webconfig.VerifiedCertificate) {
		log.Warn("anyone who can connect to this address can read the group memberships: restrict access with --auth hub, --web.config.file or a firewall", "address", strings.Join(public, " "))
	}
}

// browserAddress returns the URL for a browser on this machine, or "" if the exporter listens on Unix sockets only.
func browserAddress(listeners []net.Listener) string {
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.Addr().String())
		if l.Addr().Network() != "tcp" || err != nil {
			continue
		}
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "localhost"
		}
		return "http://" + net.JoinHostPort(host, port) + "/"
	}
	return ""
}
