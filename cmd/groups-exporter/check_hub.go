package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// fullPage is how many items a hub puts on a page unless it is configured otherwise. The exporter requests no
// more.
const fullPage = 200

// hubReport is what check reports about a hub.
type hubReport struct {
	Hub       string       `json:"hub"`
	Version   string       `json:"version"`
	Token     checkToken   `json:"token"`
	PageLimit *int         `json:"page_limit"` // nil if it is unknown, or there is none
	Users     *int         `json:"users"`
	Groups    *int         `json:"groups"`
	Can       []capability `json:"can"`
	Warnings  []string     `json:"warnings"`
	Role      checkRole    `json:"role"`

	found   *hub.Inspection
	service string // that the role is for, "" if it isn't known
}

type checkToken struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// checkRole is the smallest role that suffices.
type checkRole struct {
	Scopes []string `json:"scopes"`
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

// report returns what is known of a hub.
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
	for _, feature := range []struct {
		scopes.Feature
		required bool
	}{
		{scopes.Memberships(), true},
		{scopes.EmptyGroups(), false},
		{scopes.ActiveUsers(), activity},
		{scopes.RunningServers(), activity},
	} {
		lack := feature.Check(found.Scopes)
		missing := slices.DeleteFunc(slices.Clone(feature.Scopes), func(scope string) bool {
			return !slices.Contains(lack.Missing, scope) && !slices.Contains(lack.Partly, scope)
		})
		r.Can = append(r.Can, capability{
			What: feature.Name, OK: lack.None(), Needs: feature.Scopes, Missing: missing,
			required: feature.required, lack: lack,
		})
		if feature.required {
			r.Role.Scopes = append(r.Role.Scopes, feature.Scopes...)
		}
	}
	r.Warnings = append(r.warn(), o.lengthWarnings(found)...)
	return r
}

// lengthWarnings name users and groups with label values that some Prometheus refuse, as far as the first
// page shows them.
func (o *checkOptions) lengthWarnings(found *hub.Inspection) []string {
	return new(publishOptions).lengthNotices(membership.New(o.namespace, found.First, o.hub.rules))
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

// warn returns what an operator should know although it may work.
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
		if can.required || can.What == scopes.EmptyGroups().Name {
			parts = append(parts, can.lack.Parts...)
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

// verdict returns an error if something required is missing.
func (r *hubReport) verdict() error {
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
		return nil
	}
	if r.Can[0].OK {
		return errors.New(missingText(lack))
	}
	return &remote.Error{Reason: remote.Scope, Server: "hub", URL: r.Hub, Problem: missingText(lack)}
}

// missingText says which scopes the token is missing.
func missingText(lack scopes.Lack) string {
	word := "scope"
	if len(lack.Missing) > 1 || len(lack.Missing) == 0 && len(lack.Partly) > 1 {
		word = "scopes"
	}
	return "the hub token is missing the " + word + " " + lackText(lack)
}

// lackText returns the scopes that are lacking.
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
