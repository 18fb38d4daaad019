package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/owner"
	"github.com/groups-exporter/groups-exporter/internal/scopes"
)

type lookupOptions struct {
	hub        hubOptions
	names      templateOptions
	null       bool
	output     output
	prefix     prefixOption
	prometheus matchedOptions

	// Set by complete.
	templates owner.Templates
	recorded  *history.Recorded // nil without a Prometheus
}

func (o *lookupOptions) addFlags(cmd *cobra.Command) {
	o.output, o.hub.whole, o.hub.servers = outputTable, true, true
	flags := cmd.Flags()
	flags.StringArrayVar(&o.names.pods, "pod-template", nil, "kubespawner's `template` for pods (repeatable)")
	flags.StringArrayVar(&o.names.claims, "claim-template", nil, "kubespawner's `template` for claims (repeatable)")
	flags.StringArrayVar(&o.names.directories, "directory-template", nil, "`template` for home directories (repeatable)")
	flags.BoolVarP(&o.null, "null", "0", false, "names on standard input end with NUL")
	addOutput(cmd, &o.output, outputTable, outputCSV, outputTSV, outputJSON, outputYAML, outputMarkdown)
	setHeading(cmd, mainHeading)
	o.hub.addFlags(cmd)
	o.prometheus.addFlags(cmd)
	o.prefix.addFlag(cmd)
	setHeading(cmd, "Deleted users")
}

func (o *lookupOptions) complete(getenv func(string) string) error {
	var err error
	if o.templates, err = o.names.parse(); err != nil {
		return err
	}
	if err := o.prefix.complete(getenv); err != nil {
		return err
	}
	if err := o.hub.complete(getenv); err != nil {
		return err
	}
	reader, err := o.prometheus.reader(o.hub.namespace)
	if err == nil && reader != nil {
		o.recorded = newRecorded(reader, o.prefix.value)
	}
	return err
}

func newLookupCommand(getenv func(string) string) *cobra.Command {
	var o lookupOptions
	cmd := &cobra.Command{
		Use:   "lookup [NAME...]",
		Short: "Find the owner of a pod, claim or home directory",
		Long: `Find the users that pods, claims and home directories belong to. Names come from
the arguments or, one per line, from standard input. Both naming schemes and
named servers are supported. A name can also be a label of a pod, a form that
escape prints, or the name of a user. A directory can have a path. The prefixes
"pod/" and "persistentvolumeclaim/" set the kind of a name.

The hub is read once. If a name matches several users, each of them gets a row.
If a name matches no user, its row has none, and the exit code is 1. If the list
of users is incomplete, the command fails.

By default, names follow the templates of kubespawner 6 and 7 and of Zero to
JupyterHub. With the scope read:servers, the hub lists named servers. Names of
other servers, such as deleted ones, must prove their users by themselves.

With --prometheus-url, users who were deleted from the hub are found in the
memberships that Prometheus recorded in the last ` + strconv.Itoa(recordedDays) + ` days.

` + exitCodes,
		Example: `  kubectl get pods --output name | groups-exporter lookup
  groups-exporter lookup jupyter-ada-uni-example---5b41514d
  ls /export/homes | groups-exporter lookup --output csv
  groups-exporter lookup --claim-template 'home-{username}' home-ada
  groups-exporter lookup --prometheus-url http://127.0.0.1:9090 claim-ada`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(getenv); err != nil {
				return err
			}
			return runLookup(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args, o)
		},
	}
	o.addFlags(cmd)
	cmd.ValidArgsFunction = hubNames(getenv, &o.hub, userNames)
	completeRules(cmd, getenv, &o.hub)
	return cmd
}

func runLookup(ctx context.Context, in io.Reader, out, errOut io.Writer, args []string, o lookupOptions) error {
	var names []string
	invalid, err := eachName(in, errOut, args, o.null, func(name string) error {
		if name != "" {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	snapshot, result, err := o.hub.wholeSnapshot(ctx)
	if err != nil {
		return err
	}
	l := &lookup{names: names, index: owner.NewIndex(accounts(snapshot, result), o.templates), hasServers: snapshot.HasServers()}
	l.found = findAll(l.index, names)
	if o.recorded != nil {
		if err := l.addFormer(ctx, o, snapshot); err != nil {
			return err
		}
	}
	for _, notice := range slices.Concat(o.hub.notices(snapshot, result), l.notices) {
		say(errOut, notice, "")
	}
	rows := l.rows(snapshot)
	if err := writeLookup(out, o.output, rows); err != nil {
		return err
	}
	return l.warn(errOut, rows, invalid)
}

// lookup holds names and the users that they belong to.
type lookup struct {
	names      []string
	index      *owner.Index
	hasServers bool              // the hub lists servers
	found      [][]owner.Match   // by name, among the hub's users
	former     [][]owner.Match   // by name, among the users that the hub no longer has; nil without a Prometheus
	lastSeen   map[string]string // the days on which former users were last recorded
	notices    []string
}

// accounts returns the users of a hub with their named servers.
func accounts(snapshot *membership.Snapshot, result hub.Result) []owner.User {
	users := make([]owner.User, 0, snapshot.Len())
	for name := range snapshot.Users() {
		users = append(users, owner.User{Name: name, Servers: result.Servers[name]})
	}
	return users
}

// findAll returns, for each name, a match for each user and server that it belongs to.
func findAll(index *owner.Index, names []string) [][]owner.Match {
	found := make([][]owner.Match, len(names))
	for i, name := range names {
		kinds, bare := kindsOf(name)
		matches := index.FindKind(bare, kinds...) // sorted so that the most specific kind comes first
		found[i] = slices.CompactFunc(matches, func(a, b owner.Match) bool { return a.User == b.User && a.Server == b.Server })
	}
	return found
}

// kindsOf returns what a name may be the name of, and the name without the resource that kubectl prints before it.
func kindsOf(name string) ([]owner.Kind, string) {
	resource, bare, hasSlash := strings.Cut(name, "/")
	switch {
	case !hasSlash:
		return owner.Kinds(), name
	case resource == "pod":
		return []owner.Kind{owner.KindPod}, bare
	case resource == "persistentvolumeclaim":
		return []owner.Kind{owner.KindClaim}, bare
	default:
		return []owner.Kind{owner.KindDirectory}, name
	}
}

// addFormer adds the users that the hub no longer has.
func (l *lookup) addFormer(ctx context.Context, o lookupOptions, snapshot *membership.Snapshot) error {
	names, notice, err := formerUsers(ctx, o.recorded, snapshot)
	if err != nil {
		return err
	}
	if notice != "" {
		l.notices = append(l.notices, notice)
	}
	users := make([]owner.User, len(names))
	for i, name := range names {
		users[i].Name = name
	}
	l.former = findAll(owner.NewIndex(users, o.templates), l.names)
	matched := map[string]bool{}
	for _, matches := range l.former {
		for _, m := range matches {
			matched[m.User] = true
		}
	}
	last, err := o.recorded.LastSeen(ctx, slices.Sorted(maps.Keys(matched)))
	if err != nil {
		return err
	}
	l.lastSeen = map[string]string{}
	for user, day := range last {
		l.lastSeen[user] = day.Format(time.DateOnly)
	}
	return nil
}

// warn writes notices about names that belong to several users or to none. It returns an error if any name belongs to none
// or was invalid.
func (l *lookup) warn(errOut io.Writer, rows []lookupRow, invalid int) error {
	var unmatched, collisions []string
	for _, row := range rows {
		switch {
		case row.isUnmatched():
			unmatched = append(unmatched, row.Name)
		case row.Collides && row.first:
			collisions = append(collisions, row.Name)
		}
	}
	slices.Sort(collisions)
	collisions = slices.Compact(collisions)
	if len(collisions) > 0 {
		say(errOut, fmt.Sprintf("names that match several users: %d (%s)", len(collisions), some(collisions)), "")
	}
	for _, name := range unmatched {
		if users := l.possible(name); len(users) > 0 {
			say(errOut, fmt.Sprintf("%s may belong to %s, but its hash fits no server that the hub lists", quote(name), some(users)), "")
		}
	}
	if len(unmatched) > 0 && !l.hasServers {
		say(errOut, "the hub token is missing the scope "+scopes.ReadServers+", so pods and claims of named servers may not be found", "")
	}
	var problems []string
	if len(unmatched) > 0 {
		problems = append(problems, fmt.Sprintf("names that match no user: %d", len(unmatched)))
	}
	if invalid > 0 {
		problems = append(problems, fmt.Sprintf("names that are not UTF-8: %d", invalid))
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, ", "))
	}
	return nil
}

// possible returns the users that a name may belong to although it doesn't prove it.
func (l *lookup) possible(name string) []string {
	kinds, bare := kindsOf(name)
	for _, kind := range kinds {
		if users := l.index.Possible(bare, kind); len(users) > 0 {
			return users
		}
	}
	return nil
}
