package main

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// completionTime is how long a shell waits for a hub.
const completionTime = time.Second

// prepareCompletion removes the backquotes around the names of values from the descriptions of flags if a shell asks
// for completions, because cobra shows them.
func prepareCompletion(root *cobra.Command, args []string) {
	if len(args) == 0 || args[0] != cobra.ShellCompRequestCmd && args[0] != cobra.ShellCompNoDescRequestCmd {
		return
	}
	for _, command := range root.Commands() {
		command.Flags().VisitAll(func(flag *pflag.Flag) { _, flag.Usage = pflag.UnquoteUsage(flag) })
	}
}

// completeFlag makes shells complete a flag's value.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the flag was just added
	}
}

// completeRules makes shells complete --allow-group and --deny-group with groups of the hub.
func completeRules(cmd *cobra.Command, getenv func(string) string, o *hubOptions) {
	complete := hubNames(getenv, o, groupNames)
	withoutRules := func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		// Patterns on the command line would hide the other groups.
		pseudo := o.rules.PseudoNames()
		o.rules.Allow, o.rules.Deny = nil, nil
		found, directive := complete(cmd, args, typed)
		return slices.DeleteFunc(found, func(name string) bool { return slices.Contains(pseudo, name) }), directive
	}
	completeFlag(cmd, "allow-group", withoutRules)
	completeFlag(cmd, "deny-group", withoutRules)
}

// groupNames returns the names of the groups of a snapshot.
func groupNames(s *membership.Snapshot) []string {
	var names []string
	for _, g := range s.Groups() {
		names = append(names, g.Name)
	}
	return names
}

// userNames returns the names of the users of a snapshot.
func userNames(s *membership.Snapshot) []string { return slices.Collect(s.Users()) }

// hubNames returns a function that completes names from the hub that are safe in shells and not yet arguments. If there
// is no hub or no answer within a second, there are no names, and no error either, because somebody is typing.
func hubNames(getenv func(string) string, o *hubOptions, names func(*membership.Snapshot) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		var snapshot *membership.Snapshot
		err := setFlags(cmd.Flags(), flagsOfServe(cmd), getenv)
		if err == nil {
			err = o.complete(getenv)
		}
		if err == nil {
			snapshot, _, err = o.snapshot(ctx)
		}
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, name := range names(snapshot) {
			if strings.HasPrefix(name, typed) && isHarmless(name) && !slices.Contains(args, name) {
				found = append(found, name)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// isHarmless reports whether every shell takes an unquoted name literally, because the generated completions insert
// names as they are, and evaluate the line at the next Tab. A name may have letters, digits, _ and /, and not first @ .
// + : and -.
func isHarmless(name string) bool {
	for i, r := range name {
		isSign := strings.ContainsRune("_/", r) || i > 0 && strings.ContainsRune("@.+:-", r)
		if !isSign && (!unicode.IsLetter(r) && !unicode.IsDigit(r) || !isVisible(r)) {
			return false
		}
	}
	return name != ""
}
