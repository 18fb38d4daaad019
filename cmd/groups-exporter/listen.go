package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/server"
	"github.com/groups-exporter/groups-exporter/internal/webconfig"
)

// listenAddress is where to listen: a host and a port, or the path of a Unix socket.
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
			return listenAddress{}, usagef("%q is no address to listen on: %w", text, err)
		}
		return listenAddress{"unix", filepath.Clean(path)}, nil
	}
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return listenAddress{}, usagef("%q is no address to listen on, like :8100, 127.0.0.1:8100 or unix:/run/groups-exporter.sock", text)
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
		return nil, &listenError{a, err}
	}
	return listener, nil
}

// listenError is the error for an address that can't be listened on.
type listenError struct {
	address listenAddress
	err     error
}

func (e *listenError) Error() string {
	return fmt.Sprintf("can't listen on %s: %v", e.address, remote.Cause(e.err))
}

// Unwrap returns the network's error.
func (e *listenError) Unwrap() error { return e.err }

func listenHint(err *listenError) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "something else listens there already; --web.listen-address chooses another"
	case err.address.network != "unix":
		return ""
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "the socket needs a directory that exists and that the exporter may write to"
	default:
		return ""
	}
}

// listen opens the listeners.
func (o *webOptions) listen(ctx context.Context, log *slog.Logger) ([]net.Listener, error) {
	if o.systemdSocket {
		listeners, err := activation.Listeners()
		listeners = slices.DeleteFunc(listeners, func(l net.Listener) bool { return l == nil }) // of datagrams
		if err == nil && len(listeners) == 0 {
			err = errors.New("it passed none")
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

// whereToListen returns the addresses to listen on. Whatever is in JUPYTERHUB_SERVICE_URL, there
// is one: a hub that starts the exporter ends if the exporter exits.
func (o *webOptions) whereToListen(ctx context.Context, log *slog.Logger) []listenAddress {
	if o.noPort {
		log.Warn("JUPYTERHUB_SERVICE_URL names no port to listen on, so the exporter listens on the default one", "address", o.addresses[0].String())
	}
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

// logListening logs where and how the exporter listens, and warns if that is open to anyone. Only
// the owner of a Unix socket and its group can connect to it, and the users of the demo are made up.
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

// browserAddress returns what to open in a browser on this machine, or "" if the exporter listens
// on Unix sockets only.
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
