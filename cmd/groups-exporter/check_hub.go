package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// fullPage is the number of items on a page of a hub by default. The exporter requests no more.
const fullPage = 200

// hubReport is the report about a hub.
type hubReport struct {
	Hub       string       `json:"hub"`
	Version   string       `json:"version"`
	Token     checkToken   `json:"token"`
	PageLimit *int         `json:"page_limit"` // nil if unknown, or if there is no limit
	Users     *int         `json:"users"`
	Groups    *int         `json:"groups"`
	Can       []capability `json:"can"`
	Warnings  []string     `json:"warnings"`
	Role      struct {
		Scopes []string `json:"scopes"`
	} `json:"role"` // the smallest sufficient role

	found   *hub.Inspection
	service string // the role's service, "" if unknown
	misfit  error  // why the group map can't be applied, or nil
}

type checkToken struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// capability is a feature, and whether the token has the scopes for it.
type capability struct {
	What    string   `json:"what"`
	OK      bool     `json:"ok"`
	Needs   []string `json:"needs"`
	Missing []string `json:"missing"`

	required bool
	lack     scopes.Lack
}

// report returns the report about a hub.
func (o *checkOptions) report(found *hub.Inspection) *hubReport {
	activity := slices.Contains(o.with, withActivity)
	r := &hubReport{
		Hub: o.hub.api.String(), Version: found.Version, Token: checkToken{found.Kind, found.Name},
		Users: found.Users, Groups: found.Groups, found: found, service: o.service,
	}
	if found.Kind == "service" {
		r.service = found.Name
	}
	if found.PageLimit > 0 && found.PageLimit <= fullPage {
		r.PageLimit = &found.PageLimit
	}
	type feature struct {
		scopes.Feature
		required bool
	}
	features := []feature{
		{scopes.Memberships(), true},
		{scopes.EmptyGroups(), false},
		{scopes.ActiveUsers(), activity},
		{scopes.RunningServers(), activity},
	}
	if len(o.hub.groupMap.properties()) > 0 {
		features = append(features, feature{scopes.GroupProperties(), true})
	}
	for _, feature := range features {
		lack := feature.Check(found.Scopes)
		r.Can = append(r.Can, capability{
			What: feature.Name, OK: lack.None(), Needs: feature.Scopes, Missing: append(append([]string{}, lack.Missing...), lack.Partly...),
			required: feature.required, lack: lack,
		})
		if feature.required {
			r.Role.Scopes = append(r.Role.Scopes, feature.Scopes...)
		}
	}
	r.Warnings = append(r.warn(), o.lengthWarnings(found)...)
	return r
}

// lengthWarnings returns warnings about users and groups of the first page whose label values some Prometheus refuse.
func (o *checkOptions) lengthWarnings(found *hub.Inspection) []string {
	return new(publishOptions).lengthNotices(membership.New(o.hub.namespace, found.First, o.hub.rules))
}

// missing returns the scopes that the token needs and doesn't have for the whole hub.
func (r *hubReport) missing() []string {
	var missing []string
	for _, can := range r.Can {
		if can.required {
			missing = append(missing, can.Missing...)
		}
	}
	return missing
}

// warn returns warnings about a hub with which the exporter may work all the same.
func (r *hubReport) warn() []string {
	warnings := []string{}
	if !r.found.HasPages() {
		return append(warnings, r.tooOld())
	}
	if r.found.Before(4, 1, 6) {
		warnings = append(warnings, fmt.Sprintf("JupyterHub %s is older than 4.1.6, the oldest version that groups-exporter is tested with", r.Version))
	}
	var parts []string
	for _, can := range r.Can {
		if can.required || can.What == scopes.EmptyGroups().Name {
			parts = append(parts, can.lack.Parts...)
		}
	}
	if len(parts) > 0 {
		warnings = append(warnings, "the token sees only part of the hub, because of the "+noun(len(parts), "scope")+" "+some(parts))
	}
	if writes := scopes.Writes(r.found.Scopes); len(writes) > 0 {
		warnings = append(warnings, "the token can write, which groups-exporter never needs: "+some(writes))
	}
	if alone := r.found.Alone; alone > 0 {
		among := ""
		if *r.Users > alone {
			among = fmt.Sprintf(" among the first %d users", alone)
		}
		warnings = append(warnings, "nobody"+among+" is in a group: authenticators set groups only with manage_groups, and only when a user logs in")
	}
	return warnings
}

func (r *hubReport) tooOld() string {
	return fmt.Sprintf("JupyterHub %s is too old: groups-exporter needs 2.0 or later", r.Version)
}

// verdict returns an error if something required is missing.
func (r *hubReport) verdict() error {
	if r == nil {
		return nil
	}
	if !r.found.HasPages() {
		return errors.New(r.tooOld())
	}
	var lack scopes.Lack
	for _, can := range r.Can {
		if can.required {
			lack = lack.Add(can.lack)
		}
	}
	if lack.None() {
		return r.misfit
	}
	if r.Can[0].OK {
		return errors.New(missingText(lack))
	}
	return &remote.Error{Reason: remote.Scope, Server: "hub", URL: r.Hub, Problem: missingText(lack)}
}

// missingText returns a sentence about missing scopes.
func missingText(lack scopes.Lack) string {
	return "the hub token is missing the " + noun(cmp.Or(len(lack.Missing), len(lack.Partly)), "scope") + " " + lackText(lack)
}

// lackText lists the missing scopes.
func lackText(lack scopes.Lack) string {
	var text []string
	if len(lack.Missing) > 0 {
		text = append(text, some(lack.Missing))
	}
	if len(lack.Partly) > 0 {
		text = append(text, some(lack.Partly)+" for the whole hub")
	}
	return strings.Join(text, ", and ")
}

// checkGroupMap adds to a report whether the map fits the hub's groups, and which of its lines match nothing. Without the
// required scopes, it does nothing.
func (o *checkOptions) checkGroupMap(ctx context.Context, r *hubReport) error {
	if isUsable := r.verdict() == nil; o.hub.groupMap.Map == nil || !isUsable {
		return nil
	}
	result, err := hub.New(o.hub.client()).List(ctx)
	if err != nil {
		return err
	}
	mapping := o.hub.groupMap.Map.For(result.Properties)
	r.misfit = mapping.Apply(result.Listing)
	for _, line := range mapping.Unused() {
		r.Warnings = append(r.Warnings, o.hub.groupMap.file+": "+line.String())
	}
	return nil
}
