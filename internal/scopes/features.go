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
	ListGroups       = "list:groups"
)

// Feature is something that can be published if the token has the right scopes.
type Feature struct {
	Name   string
	Scopes []string // all of which it needs
}

// Memberships are what everything else builds on. Nothing can be published without their scopes.
func Memberships() Feature { return Feature{"memberships", []string{ListUsers, ReadUserGroups}} }

// EmptyGroups are groups that no user is in.
func EmptyGroups() Feature { return Feature{"groups without members", []string{ListGroups}} }

// ActiveUsers are counts of the users who were active lately.
func ActiveUsers() Feature { return Feature{"active users", []string{ReadUserActivity}} }

// RunningServers are counts of servers that are ready.
func RunningServers() Feature { return Feature{"running servers", []string{ReadServers}} }

// Check reports which scopes of a feature a token with the scopes held doesn't have.
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

// Lack is the difference between the scopes that are needed and the scopes of a token. The zero value means
// that no scope is lacking.
type Lack struct {
	Missing []string // scopes that the token doesn't have at all
	Partly  []string // scopes that it has with a filter, so for a part of the hub only
	Parts   []string // those with each filter, like list:users!group=bio
}

// None reports whether the token has all scopes for the whole hub.
func (l Lack) None() bool { return len(l.Missing)+len(l.Partly) == 0 }

// Add returns the lack of two features together.
func (l Lack) Add(other Lack) Lack {
	join := func(a, b []string) []string { return append(append([]string{}, a...), b...) }
	return Lack{Missing: join(l.Missing, other.Missing), Partly: join(l.Partly, other.Partly), Parts: join(l.Parts, other.Parts)}
}

// Expand returns the scopes held and all that they include, with their filters.
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
