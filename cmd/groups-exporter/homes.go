package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/homes"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

// homesOptions are the flags of homes.
type homesOptions struct {
	sources  homesSources
	only     []homes.Verdict
	larger   byteSize
	inactive model.Duration
	ignore   []string
	migrate  migration
	names    templateOptions
	output   output
	prefix   prefixOption
	hub      hubOptions

	// Set by complete.
	isIgnored func(name string) bool
	templates owner.Templates
	reader    *prometheus.UsageReader // nil if no Prometheus is queried
	recorded  *history.Recorded       // nil if no Prometheus is queried
}

func (o *homesOptions) addFlags(cmd *cobra.Command) {
	o.output, o.inactive, o.hub.whole, o.hub.servers = outputTable, model.Duration(180*24*time.Hour), true, true
	flags := cmd.Flags()
	o.sources.addFlags(cmd)
	flags.StringArrayVar(&o.ignore, "ignore", nil, "leave out these directories, too (`glob`, repeatable)")
	setHeading(cmd, "Homes")
	addChoices(cmd, &o.only, "only", "show only homes with these verdicts", verdicts()...)
	flags.Var(&o.larger, "larger", "show only homes larger than this, like 10GiB")
	flags.Var(&o.inactive, "inactive", "homes of users who have been inactive for longer are stale")
	addChoice(cmd, &o.migrate, "migrate", "show how to rename directories from one naming scheme to the other", toSafe, toEscape)
	addOutput(cmd, &o.output, outputTable, outputWide, outputCSV, outputTSV, outputJSON, outputYAML, outputMarkdown, outputNames)
	setHeading(cmd, mainHeading)
	flags.StringArrayVar(&o.names.directories, "directory-template", nil, "`template` for home directories (repeatable)")
	flags.StringArrayVar(&o.names.claims, "claim-template", nil, "kubespawner's `template` for claims (repeatable)")
	setHeading(cmd, "Names")
	o.prefix.addFlag(cmd)
	setHeading(cmd, "Homes")
	o.hub.addFlags(cmd)
}

func (o *homesOptions) complete(cmd *cobra.Command, getenv func(string) string) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	var err error
	if o.templates, err = o.names.parse(); err != nil {
		return err
	}
	if o.migrate != "" {
		if err := o.migrate.check(o.templates.Directories[0]); err != nil {
			return err
		}
	}
	if err := o.prefix.complete(getenv); err != nil {
		return err
	}
	if err := o.hub.complete(getenv); err != nil {
		return err
	}
	o.isIgnored = membership.Globs(append([]string{"_shared*", "lost+found", ".*"}, o.ignore...))
	if o.reader, err = o.sources.prometheus.reader(o.hub.namespace); err == nil && o.reader != nil {
		o.recorded = newRecorded(o.reader, o.prefix.value)
	}
	return err
}

// check returns an error for flags that contradict each other.
func (o *homesOptions) check(cmd *cobra.Command) error {
	if err := o.sources.check(o.hub.demo); err != nil {
		return err
	}
	if err := checkPatterns(o.ignore); err != nil {
		return err
	}
	if o.inactive <= 0 {
		return usagef("--inactive must be more than 0; to leave out stale homes, use --only orphan,double,ambiguous")
	}
	if o.migrate == "" {
		return nil
	}
	for _, name := range []string{"only", "larger", "inactive", "claims", "claim-template"} {
		if cmd.Flags().Changed(name) {
			return usagef("--migrate shows all directories, and nothing else: remove --%s", name)
		}
	}
	if len(o.names.directories) > 1 {
		return usagef("--migrate needs a single --directory-template")
	}
	if o.output == outputNames && !o.sources.null {
		return usagef("--migrate --output names needs --null: a name may contain any other character")
	}
	return nil
}

func newHomesCommand(getenv func(string) string) *cobra.Command {
	var o homesOptions
	cmd := &cobra.Command{
		Use:   "homes",
		Short: "Show who owns each home directory and claim, and find orphans",
		Long: `Show who owns each home directory and volume claim, and which of them you may be
able to delete. Homes come from a list of directories, kubectl and Prometheus.
The hub is read once. Nothing is ever deleted, moved or written.

  ok         none of the following
  orphan     no user of the hub can own it
  stale      its owner has no server and was inactive for longer than --inactive
  double     its owner has several directories, or claims for the same server
  ambiguous  several users can own it, or its name doesn't prove its owner

The command fails unless the token can read all users and what the verdicts
depend on. It needs the scopes list:users, read:users:groups,
read:users:activity and read:servers, and read:users if a user was never active.
Directories called lost+found, or with names that begin with "_shared" or a dot,
are left out.

` + exitCodes,
		Example: `  groups-exporter homes --demo
  cd /home; du --null --block-size=1 --max-depth=1 | groups-exporter homes --directories - --null
  kubectl --namespace prod get pvc --output json | groups-exporter homes --claims -
  groups-exporter homes --prometheus-url http://127.0.0.1:9090 --only orphan,stale --larger 10GiB
  find . -mindepth 1 -maxdepth 1 -print0 | groups-exporter homes --directories - --null --migrate escape:safe`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(cmd, getenv); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	completeRules(cmd, getenv, &o.hub)
	return cmd
}

func (o *homesOptions) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	// The hub comes last, so that the homes of users who are created meanwhile aren't orphans.
	list, err := o.sources.read(ctx, in, errOut, o.reader)
	if err != nil {
		return err
	}
	snapshot, servers, err := o.users(ctx, errOut)
	if err != nil {
		return err
	}
	if !o.sources.isSet() {
		list = demoHomes(snapshot.Users())
	}
	users := slices.Collect(snapshot.Details())
	if o.migrate != "" {
		return o.writeMoves(out, errOut, o.moves(list, users))
	}
	list = slices.DeleteFunc(list, o.leavesOut)
	hub := homes.Hub{Users: users, Servers: servers, HasCreated: snapshot.HasCreated(), Templates: o.templates}
	rows, err := homes.Judge(list, hub, o.inactiveSince(snapshot))
	if err != nil {
		return err
	}
	if o.recorded != nil {
		if err := o.nameOrphans(ctx, errOut, rows, snapshot); err != nil {
			return err
		}
	}
	return o.write(out, o.selected(errOut, rows), snapshot)
}

// nameOrphans adds the former owners of orphans, from the recorded memberships.
func (o *homesOptions) nameOrphans(ctx context.Context, errOut io.Writer, rows []homes.Row, snapshot *membership.Snapshot) error {
	if !slices.ContainsFunc(rows, func(r homes.Row) bool { return r.Verdict == homes.Orphan }) {
		return nil
	}
	users, notice, err := formerUsers(ctx, o.recorded, snapshot)
	if err != nil {
		return err
	}
	if notice != "" {
		say(errOut, notice, "")
		return nil
	}
	seen, err := o.recorded.LastSeen(ctx, homes.AddFormer(rows, users, o.templates))
	if err == nil {
		homes.SetLastSeen(rows, seen)
	}
	return err
}

// users returns all users of the hub, and their named servers if the token may read them. It is an error if any user may
// be missing, or if something that a verdict depends on isn't known.
func (o *homesOptions) users(ctx context.Context, errOut io.Writer) (*membership.Snapshot, map[string][]string, error) {
	snapshot, result, err := o.hub.wholeSnapshot(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case snapshot.Len() == 0:
		return nil, nil, errors.New("the hub has no users, so all homes would be orphans")
	}
	var missing []string
	if o.needsActivity() && !snapshot.HasActivity() {
		missing = append(missing, scopes.ReadUserActivity)
	}
	if o.needsActivity() && !snapshot.HasServers() {
		missing = append(missing, scopes.ReadServers)
	}
	if len(missing) > 0 {
		return nil, nil, &inactivityUnknown{missing}
	}
	for _, notice := range o.hub.notices(snapshot, result) {
		say(errOut, notice, "")
	}
	return snapshot, result.Servers, nil
}

// needsActivity reports whether the verdicts that are shown depend on the activity of users.
func (o *homesOptions) needsActivity() bool {
	return o.migrate == "" && (len(o.only) == 0 || slices.Contains(o.only, homes.Stale) || slices.Contains(o.only, homes.OK))
}

// inactiveSince returns since when users are inactive whose homes are stale, or the zero time if that doesn't matter.
func (o *homesOptions) inactiveSince(snapshot *membership.Snapshot) time.Time {
	if !o.needsActivity() {
		return time.Time{}
	}
	return snapshot.At().Add(-time.Duration(o.inactive))
}

// leavesOut reports whether a directory is left out. Claims never are: kubespawner made them for a user.
func (o *homesOptions) leavesOut(h homes.Home) bool {
	return h.Kind == homes.Directory && o.isIgnored(h.Name)
}

// moves returns what --migrate does to directories. Those that are left out still take their names.
func (o *homesOptions) moves(list []homes.Home, users []membership.User) []homes.Move {
	list = slices.DeleteFunc(list, func(h homes.Home) bool { return h.Kind != homes.Directory }) // claims from Prometheus
	from, to := o.migrate.schemes()
	moves := homes.Migrate(list, users, o.templates.Directories[0], from, to)
	return slices.DeleteFunc(moves, func(m homes.Move) bool { return o.leavesOut(m.Home) })
}

// selected returns the rows that are shown, the largest first.
func (o *homesOptions) selected(errOut io.Writer, rows []homes.Row) []homes.Row {
	unknown := 0
	rows = slices.DeleteFunc(rows, func(r homes.Row) bool {
		if len(o.only) > 0 && !slices.Contains(o.only, r.Verdict) {
			return true
		}
		if o.larger == 0 {
			return false
		}
		if r.Size == nil {
			unknown++
		}
		return r.Size == nil || *r.Size <= int64(o.larger)
	})
	if unknown > 0 {
		say(errOut, fmt.Sprintf("--larger leaves out %s of unknown size", plural(unknown, "home")), "")
	}
	sortBySize(rows, func(r homes.Row) homes.Home { return r.Home })
	return rows
}
