package main

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variablePrefix begins the names of the environment variables that set flags.
const variablePrefix = "GROUPS_EXPORTER_"

// foreignVariable matches variables with the prefix that set no flag: those that Kubernetes sets for a Service named
// groups-exporter or groups-exporter-NAME, and those that cobra reads.
var foreignVariable = regexp.MustCompile(`^` + variablePrefix + `(PORT|SERVICE_|.+_(PORT|SERVICE_HOST|SERVICE_PORT)(_|$)|ACTIVE_HELP$|COMPLETION_DESCRIPTIONS$)`)

// variableOf returns the name of the environment variable that sets a flag.
func variableOf(flag string) string {
	return variablePrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag))
}

// hasVariable reports whether an environment variable can set a flag of serve, or false for nil.
func hasVariable(ofServe *pflag.Flag) bool {
	return ofServe != nil && !ofServe.Hidden && ofServe.Name != "help"
}

// readsVariables reports whether environment variables set flags of a command. In the commands that don't query a hub,
// flags of the same names have other meanings.
func readsVariables(flags *pflag.FlagSet) bool { return flags.Lookup("hub-url") != nil }

// setFlags sets flags of a command from the environment: those that serve has, too, and that aren't on the command
// line.
func setFlags(flags, ofServe *pflag.FlagSet, getenv func(string) string) (err error) {
	if !readsVariables(flags) {
		return nil
	}
	flags.VisitAll(func(flag *pflag.Flag) {
		if err == nil && !flag.Changed && hasVariable(ofServe.Lookup(flag.Name)) {
			err = setFlag(flags, flag, getenv(variableOf(flag.Name)))
		}
	})
	return err
}

// setFlag sets a flag to the value of its variable. Each line is a value of a repeatable flag. Empty values are
// ignored.
func setFlag(flags *pflag.FlagSet, flag *pflag.Flag, text string) error {
	values := []string{strings.TrimRightFunc(text, isLineEnd)}
	if _, repeatable := flag.Value.(pflag.SliceValue); repeatable {
		values = lines(text)
	}
	for _, value := range values {
		if value == "" {
			continue
		}
		if err := flags.Set(flag.Name, value); err != nil {
			return usagef("%s=%s: %w", variableOf(flag.Name), quote(value), withoutFlag(err))
		}
		flag.Annotations = map[string][]string{variablePrefix: {}} // for variableHint
	}
	return nil
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

// lines returns the lines of a text that aren't empty.
func lines(text string) []string { return strings.FieldsFunc(text, isLineEnd) }

// withoutFlag returns an error of pflag without the name of the flag.
func withoutFlag(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	if !errors.As(err, new(*strconv.NumError)) {
		return invalid.Unwrap()
	}
	if invalid.GetFlag().Value.Type() == "bool" {
		return errors.New("it must be true or false")
	}
	return errors.New("it must be a whole number")
}

// variableHint returns which variables have set the flags that an error names, or "".
func variableHint(flags *pflag.FlagSet, err error) string {
	var hints []string
	for _, name := range regexp.MustCompile(`--[a-z][a-z.-]*[a-z]`).FindAllString(err.Error(), -1) {
		flag := flags.Lookup(strings.TrimPrefix(name, "--"))
		if flag == nil || flag.Annotations[variablePrefix] == nil {
			continue
		}
		if hint := name + " comes from " + variableOf(flag.Name); !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return strings.Join(hints, ", ")
}

// unknownVariables returns the names of variables with the prefix that set no flag.
func unknownVariables(environ []string, ofServe *pflag.FlagSet) []string {
	known := map[string]bool{}
	ofServe.VisitAll(func(flag *pflag.Flag) {
		if hasVariable(flag) {
			known[variableOf(flag.Name)] = true
		}
	})
	var unknown []string
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, variablePrefix) && value != "" && !known[name] && !foreignVariable.MatchString(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// flagsOfServe returns the flags of serve, for any command of the same program.
func flagsOfServe(cmd *cobra.Command) *pflag.FlagSet {
	serve, _, err := cmd.Root().Find([]string{serveName})
	if err != nil {
		panic(err) // serve always exists
	}
	return serve.Flags()
}

// useEnvironment sets flags of a command from the environment. It warns of unknown variables: in the log of serve, and
// on standard error of other commands.
func useEnvironment(cmd *cobra.Command, getenv func(string) string, environ []string) error {
	ofServe := flagsOfServe(cmd)
	if err := setFlags(cmd.Flags(), ofServe, getenv); err != nil || !readsVariables(cmd.Flags()) {
		return err
	}
	warn := func(text string) { say(cmd.ErrOrStderr(), text, "") }
	if format := cmd.Flags().Lookup("log.format"); format != nil {
		level, _ := cmd.Flags().Lookup("log.level").Value.(*logLevel)
		o := logOptions{level: *level, format: logFormat(format.Value.String())}
		warn = func(text string) { o.logger(cmd.ErrOrStderr(), new(secrets).redact).Warn(text) }
	}
	for _, name := range unknownVariables(environ, ofServe) {
		warn("ignoring the environment variable " + name + ": it sets no flag of serve")
	}
	return nil
}
