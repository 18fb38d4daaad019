package main

import (
	"bytes"
	"cmp"
	"fmt"
)

// roleName is the name of the role in the documentation.
const roleName = "groups-exporter"

// writeRemedy writes what to change in the hub's configuration.
func (r *hubReport) writeRemedy(text *bytes.Buffer) error {
	if r.Token.Kind == "service" && len(r.found.Scopes) > 0 {
		return r.writeAddition(text)
	}
	return r.writeRole(text)
}

// writeAddition writes the scopes to add to the role that the token's service has. A hub with two roles of the same
// name doesn't start.
func (r *hubReport) writeAddition(text *bytes.Buffer) error {
	fmt.Fprintf(text, "\n# Add these scopes to the role of the service %s.\n# In jupyterhub_config.py, to its \"scopes\" in c.JupyterHub.load_roles:\n", printable(r.service))
	for _, scope := range r.missing() {
		fmt.Fprintf(text, "%s,\n", quote(scope))
	}
	text.WriteString("\n# In the values of Zero to JupyterHub, to its scopes in hub.loadRoles:\n")
	return writeYAML(text, r.missing())
}

// writeRole writes a role for a token without one.
func (r *hubReport) writeRole(text *bytes.Buffer) error {
	service, comment := cmp.Or(r.service, roleName), ""
	if r.service == "" {
		comment = "  # must be in c.JupyterHub.services, or the hub doesn't start"
	}
	fmt.Fprintf(text, `
# Add this role to jupyterhub_config.py. If a role of this name exists, change that one instead:
c.JupyterHub.load_roles.append({
    "name": %s,
    "services": [%s],%s
    "scopes": [
`, quote(roleName), quote(service), comment)
	for _, scope := range r.Role.Scopes {
		fmt.Fprintf(text, "        %s,\n", quote(scope))
	}
	text.WriteString("    ],\n})\n\n# The same in the values of Zero to JupyterHub:\n")
	return writeYAML(text, r.values(service))
}

// values returns the values of Zero to JupyterHub with the role, and with the service if it may not exist yet.
func (r *hubReport) values(service string) any {
	type role struct {
		Services []string `json:"services"`
		Scopes   []string `json:"scopes"`
	}
	type values struct {
		Services  map[string]struct{} `json:"services,omitempty"`
		LoadRoles map[string]role     `json:"loadRoles"`
	}
	hub := values{LoadRoles: map[string]role{roleName: {[]string{service}, r.Role.Scopes}}}
	if r.service == "" {
		hub.Services = map[string]struct{}{service: {}}
	}
	return map[string]values{"hub": hub}
}
