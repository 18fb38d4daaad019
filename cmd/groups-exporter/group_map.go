package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/groupmap"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// groupMapOption is the flag for a file that says what the hub's groups mean.
type groupMapOption struct {
	file  string
	rules membership.Rules // with the names of the pseudo-groups

	// Map is nil without a file. It is set by complete.
	Map *groupmap.Map
}

func (o *groupMapOption) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.file, "group-map", "", "YAML `file` that renames, merges and drops groups")
}

// complete reads the file, if there is one.
func (o *groupMapOption) complete(rules membership.Rules) (err error) {
	o.rules = rules
	if o.file == "" {
		return nil
	}
	o.Map, err = o.load()
	return err
}

// load reads the file. A mistake in it is a usageError.
func (o *groupMapOption) load() (*groupmap.Map, error) {
	document, err := os.ReadFile(o.file)
	if err != nil {
		return nil, fmt.Errorf("--group-map: %w", err)
	}
	parsed, err := groupmap.Parse(document, o.rules)
	if err != nil {
		return nil, usagef("--group-map %s: %w", o.file, err)
	}
	return parsed, nil
}

// properties returns the properties of groups that the map uses.
func (o *groupMapOption) properties() []string {
	if o.Map == nil {
		return nil
	}
	return o.Map.Properties()
}

// parent returns the parent of a group, or "".
func (o *groupMapOption) parent(group string) string {
	if o.Map == nil {
		return ""
	}
	return o.Map.Parent(group)
}

// hasParents reports whether the map has parents of groups.
func (o *groupMapOption) hasParents() bool { return o.Map != nil && o.Map.HasParents() }

// recorded returns the groups that users count in, given those that Prometheus recorded. Users in unclear are in several
// groups that it didn't record. Without properties of groups, lines of the map with a property have no effect.
func (o *groupMapOption) recorded(users map[string][]string, unclear map[string]bool, properties groupmap.Properties) (map[string][]string, error) {
	if o.Map == nil {
		return users, nil
	}
	mapping := o.Map.For(properties)
	mapped := map[string][]string{}
	for user, groups := range users {
		switch {
		case o.Map.Ignores(user):
		case unclear[user]:
			mapped[user] = groups
		default:
			mapped[user] = mapping.Groups(user, groups)
		}
	}
	return mapped, mapping.Check()
}
