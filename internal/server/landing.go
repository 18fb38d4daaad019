package server

import (
	"bytes"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/maruel/natural"

	"github.com/groups-exporter/groups-exporter/internal/exporter"
)

// maxGroups limits the groups on the landing page, which is for people.
const maxGroups = 500

// reloadSeconds is how often a browser loads the landing page again.
const reloadSeconds = "30"

// landing serves the page for browsers.
func (h *Handler) landing(w http.ResponseWriter, _ *http.Request) {
	status := h.State().Status
	more := max(0, len(status.Groups)-maxGroups)
	status.Groups = slices.Clone(status.Groups) // every request has the same state
	slices.SortStableFunc(status.Groups, func(a, b exporter.GroupStatus) int { return natural.Compare(a.Name, b.Name) })
	status.Groups = status.Groups[:len(status.Groups)-more]
	redact := h.Redact
	if redact == nil {
		redact = func(text string) string { return text }
	}
	parsed := template.Must(template.New("landing").Funcs(template.FuncMap{
		"text": redact,
		"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	}).Parse(landingPage))
	var page bytes.Buffer
	err := parsed.Execute(&page, map[string]any{
		"Status": status, "More": more, "Reload": reloadSeconds, "Metrics": strings.TrimPrefix(h.TelemetryPath, "/"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Refresh", reloadSeconds)
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = page.WriteTo(w)
}

const landingPage = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>groups-exporter</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem }
dt { opacity: .7 }
dd { margin: 0; overflow-wrap: anywhere }
.error { border-left: .25rem solid #d33; padding-left: .75rem; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid #8886; overflow-wrap: anywhere; white-space: pre-wrap }
th:last-child, td:last-child { text-align: right; padding-right: 0 }
nav a { margin-right: 1rem }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem } }
</style>
<h1>groups-exporter</h1>
<p>Exposes the group memberships of a JupyterHub to Prometheus.
<nav><a href="{{.Metrics}}">Metrics</a><a href="-/healthy">Health</a><a href="-/ready">Readiness</a><a href="https://github.com/groups-exporter/groups-exporter#readme">Documentation</a></nav>
{{with .Status}}<dl>
<dt>State</dt><dd>{{.Summary}}</dd>
<dt>Hub</dt><dd>{{.Hub}}</dd>
<dt>Namespace</dt><dd>{{.Namespace}}</dd>
{{if not .Refreshed.IsZero}}<dt>Last refresh</dt><dd>{{time .Refreshed}}</dd>
{{end}}{{if not .Next.IsZero}}<dt>Next refresh</dt><dd>{{time .Next}}</dd>
{{end}}{{if .Published}}<dt>Users</dt><dd>{{.Users}}</dd>
{{end}}<dt>Version</dt><dd>{{.Version}}</dd>
</dl>
{{if .Error}}<p class="error">{{text .Error}}</p>
{{end}}{{if .Published}}<table>
<tr><th>Group</th><th>Members</th></tr>
{{range .Groups}}<tr><td>{{text .Name}}</td><td>{{.Members}}</td></tr>
{{end}}</table>
{{end}}{{end}}{{if .More}}<p>{{.More}} more groups are not shown.</p>
{{end}}<p>This page reloads every {{.Reload}} seconds.
</html>
`
