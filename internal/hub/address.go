package hub

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// APIURL returns the address of the REST API for the address that an operator gives. That is the address of
// the API itself, of the hub with its base, or of a page of the hub: of everything under …/hub/. It may be on a Unix socket.
func APIURL(address string) (*url.URL, error) {
	u, err := remote.ServerURL(address)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme == remote.HTTPSUnix:
		return nil, errors.New("a hub has no https on a Unix socket: it is http+unix")
	}
	base, err := basePath(u.Path)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: base + "/hub/api"}, nil
}

// basePath returns the hub's base, without a slash at its end, for the path of an address.
func basePath(path string) (string, error) {
	path = strings.TrimRight(path, "/")
	if base, isAPI := strings.CutSuffix(path, "/hub/api"); isAPI {
		return base, nil
	}
	segments := strings.Split(path, "/")
	for i := len(segments) - 1; i > 0; i-- {
		if segments[i] != "hub" {
			continue
		}
		if i == len(segments)-1 || slices.Contains(pages(), segments[i+1]) {
			return strings.Join(segments[:i], "/"), nil
		}
	}
	if at := slices.Index(segments, "user"); at >= 0 && at < len(segments)-1 {
		return "", errors.New("it is the address of a user's server: leave out what begins with /user/")
	}
	return path, nil
}

// pages returns the first parts of the addresses of a hub's pages, which come after /hub/.
func pages() []string {
	return []string{"admin", "api", "home", "login", "spawn", "spawn-pending", "token"}
}
