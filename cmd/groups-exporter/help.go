package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	// headingKey is the annotation of a flag with the heading above it in the help.
	headingKey = "heading"
	// mainHeading is above flags without another heading.
	mainHeading = "Flags"

	helpWidth    = 80  // columns of the help in a pipe
	maxHelpWidth = 100 // columns of the help on a wide terminal
	helpColumn   = 32  // the column in which descriptions of flags begin
)

// setHeading puts those of a command's flags that have no heading yet under a heading in the help.
func setHeading(cmd *cobra.Command, heading string) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations[headingKey] != nil {
			return
		}
		if flag.Annotations == nil {
			flag.Annotations = map[string][]string{}
		}
		flag.Annotations[headingKey] = []string{heading}
	})
}

// headingOf returns the heading above a flag.
func headingOf(flag *pflag.Flag) string {
	if heading := flag.Annotations[headingKey]; heading != nil {
		return heading[0]
	}
	return mainHeading
}

// writeUsage writes the part of a command's help that follows its description.
func writeUsage(cmd *cobra.Command) error {
	var text strings.Builder
	text.WriteString("Usage:\n")
	if cmd.Runnable() {
		text.WriteString("  " + cmd.UseLine() + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		text.WriteString("  " + cmd.CommandPath() + " [command]\n")
	}
	if cmd.HasExample() {
		text.WriteString("\nExamples:\n" + cmd.Example + "\n")
	}
	writeCommands(&text, cmd)
	writeFlags(&text, cmd.LocalFlags(), min(max(terminalWidth(cmd.OutOrStdout()), helpWidth), maxHelpWidth))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "\nUse \"%s [command] --help\" for more information about a command.\n", cmd.CommandPath())
	}
	_, err := io.WriteString(cmd.OutOrStdout(), text.String())
	return err
}

// writeCommands lists the commands below a command, by group.
func writeCommands(text *strings.Builder, cmd *cobra.Command) {
	list := func(title, group string) {
		heading := "\n" + title + ":\n"
		for _, sub := range cmd.Commands() {
			if sub.GroupID == group && sub.IsAvailableCommand() {
				fmt.Fprintf(text, "%s  %-*s %s\n", heading, sub.NamePadding(), sub.Name(), sub.Short)
				heading = ""
			}
		}
	}
	for _, group := range cmd.Groups() {
		list(group.Title, group.ID)
	}
	list("Commands", "")
}

// writeFlags lists flags by heading. A description stands beside its flag if there is room.
func writeFlags(text *strings.Builder, flags *pflag.FlagSet, width int) {
	var headings []string
	byHeading := map[string][]*pflag.Flag{}
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		heading := headingOf(flag)
		if !slices.Contains(headings, heading) {
			headings = append(headings, heading)
		}
		byHeading[heading] = append(byHeading[heading], flag)
	})
	for _, heading := range headings {
		fmt.Fprintf(text, "\n%s:\n", heading)
		for _, flag := range byHeading[heading] {
			writeFlag(text, flag, width)
		}
	}
}

func writeFlag(text *strings.Builder, flag *pflag.Flag, width int) {
	value, description := pflag.UnquoteUsage(flag)
	name := "  --" + flag.Name
	if flag.Shorthand != "" {
		name = "  -" + flag.Shorthand + ", --" + flag.Name
	}
	if value != "" {
		name += " " + value
	}
	if hasDefault(flag) {
		description += " (default " + flag.DefValue + ")"
	}
	indent := strings.Repeat(" ", helpColumn)
	lines := wrap(strings.Split(description, " "), width-helpColumn)
	if gap := helpColumn - twwidth.Width(name); gap >= 1 {
		name += strings.Repeat(" ", gap)
	} else {
		name += "\n" + indent
	}
	text.WriteString(name + strings.Join(lines, "\n"+indent) + "\n")
}

// hasDefault reports whether the help shows the default of a flag.
func hasDefault(flag *pflag.Flag) bool {
	return !slices.Contains([]string{"", "false", "[]", "0"}, flag.DefValue)
}
