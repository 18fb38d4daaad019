package prometheus

import (
	"errors"
	"net/url"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// ServerURL returns the base URL of a server. The address may be that of the server, of its API or of the query page:
// ServerURL removes the path from /api/v1 or /graph on.
func ServerURL(address string) (*url.URL, error) {
	u, err := remote.ServerURL(address)
	switch {
	case err != nil:
		return nil, err
	case remote.Socket(u) != "":
		return nil, errors.New("a Prometheus has no Unix socket")
	}
	path := strings.TrimRight(u.Path, "/")
	if before, _, isAPI := strings.Cut(path+"/", "/api/v1/"); isAPI {
		path = before
	} else {
		path = strings.TrimSuffix(path, "/graph")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}, nil
}
