package main

import (
	"context"
	"iter"
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

// prepareCompletion changes the commands if a shell asks for completions: cobra shows the
// descriptions of flags as they are, with the quotes around the names of values.
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

// completeRules makes shells complete the groups that are exported, or not, with groups of the hub.
func completeRules(cmd *cobra.Command, getenv func(string) string, o *hubOptions) {
	complete := hubNames(getenv, o, groupNames)
	withoutRules := func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		// Patterns that were already typed would hide the other groups.
		pseudo := o.rules.PseudoNames()
		o.rules.Allow, o.rules.Deny = nil, nil
		found, directive := complete(cmd, args, typed)
		return slices.DeleteFunc(found, func(name string) bool { return slices.Contains(pseudo, name) }), directive
	}
	completeFlag(cmd, "allow-group", withoutRules)
	completeFlag(cmd, "deny-group", withoutRules)
}

// groupNames yields the names of a snapshot's groups.
func groupNames(s *membership.Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, g := range s.Groups() {
			if !yield(g.Name) {
				return
			}
		}
	}
}

// hubNames completes harmless names from the hub, except those that are already arguments, if a
// hub is configured and answers soon. Errors are silent, because somebody is typing.
func hubNames(getenv func(string) string, o *hubOptions, names func(*membership.Snapshot) iter.Seq[string]) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		err := setFlags(cmd.Flags(), flagsOfServe(cmd), getenv)
		if err == nil {
			err = o.complete(getenv)
		}
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		snapshot, _, err := o.snapshot(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for name := range names(snapshot) {
			if strings.HasPrefix(name, typed) && isHarmless(name) && !slices.Contains(args, name) {
				found = append(found, name)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// isHarmless reports whether every shell takes an unquoted name literally. The generated
// completions insert names as they are, and evaluate the line at the next Tab. So a name
// may have only letters, digits, and a few signs that mean nothing within a word. The signs
// @ . + : and - may not come first.
func isHarmless(name string) bool {
	for i, r := range name {
		isSign := strings.ContainsRune("_/", r) || i > 0 && strings.ContainsRune("@.+:-", r)
		if !isSign && (!unicode.IsLetter(r) && !unicode.IsDigit(r) || !isVisible(r)) {
			return false
		}
	}
	return name != ""
}
