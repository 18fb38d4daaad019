package main

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// hint says what to do about an error, where we know.
func hint(err error) string {
	var hubErr *hub.Error
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "something else listens there already; --web.listen-address chooses another"
	case !errors.As(err, &hubErr):
		return ""
	}
	_, untrusted := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case untrusted:
		return "--hub-ca-file names the authority that signed the hub's certificate"
	case hubErr.Reason == hub.Scope:
		return "give the token's role the scopes list:users and read:users:groups (c.JupyterHub.load_roles)"
	case hubErr.Reason == hub.BadToken:
		return "is it the token of a service or user of this hub, and not expired? (--hub-token-file, JUPYTERHUB_API_TOKEN)"
	case hubErr.Reason == hub.Timeout:
		return "a hub that was just started is slow; --hub-timeout gives it more time"
	case hubErr.Reason == hub.Connect, hubErr.Reason == hub.Format, hubErr.Location != "", hubErr.Status == http.StatusNotFound:
		return "is --hub-url right? It is the address of the hub, like http://127.0.0.1:8081, or of its API"
	default:
		return "the hub's own log says more"
	}
}

// networkCause is what went wrong, without the names of the system calls.
func networkCause(err error) error {
	if opErr, ok := errors.AsType[*net.OpError](err); ok {
		err = opErr.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
