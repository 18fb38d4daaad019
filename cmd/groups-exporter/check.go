package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// outputText is for eyes, and for a terminal of any width.
const outputText output = "text"

// fullPage is how many items a hub puts on a page unless it is configured otherwise.
const fullPage = 200

type checkOptions struct {
	hub        hubOptions
	prometheus prometheusOptions
	with       []extra
	output     output

	// What complete makes of the environment.
	service   string                  // our name as a service of the hub, if we are one
	onlyUsage bool                    // there is a Prometheus to check, and no hub
	namespace string                  // of the hub's pods, or empty for all
	usage     *prometheus.UsageReader // of the Prometheus, or nil
}

func (o *checkOptions) addFlags(cmd *cobra.Command) {
	o.output = outputText
	addChoices(cmd, &o.with, "with", "also check the scopes for serve --with", extras()...)
	outputs := []output{outputText, outputJSON}
	cmd.Flags().VarP(choice[output]{&o.output, outputs}, "output", "o", "format of the output")
	completeWords(cmd, "output", words(outputs))
	setHeading(cmd, mainHeading)
	o.prometheus.addFlags(cmd)
	setHeading(cmd, "Usage")
	o.hub.addFlags(cmd)
	// Taken, so that serve's arguments work here, but they only choose the groups whose long
	// names are reported.
	for _, name := range []string{"require-whole-hub", "multi-group", "allow-group", "deny-group", "none-name", "multiple-name"} {
		if err := cmd.Flags().MarkHidden(name); err != nil {
			panic(err) // it was just added
		}
	}
}

func (o *checkOptions) complete(getenv func(string) string) error {
	o.service = getenv("JUPYTERHUB_SERVICE_NAME")
	o.namespace = o.hub.knownNamespace(getenv)
	var err error
	if o.usage, err = o.prometheus.reader(o.namespace); err != nil {
		return err
	}
	if o.onlyUsage = o.usage != nil && !o.hub.isKnown(getenv); o.onlyUsage {
		return nil
	}
	return o.hub.complete(getenv)
}

func newCheckCommand(getenv func(string) string) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the token's scopes and the series in Prometheus",
		Long: `Check that the token has the scopes it needs, in at most four small requests,
and print the smallest role for it.

With --prometheus-url, also check that this Prometheus has the series that usage
is computed from. This works without a hub.

The exit code is 1 if something is missing that serve would need. A scope with a
filter, like list:users!group=bio, counts as missing: it shows only part of the
hub.

` + exitCodes,
		Example: `  groups-exporter check --hub-url http://127.0.0.1:8081 --hub-token-file token

  # before installation: which series does Prometheus have for the pods in prod?
  groups-exporter check --prometheus-url http://127.0.0.1:9090 --namespace prod`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			return interruptible(cmd.Context(), func() error {
				return runCheck(cmd.Context(), cmd.OutOrStdout(), o)
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runCheck(ctx context.Context, out io.Writer, o checkOptions) error {
	var r checkReport
	if !o.onlyUsage {
		found, err := hub.New(o.hub.client()).Inspect(ctx)
		if err != nil {
			return err
		}
		r.hubReport = o.report(found)
	}
	if o.usage != nil {
		var err error
		if r.Prometheus, err = checkPrometheus(ctx, o.usage, &o.prometheus, o.namespace); err != nil {
			return err
		}
	}
	write := r.writeText
	if o.output == outputJSON {
		write = func(out io.Writer) error { return writeJSON(out, r) }
	}
	if err := write(out); err != nil {
		return err
	}
	return r.verdict()
}

// checkReport is what is known of a hub and of a Prometheus. One of them may be nil.
type checkReport struct {
	*hubReport
	Prometheus *prometheusReport `json:"prometheus,omitempty"`
}

func (r *checkReport) writeText(out io.Writer) error {
	width := terminalWidth(out)
	sign := marks{"ok        ", "missing   ", "optional  ", "warning   "}
	if width > 0 {
		sign = marks{"✓ ", "✗ ", "– ", "! "}
	}
	var text bytes.Buffer
	if r.hubReport != nil {
		r.hubReport.writeText(&text, width, sign)
	}
	if r.hubReport != nil && r.Prometheus != nil {
		text.WriteString("\n")
	}
	if r.Prometheus != nil {
		r.Prometheus.writeText(&text, width, sign)
	}
	_, err := text.WriteTo(out)
	return err
}

func (r *checkReport) verdict() error {
	var ofHub, ofPrometheus error
	if r.hubReport != nil {
		ofHub = r.hubReport.verdict()
	}
	if r.Prometheus != nil {
		ofPrometheus = r.Prometheus.verdict()
	}
	if ofHub != nil && ofPrometheus != nil {
		return fmt.Errorf("%w; %w", ofHub, ofPrometheus)
	}
	return cmp.Or(ofHub, ofPrometheus)
}

// hubReport is what check reports about a hub.
type hubReport struct {
	Hub       string       `json:"hub"`
	Version   string       `json:"version"`
	Token     checkToken   `json:"token"`
	PageLimit *int         `json:"page_limit"`
	Users     *int         `json:"users"`
	Groups    *int         `json:"groups"`
	Can       []capability `json:"can"`
	Warnings  []string     `json:"warnings"`
	Role      checkRole    `json:"role"`

	found   *hub.Inspection
	service string // for whom the role is
}

type checkToken struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

type checkRole struct {
	Scopes []string `json:"scopes"`
}

// groupsWithoutMembers is what list:groups adds to memberships.
const groupsWithoutMembers = "groups without members"

// capability is something that can be published, with the right scopes.
type capability struct {
	What    string   `json:"what"`
	OK      bool     `json:"ok"`
	Needs   []string `json:"needs"`
	Missing []string `json:"missing"`

	asked bool
	parts []string // the scopes that the token has for a part of the hub
}

// report puts together what is known. It decides all that is said.
func (o *checkOptions) report(found *hub.Inspection) *hubReport {
	activity := slices.Contains(o.with, withActivity)
	r := &hubReport{
		Hub: o.hub.api.String(), Version: found.Version, Token: checkToken{found.Kind, found.Name},
		Can: []capability{
			{What: "memberships", Needs: []string{"list:users", "read:users:groups"}, asked: true},
			{What: groupsWithoutMembers, Needs: []string{"list:groups"}},
			{What: "active users", Needs: []string{"read:users:activity"}, asked: activity},
			{What: "running servers", Needs: []string{"read:servers"}, asked: activity},
		},
		found:   found,
		service: o.service,
	}
	if r.service == "" && found.Kind == "service" {
		r.service = found.Name
	}
	if found.PageLimit > 0 {
		r.PageLimit = &found.PageLimit
	}
	r.Users, r.Groups = found.Users, found.Groups
	for i := range r.Can {
		can := &r.Can[i]
		can.Missing = []string{}
		for _, scope := range can.Needs {
			whole, parts := scopes.Grants(found.Scopes, scope)
			if !whole {
				can.Missing = append(can.Missing, scope)
			}
			can.parts = append(can.parts, parts...)
		}
		can.OK = len(can.Missing) == 0
		if can.asked {
			r.Role.Scopes = append(r.Role.Scopes, can.Needs...)
		}
	}
	r.Warnings = append(r.warn(), o.lengthWarnings(found)...)
	return r
}

// lengthWarnings name users and groups with label values that some Prometheus refuse, as far
// as the first page shows them.
func (o *checkOptions) lengthWarnings(found *hub.Inspection) []string {
	return new(publishOptions).lengthNotices(membership.New(o.namespace, found.First, o.hub.rules))
}

// warn says what an operator should know although it may work.
func (r *hubReport) warn() []string {
	warnings := []string{}
	if !r.found.HasPages() {
		return append(warnings, r.tooOld())
	}
	if r.found.Before(4, 1, 6) {
		warnings = append(warnings, fmt.Sprintf("JupyterHub %s is older than 4.1.6, the oldest that groups-exporter is tested with", r.Version))
	}
	var parts []string
	for _, can := range r.Can {
		if can.asked || can.What == groupsWithoutMembers {
			parts = append(parts, can.parts...)
		}
	}
	switch len(parts) {
	case 0:
	case 1:
		warnings = append(warnings, parts[0]+" shows a part of the hub only")
	default:
		warnings = append(warnings, some(parts)+" show parts of the hub only")
	}
	if writes := scopes.Writes(r.found.Scopes); len(writes) > 0 {
		warnings = append(warnings, "the token can do more than read, which is never needed: "+some(writes))
	}
	if alone := r.found.Alone; alone > 0 {
		among := ""
		if *r.Users > alone {
			among = fmt.Sprintf(" among the first %d users", alone)
		}
		warnings = append(warnings, "nobody"+among+" is in a group: an authenticator tells the hub of groups with manage_groups only, and only when somebody logs in")
	}
	return warnings
}

func (r *hubReport) tooOld() string {
	return fmt.Sprintf("JupyterHub %s has neither pages nor scopes: groups-exporter needs 2.0 or later", r.Version)
}

// some joins words, as many as anybody reads.
func some(words []string) string {
	const most = 8
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}

// lacks says which scopes are missing, and which of them for some of the hub.
func (c capability) lacks() (missing, partly []string) {
	for _, scope := range c.Missing {
		if slices.ContainsFunc(c.parts, func(part string) bool { return strings.HasPrefix(part, scope+"!") }) {
			partly = append(partly, scope)
		} else {
			missing = append(missing, scope)
		}
	}
	return missing, partly
}

func lackOf(missing, partly []string) string {
	var text []string
	if len(missing) > 0 {
		text = append(text, some(missing))
	}
	if len(partly) > 0 {
		text = append(text, some(partly)+" for the whole hub")
	}
	return strings.Join(text, ", and ")
}

// verdict is the error of a check that didn't go well.
func (r *hubReport) verdict() error {
	if !r.found.HasPages() {
		return errors.New(r.tooOld())
	}
	var missing, partly []string
	for _, can := range r.Can {
		if can.asked {
			m, p := can.lacks()
			missing, partly = append(missing, m...), append(partly, p...)
		}
	}
	if len(missing)+len(partly) == 0 {
		return nil
	}
	err := &lackingError{text: "the token lacks " + lackOf(missing, partly)}
	if !r.Can[0].OK {
		err.hub = &hub.Error{Reason: hub.Scope, URL: r.Hub, Scopes: r.Can[0].Missing}
	}
	return err
}

// lackingError is a scope's lack in few words. Below it is what would stop a refresh,
// if anything would.
type lackingError struct {
	text string
	hub  *hub.Error
}

func (e *lackingError) Error() string { return e.text }

func (e *lackingError) Unwrap() error {
	if e.hub == nil {
		return nil
	}
	return e.hub
}

// marks are how lines begin: with words in a pipe, and with signs on a terminal.
type marks struct{ ok, missing, optional, warning string }

func (r *hubReport) writeText(text *bytes.Buffer, width int, sign marks) {
	line := func(mark, what, note string) { writeLine(text, width, mark, what, note) }
	line("hub      ", r.Hub, "")
	line("version  ", printable(r.Version), "")
	line("token    ", strings.TrimSpace(oneLine(r.Token.Kind)+" "+printable(r.Token.Name)), "")
	if r.found.HasPages() {
		line("users    ", count(r.Users), "")
		line("groups   ", count(r.Groups), "")
		if cost := r.cost(); cost != "" {
			line("refresh  ", cost, "")
		}
		text.WriteString("\n")
		for _, can := range r.Can {
			switch {
			case can.OK:
				line(sign.ok, can.What, "")
			case can.asked:
				line(sign.missing, can.What, "needs "+lackOf(can.lacks()))
			default:
				line(sign.optional, can.What, "needs "+lackOf(can.lacks()))
			}
		}
	}
	if len(r.Warnings) > 0 {
		text.WriteString("\n")
	}
	for _, warning := range r.Warnings {
		line(sign.warning, oneLine(warning), "")
	}
	if r.found.HasPages() {
		text.WriteString("\n# The smallest role, in jupyterhub_config.py:\n")
		r.writePython(text)
		text.WriteString("\n# The same in the values of Zero to JupyterHub:\n")
		r.writeYAML(text)
	}
}

func count(n *int) string {
	if n == nil {
		return "not known"
	}
	return strconv.Itoa(*n)
}

// cost describes what a refresh takes. It returns "" if the token can't read users, or the
// number of requests is unknown.
func (r *hubReport) cost() string {
	requests := r.found.Requests()
	if requests <= 0 {
		return ""
	}
	text := fmt.Sprintf("%d requests", requests)
	if requests == 1 {
		text = "1 request"
	}
	if *r.PageLimit < fullPage {
		return fmt.Sprintf("%s: the hub gives %d a page (api_page_max_limit)", text, *r.PageLimit)
	}
	return fmt.Sprintf("%s, %d a page", text, *r.PageLimit)
}

// writeLine writes a mark, what it is about and a note in a column of their own. On a
// terminal, width is more than 0, and what doesn't fit goes on below the text.
func writeLine(w io.Writer, width int, mark, what, note string) {
	line := what
	if note != "" {
		line = fmt.Sprintf("%-22s  %s", what, note)
	}
	room := width - twwidth.Width(mark)
	if width == 0 || twwidth.Width(line) <= room {
		fmt.Fprintln(w, mark+line)
		return
	}
	indent := strings.Repeat(" ", twwidth.Width(mark))
	lines := wrap(what, room)
	if note != "" {
		lines = append(lines, wrap(note, room)...)
	}
	fmt.Fprintln(w, mark+strings.Join(lines, "\n"+indent))
}

// wrap breaks text at spaces into lines of a width, where its words allow it.
func wrap(text string, width int) []string {
	var lines []string
	for word := range strings.SplitSeq(text, " ") {
		if last := len(lines) - 1; last >= 0 && twwidth.Width(lines[last]+" "+word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// writePython and writeYAML write the role for a hub's configuration. Its name is ours;
// it may be for a service that is named otherwise.
func (r *hubReport) writePython(w io.Writer) {
	comment := ""
	if r.service == "" {
		comment = "  # has to be one of c.JupyterHub.services" // else the hub doesn't start
	}
	fmt.Fprintf(w, `c.JupyterHub.load_roles.append({
    "name": "groups-exporter",
    "services": [%s],%s
    "scopes": [
`, quote(r.serviceName()), comment)
	for _, scope := range r.Role.Scopes {
		fmt.Fprintf(w, "        %q,\n", scope)
	}
	fmt.Fprintf(w, `%s    ],
})
`, optional(`"%s",`))
}

func (r *hubReport) writeYAML(w io.Writer) {
	name := yamlString(r.serviceName())
	fmt.Fprintln(w, "hub:")
	if r.service == "" {
		fmt.Fprintf(w, "  services:\n    %s: {}\n", name)
	}
	fmt.Fprintf(w, `  loadRoles:
    groups-exporter:
      services:
        - %s
      scopes:
`, name)
	for _, scope := range r.Role.Scopes {
		fmt.Fprintf(w, "        - %s\n", scope)
	}
	fmt.Fprint(w, optional("- %s"))
}

// optional returns a comment with the scope that adds something, in the given form.
func optional(form string) string {
	return fmt.Sprintf("        # "+form+"  # optional: "+groupsWithoutMembers+"\n", "list:groups")
}

func (r *hubReport) serviceName() string { return cmp.Or(r.service, "groups-exporter") }

// yamlString writes a text as YAML, on one line.
func yamlString(text string) string {
	if isPlainYAML(text) {
		return text
	}
	return quote(text)
}
