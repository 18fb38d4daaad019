package scopes

import (
	"slices"
	"strings"
)

// The scopes that the exporter uses. None of them can change anything.
const (
	ListUsers        = "list:users"
	ReadUserGroups   = "read:users:groups"
	ReadUserActivity = "read:users:activity"
	ReadServers      = "read:servers"
	ReadUsers        = "read:users" // includes the time of creation
	ListGroups       = "list:groups"
	ReadGroups       = "read:groups"
)

// Feature is a set of data that can be published if the token has the required scopes.
type Feature struct {
	Name   string
	Scopes []string // the token needs all of them
}

// Memberships returns the feature that everything else depends on. Without its scopes, nothing can be published.
func Memberships() Feature { return Feature{"memberships", []string{ListUsers, ReadUserGroups}} }

// EmptyGroups returns the feature of publishing groups without members.
func EmptyGroups() Feature { return Feature{"groups without members", []string{ListGroups}} }

// GroupProperties returns the feature of mapping groups by their properties.
func GroupProperties() Feature {
	return Feature{"properties of groups", []string{ListGroups, ReadGroups}}
}

// ActiveUsers returns the feature of counting recently active users.
func ActiveUsers() Feature { return Feature{"active users", []string{ReadUserActivity}} }

// RunningServers returns the feature of counting servers that are ready.
func RunningServers() Feature { return Feature{"running servers", []string{ReadServers}} }

// Check returns the scopes of a feature that a token with the scopes held lacks.
func (f Feature) Check(held []string) Lack {
	var lack Lack
	for _, scope := range f.Scopes {
		whole, parts := Grants(held, scope)
		lack.Parts = append(lack.Parts, parts...)
		switch {
		case whole:
		case len(parts) > 0:
			lack.Partly = append(lack.Partly, scope)
		default:
			lack.Missing = append(lack.Missing, scope)
		}
	}
	return lack
}

// Lack is the difference between the required scopes and the scopes of a token. The zero value means that the token has
// all required scopes.
type Lack struct {
	Missing []string // scopes that the token doesn't have at all
	Partly  []string // scopes that the token has with a filter, so only for a part of the hub
	Parts   []string // the scopes in Partly with each filter, such as list:users!group=bio
}

// None reports whether the token has all scopes for the whole hub.
func (l Lack) None() bool { return len(l.Missing)+len(l.Partly) == 0 }

// Add returns the missing scopes of two features together.
func (l Lack) Add(other Lack) Lack {
	join := func(a, b []string) []string { return append(append([]string{}, a...), b...) }
	return Lack{Missing: join(l.Missing, other.Missing), Partly: join(l.Partly, other.Partly), Parts: join(l.Parts, other.Parts)}
}

// Expand returns the scopes held and all scopes that they include. Included scopes keep the filters.
func Expand(held []string) []string {
	included := included()
	all := append([]string{}, held...)
	for _, h := range held {
		base, filter, filtered := strings.Cut(h, "!")
		for _, scope := range included[base] {
			if filtered {
				scope += "!" + filter
			}
			all = append(all, scope)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
