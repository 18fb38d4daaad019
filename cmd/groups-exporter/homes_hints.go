package main

import (
	"errors"

	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// inactivityUnknown is the error if the token may not read what shows that users are inactive.
type inactivityUnknown struct{ missing []string }

func (e *inactivityUnknown) Error() string {
	return "the hub token is missing the " + noun(len(e.missing), "scope") + " " + some(e.missing) + " for the whole hub, so stale homes can't be found"
}

// homesHint returns what to do about an error of homes, or "".
func homesHint(err error) string {
	const instead = ", or leave out stale homes with --only orphan,double,ambiguous"
	if unknown, ok := errors.AsType[*inactivityUnknown](err); ok {
		return "give the token's role the " + noun(len(unknown.missing), "scope") + " " + some(unknown.missing) + " (c.JupyterHub.load_roles)" + instead
	}
	if errors.As(err, new(*homes.CreationUnknown)) {
		return "give the token's role the scope " + scopes.ReadUsers + " (c.JupyterHub.load_roles)" + instead
	}
	if errors.As(err, new(*homes.NoOwners)) {
		return "check that this is the right hub (--hub-url), and that the templates are those of its homes (--directory-template, --claim-template)"
	}
	if errors.Is(err, errNoStorage) {
		return "run prometheus-dirsize-exporter with the label namespace in its scrape job (" + promql.DirectorySize + "), or start kube-state-metrics with --metric-annotations-allowlist=persistentvolumeclaims=[hub.jupyter.org/username,hub.jupyter.org/servername] (" + promql.ClaimAnnotations + ")"
	}
	return ""
}
