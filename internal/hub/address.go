package hub

import (
	"errors"
	"net/url"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// APIURL returns the URL of the REST API for the address that an operator gives. That may be the address of the API, of
// the hub with its base path, or of a page below /hub/. It may be on a Unix socket.
func APIURL(address string) (*url.URL, error) {
	u, err := remote.ServerURL(address)
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(u.Path, "/")
	if i := strings.LastIndex(base+"/", "/hub/"); i >= 0 {
		base = base[:i]
	} else if strings.Contains(base, "/user/") {
		return nil, errors.New("it is the address of a user's server: leave out what begins with /user/")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: base + "/hub/api"}, nil
}
