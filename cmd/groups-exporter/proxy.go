package main

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// checkProxy returns an error if the environment sets an invalid proxy for a server. The error doesn't repeat the
// proxy's address, which may contain a password.
func checkProxy(server *url.URL) error {
	if remote.Socket(server) != "" {
		return nil // there is no proxy to a Unix socket
	}
	invalid := usagef("the proxy in HTTP_PROXY or HTTPS_PROXY is not a valid URL")
	environment := httpproxy.FromEnvironment()
	for _, address := range []string{environment.HTTPProxy, environment.HTTPSProxy} {
		_, err := url.Parse(address)
		_, withScheme := url.Parse("http://" + address)
		if err != nil && withScheme != nil { // httpproxy would ignore it, and the token would be sent without a proxy
			return invalid
		}
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: server})
	// For an invalid address, proxy may be only the part before the first colon.
	if err != nil || proxy != nil && (proxy.Hostname() == "" || strings.HasSuffix(proxy.Host, ":")) {
		return invalid
	}
	return nil
}

func proxyHint(proxy string) string {
	return "the request goes through the proxy " + proxy + ": is it right? HTTP_PROXY, HTTPS_PROXY or proxy_url in --prometheus.config.file sets it; NO_PROXY lists hosts without a proxy"
}
