// Command groups-exporter exposes the group memberships of a JupyterHub as Prometheus metrics. This package has the
// flags, the environment, the messages and the exit codes, with one file for each command. It connects the packages in
// internal.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // such as a hub that is down
	exitUsage   = 2 // invalid command line
)

const exitCodes = `Exit codes: 0 success, 1 failure (such as a hub that is down), 2 invalid command
line.`

func main() {
	if os.Getenv("GOGC") == "" {
		// A refresh produces much short-lived garbage. With 100,000 users, this saves 4 MiB at the peak, for no
		// measurable CPU.
		debug.SetGCPercent(50)
	}
	// Collect garbage before the memory limit of a container is reached. Without a limit, or with GOMEMLIMIT, this does
	// nothing.
	_, _ = memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup))
	// net/http logs unsolicited responses, which may hold a token.
	log.SetOutput(io.Discard)
	// Without this, a write to a closed pipe would kill the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills the process
	code := run(ctx, os.Args[1:], os.Getenv, os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program. Apart from its arguments, it uses only files and the network. It returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, environ []string, in io.Reader, out, errOut io.Writer) int {
	root := newRootCommand(getenv)
	started := false // errors before that are about the command line
	stop := func() {}
	defer func() { stop() }()
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		started = true
		if cmd.Name() != serveName { // serve reloads on SIGHUP
			ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
			cmd.SetContext(ctx)
		}
		return useEnvironment(cmd, getenv, environ)
	}
	root.SetArgs(spreadAllowedGroups(args))
	root.SetIn(in)
	stdout := &standardOutput{Writer: out}
	root.SetOut(stdout)
	root.SetErr(&standardError{errOut, stdout})
	prepareCompletion(root, args)
	addCobraCommands(root) // after SetOut, because they keep the output that is set
	command, err := root.ExecuteContextC(ctx)

	var usage *usageError
	switch failure := stdout.Err(); {
	case errors.Is(failure, syscall.EPIPE):
		return exitOK // the reader of the output has closed it
	case failure != nil:
		say(errOut, failure.Error(), "")
		return exitFailure
	case err == nil:
		return exitOK
	case !started || errors.As(err, &usage):
		say(errOut, err.Error(), cmp.Or(variableHint(command.Flags(), err), usageHint(root, command, args, err)))
		return exitUsage
	default:
		say(errOut, err.Error(), hint(err))
		return exitFailure
	}
}

// interruptible calls do, which may block on a hub, on standard input or on a pipe that nobody reads. It returns when
// do returns or, if that takes longer than a moment, when ctx ends.
func interruptible(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(100 * time.Millisecond):
			err = ctx.Err()
		}
	}
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// usageError is an error in the command line that was found after parsing it.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// otherCommands is the group of the last commands in the help.
const otherCommands = "Other"

func newRootCommand(getenv func(string) string) *cobra.Command {
	root := &cobra.Command{
		Use:   "groups-exporter",
		Short: "Expose the group memberships of a JupyterHub to Prometheus",
		Long: `Expose the group memberships of a JupyterHub to Prometheus, so that memory, CPU,
GPUs and storage can be attributed to groups.

` + exitCodes,
		Example: `  # try it without a hub
  groups-exporter groups --demo
  groups-exporter serve --demo

  # run it next to a hub
  export JUPYTERHUB_API_URL=http://127.0.0.1:8081 JUPYTERHUB_API_TOKEN=...
  groups-exporter check
  groups-exporter serve`,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // usageHint has them
		Version:            versionText(),
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetGlobalNormalizationFunc(normalizeFlag)
	root.SetUsageFunc(writeUsage)
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run", []*cobra.Command{newServeCommand(getenv), newCheckCommand(getenv), newHealthcheckCommand(getenv)}},
		{"Look up", []*cobra.Command{newGroupsCommand(getenv), newHomesCommand(getenv), newReportCommand(getenv), newDumpCommand(getenv), newLookupCommand(getenv), newEscapeCommand()}},
		{"Prometheus and Grafana", []*cobra.Command{newRulesCommand(getenv), newDashboardCommand(getenv)}},
		{otherCommands, []*cobra.Command{newVersionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, command := range group.commands {
			command.GroupID = group.title
			root.AddCommand(command)
		}
	}
	root.SetHelpCommandGroupID(otherCommands)
	root.SetCompletionCommandGroupID(otherCommands)
	for _, command := range root.Commands() {
		command.Flags().SortFlags = false // the most specific come first
		if command.ValidArgsFunction == nil {
			command.ValidArgsFunction = cobra.NoFileCompletions
		}
		if run := command.RunE; command.Name() != serveName { // serve ends by itself when its context ends
			command.RunE = func(cmd *cobra.Command, args []string) error {
				return interruptible(cmd.Context(), func() error { return run(cmd, args) })
			}
		}
	}
	return root
}

// addCobraCommands adds cobra's own commands, help and completion, and makes them fail for an unknown command. By
// default, they print help and succeed.
func addCobraCommands(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, command := range root.Commands() {
		switch command.Name() {
		case "help":
			help := command.Run
			command.Run, command.RunE = nil, func(cmd *cobra.Command, args []string) error {
				found, rest, err := root.Find(args)
				if err == nil && len(rest) > 0 {
					err = fmt.Errorf("unknown command %q for %q", rest[0], found.CommandPath())
				}
				if err != nil {
					return &usageError{err}
				}
				help(cmd, args)
				return nil
			}
		case "completion":
			command.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range command.Commands() {
				if shell.Name() == "fish" {
					shell.RunE = func(cmd *cobra.Command, _ []string) error {
						bare, err := cmd.Flags().GetBool("no-descriptions")
						return cmp.Or(err, writeFishCompletion(cmd.Root(), cmd.OutOrStdout(), !bare))
					}
				}
			}
		}
	}
}

// writeFishCompletion writes cobra's completion script for fish. It adds quotes to the words before the cursor, because
// fish has removed them and the script evaluates the words.
func writeFishCompletion(root *cobra.Command, out io.Writer, descriptions bool) error {
	var script bytes.Buffer
	if err := root.GenFishCompletion(&script, descriptions); err != nil {
		return err
	}
	const words = "(commandline -opc)"
	_, err := strings.NewReplacer(words, "(string escape -- "+words+")").WriteString(out, script.String())
	return err
}
