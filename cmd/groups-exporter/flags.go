package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// choice is the value of a flag that takes one of a few words.
type choice[T ~string] struct {
	value   *T
	allowed []T
}

func (c choice[T]) String() string { return string(*c.value) }

// Set returns an error that lists the words unless text is one of them.
func (c choice[T]) Set(text string) error {
	if !slices.Contains(c.allowed, T(text)) {
		return errors.New("it must be one of: " + strings.Join(words(c.allowed), ", "))
	}
	*c.value = T(text)
	return nil
}

// Type returns what the help shows as the value.
func (c choice[T]) Type() string { return strings.Join(words(c.allowed), "|") }

// choices is the value of a flag that takes several of a few words, separated by commas or in several flags.
type choices[T ~string] struct {
	values  *[]T
	allowed []T
}

// String returns the words with commas between them.
func (c choices[T]) String() string {
	if c.values == nil {
		return ""
	}
	return strings.Join(words(*c.values), ",")
}

// Set adds words.
func (c choices[T]) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		var one T
		if err := (choice[T]{&one, c.allowed}).Set(word); err != nil {
			return err
		}
		*c.values = append(*c.values, one)
	}
	return nil
}

// Type returns what the help shows as the value.
func (c choices[T]) Type() string { return strings.Join(words(c.allowed), ",") }

func words[T ~string](of []T) []string {
	words := make([]string, len(of))
	for i, word := range of {
		words[i] = string(word)
	}
	return words
}

// duration is the value of a flag that takes a positive duration: "90s", "5m", or a number of seconds, as in the Python
// exporter.
type duration struct{ value *time.Duration }

// String returns the duration as people write it: "1h" and not "1h0m0s".
func (d duration) String() string {
	if *d.value == 0 {
		return ""
	}
	text := d.value.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Set sets the duration.
func (d duration) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if seconds, isNumber := strconv.ParseUint(text, 10, 31); isNumber == nil {
		parsed, err = time.Duration(seconds)*time.Second, nil
	}
	switch {
	case err != nil:
		return errors.New(`it must be a duration like "90s", "5m" or "1h"`)
	case parsed <= 0:
		return errors.New("it must be more than 0")
	case parsed > 365*24*time.Hour:
		return errors.New("it must not be longer than a year")
	}
	*d.value = parsed
	return nil
}

// Type returns what the help shows as the value.
func (d duration) Type() string { return "duration" }

// addChoice adds a flag that takes one of a few words, which shells complete.
func addChoice[T ~string](cmd *cobra.Command, value *T, name, usage string, allowed ...T) {
	cmd.Flags().Var(choice[T]{value, allowed}, name, usage)
	completeWords(cmd, name, words(allowed))
}

// addChoices adds a flag that takes several of a few words, which shells complete.
func addChoices[T ~string](cmd *cobra.Command, values *[]T, name, usage string, allowed ...T) {
	cmd.Flags().Var(choices[T]{values, allowed}, name, usage)
	completeFlag(cmd, name, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		var left []string
		for _, word := range words(allowed) {
			if !slices.Contains(strings.Split(before, ","), word) {
				left = append(left, before+word)
			}
		}
		return left, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// addOutput adds the flag --output.
func addOutput(cmd *cobra.Command, value *output, allowed ...output) {
	cmd.Flags().VarP(choice[output]{value, allowed}, "output", "o", "format of the output")
	completeWords(cmd, "output", words(allowed))
}

// completeWords makes shells complete a flag's value.
func completeWords(cmd *cobra.Command, flag string, words []string) {
	completeFlag(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// needsNoArgs returns an error that names the first argument.
func needsNoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}
