package main

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// isPublic reports whether the hub's proxy forwards requests to the exporter. Port 0 means that the service has no
// address.
func isPublic(serviceURL string) bool {
	u, err := url.Parse(serviceURL)
	return serviceURL != "" && (err != nil || u.Port() != "0")
}

// serviceAddress returns the address at which a hub expects its service to listen, or "".
func serviceAddress(serviceURL string) string {
	u, err := remote.ParseURL(serviceURL)
	if err != nil || u.Port() == "" || u.Port() == "0" {
		return ""
	}
	return u.Host
}

// lookupTimeout limits how long a name server can delay listening. A hub waits ten seconds for its service.
const lookupTimeout = 2 * time.Second

// localAddresses returns the addresses of a host that belong to this machine. Localhost has two, and the hub and its
// proxy may use different ones. A Kubernetes Service has none.
func localAddresses(ctx context.Context, host string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host) // an unknown host has none
	var local []netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		probe, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
		if err != nil || slices.Contains(local, ip) {
			continue
		}
		_ = probe.Close()
		local = append(local, ip)
	}
	return local
}
