package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// reportOptions are the flags of report.
type reportOptions struct {
	demo         bool
	period       periodOptions
	by           []report.Dimension
	namespaces   []string
	groups       []string
	excludeUsers []string
	groupMap     groupMapOption

	attribution usage.Attribution
	spread      []pseudoGroup
	minUsers    int
	usernames   usernames
	servers     string
	memberships string
	lookback    time.Duration
	noneName    string
	multiple    string
	prefix      prefixOption
	allowGaps   bool

	costs        costOptions
	output       output
	outputFile   string
	printQueries bool
	prometheus   readerOptions
}

// pseudoGroup is the name of a kind of usage that belongs to no known user.
type pseudoGroup string

func (o *reportOptions) addFlags(cmd *cobra.Command) {
	o.output, o.attribution, o.lookback, o.usernames = outputTable, usage.Share, time.Hour, includeUsernames
	flags := cmd.Flags()
	o.period.addFlags(cmd)
	setHeading(cmd, "Period")
	addChoices(cmd, &o.by, "by", "a row for each of these (default group)", report.ByGroup, report.ByUser, report.ByNamespace, report.ByParent)
	flags.StringArrayVar(&o.namespaces, "namespace", nil, "count only the hub in this `namespace` (repeatable)")
	flags.StringArrayVar(&o.groups, "group", nil, "show only these groups (`glob`, repeatable)")
	flags.StringArrayVar(&o.excludeUsers, "exclude-user", nil, "leave out these users (`glob`, repeatable)")
	flags.VarP(choice[output]{&o.output, reportOutputs()}, "output", "o", "format of the output")
	completeWords(cmd, "output", words(reportOutputs()))
	flags.BoolVar(&o.demo, "demo", false, "report on a made-up month of a built-in sample hub")
	flags.StringVar(&o.outputFile, "output-file", "", "replace this `file` in one step; {period} stands for the period")
	flags.BoolVar(&o.printQueries, "print-queries", false, "print the queries that Prometheus evaluates")
	setHeading(cmd, mainHeading)
	addChoice(cmd, &o.attribution, "usage-attribution", "how a user in several groups counts", usage.Share, usage.Full)
	addChoices(cmd, &o.spread, "spread", "distribute this usage over the groups proportionally", pseudoGroup(report.Unknown.String()), pseudoGroup(report.Unowned.String()))
	flags.IntVar(&o.minUsers, "min-users", 0, "show groups with fewer than `N` active users as one row, other")
	addChoice(cmd, &o.usernames, "usernames", "whether user names are shown", includeUsernames, omitUsernames)
	flags.StringVar(&o.servers, "server-pods", "jupyter-.*", "`regexp` for the whole names of pods that are servers")
	flags.BoolVar(&o.allowGaps, "allow-gaps", false, "print a report even if data is missing")
	setHeading(cmd, "Counting")
	o.costs.addFlags(cmd)
	setHeading(cmd, "Cost")
	flags.StringVar(&o.memberships, "memberships", "", "`file` with memberships to use instead of recorded ones")
	flags.Var(duration{&o.lookback}, "membership-lookback", "how long memberships are carried over a gap")
	flags.StringVar(&o.noneName, "none-name", membership.DefaultNoneName, "`name` that serve has in --none-name")
	flags.StringVar(&o.multiple, "multiple-name", membership.DefaultMultipleName, "`name` that serve has in --multiple-name")
	o.prefix.addFlag(cmd)
	o.groupMap.addFlag(cmd)
	setHeading(cmd, "Memberships")
	o.prometheus.defaultTimeout = 2 * time.Minute // Prometheus' own limit
	o.prometheus.addFlags(cmd)
	setHeading(cmd, "Prometheus")
}

// plan is what to read and how to report it, according to the flags.
type plan struct {
	options history.Options
	whole   report.Period
	report  report.Options
	flags   map[string]string // those that were given
}

func (o *reportOptions) complete(ctx context.Context, getenv func(string) string) (*plan, error) {
	reader, err := o.reader(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkPatterns(slices.Concat(o.groups, o.excludeUsers)); err != nil {
		return nil, err
	}
	if err := o.prefix.complete(getenv); err != nil {
		return nil, err
	}
	servers, err := regexp.Compile("^(?:" + o.servers + ")$")
	if err != nil {
		return nil, usagef("--server-pods is not a regular expression: %w", err)
	}
	if len(o.by) == 0 {
		o.by = []report.Dimension{report.ByGroup}
	}
	if err := o.groupMap.complete(membership.Rules{NoneName: o.noneName, MultipleName: o.multiple}); err != nil {
		return nil, err
	}
	if slices.Contains(o.by, report.ByParent) && !o.groupMap.hasParents() {
		return nil, usagef("--by parent needs --group-map, and parents in the map")
	}
	if o.minUsers < 0 || o.minUsers > 0 && !slices.Contains(o.by, report.ByGroup) {
		return nil, usagef("--min-users needs a number of users, and --by group")
	}
	whole, err := o.period.complete(time.Now())
	if err != nil {
		return nil, err
	}
	queries := reader.Queries
	queries.Prefix = o.prefix.value
	r := &plan{whole: whole}
	if r.report, err = o.options(); err != nil {
		return nil, err
	}
	r.options = history.Options{
		Client: reader.Client, Queries: queries, Namespaces: slices.Clone(o.namespaces),
		IsServer: servers.MatchString, IsExcluded: o.excluded(), GroupMap: o.groupMap.Map,
		None: o.noneName, Multiple: o.multiple, Lookback: o.lookback, Charged: isCharged(r.report.Costs),
	}
	if o.memberships != "" {
		if r.options.Memberships, err = o.readMemberships(o.memberships); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// excluded returns a function that reports whether to leave out a user.
func (o *reportOptions) excluded() func(user string) bool {
	excluded := membership.Globs(o.excludeUsers)
	return func(user string) bool { return excluded(user) || o.groupMap.Map != nil && o.groupMap.Map.Ignores(user) }
}

// reader returns the reader of Prometheus.
func (o *reportOptions) reader(ctx context.Context) (*prometheus.UsageReader, error) {
	if o.demo {
		return demoPrometheus(ctx, o.prometheus.address, o.prometheus.configFile)
	}
	if o.prometheus.address == "" {
		return nil, usagef("report needs --prometheus-url; --demo shows a made-up month")
	}
	return o.prometheus.reader("")
}

// options returns the options that determine how the report is made from what was read.
func (o *reportOptions) options() (options report.Options, err error) {
	options = report.Options{By: o.by, Attribution: o.attribution, MinUsers: o.minUsers, Parent: o.groupMap.parent}
	if len(o.groups) > 0 {
		options.Groups = membership.Globs(o.groups)
	}
	for _, kind := range []report.Kind{report.Unknown, report.Unowned} {
		if slices.Contains(o.spread, pseudoGroup(kind.String())) {
			options.Spread = append(options.Spread, kind)
		}
	}
	if options.ShareOf, err = report.ParseMeasure(cmp.Or(o.costs.shareOf, report.Memory.String())); err != nil {
		return options, usagef("--bill-by: %w", err)
	}
	options.Costs, err = o.costs.complete(o.attribution)
	return options, err
}

func newReportCommand(getenv func(string) string) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Report the usage and the cost of each group in a month",
		Long: `Report what each group used in a period, and what it cost: memory, CPU, GPUs,
storage, active users and sessions, with totals that add up. The command queries
Prometheus and needs no hub: memberships are those that were recorded at the
time of use.

Nothing is printed if Prometheus lacks data for more than 1 % of the period,
unless --allow-gaps is set.

` + exitCodes,
		Example: `  groups-exporter report --demo
  groups-exporter report --prometheus-url http://127.0.0.1:9090
  groups-exporter report --prometheus-url http://127.0.0.1:9090 --month 2026-10 -o csv
  groups-exporter report --prometheus-url http://127.0.0.1:9090 --last 7d --by group,user`,
		Args: needsNoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.complete(cmd.Context(), getenv)
			if err != nil {
				return err
			}
			r.flags = givenFlags(cmd)
			made, err := o.make(cmd.Context(), cmd.ErrOrStderr(), r)
			if err != nil {
				return err
			}
			if o.outputFile == "" {
				return o.write(cmd.OutOrStdout(), made)
			}
			var page bytes.Buffer
			if err := o.write(&page, made); err != nil {
				return err
			}
			return writeFile(cmd.Context(), strings.ReplaceAll(o.outputFile, "{period}", r.whole.Interval()), &page)
		},
	}
	o.addFlags(cmd)
	return cmd
}

// givenFlags returns the flags that determine the content of the report. It omits the address and the credentials of
// Prometheus, and the output file.
func givenFlags(cmd *cobra.Command) map[string]string {
	given := map[string]string{}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "prometheus-url", "prometheus.config.file", "prometheus-timeout", "output", "output-file", "print-queries":
			return
		}
		given[flag.Name] = flag.Value.String()
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			given[flag.Name] = strings.Join(list.GetSlice(), ",")
		}
	})
	return given
}

// make reads Prometheus and makes the report.
func (o *reportOptions) make(ctx context.Context, errOut io.Writer, r *plan) (*report.Report, error) {
	periods := r.whole.Split(o.period.every)
	perDay := o.output == outputHTML && o.period.every == ""
	if perDay {
		periods = r.whole.Split(report.EveryDay) // for the trend
	}
	bar := newProgressBar(errOut)
	r.options.Progress = bar.set
	found, err := history.Read(ctx, r.options, periods)
	bar.remove()
	if err != nil {
		return nil, err
	}
	if err := o.checkCoverage(found.Coverage); err != nil {
		return nil, err
	}
	if len(found.Namespaces) > 1 && slices.Contains(r.report.By, report.ByUser) && !slices.Contains(r.report.By, report.ByNamespace) {
		r.report.By = append(r.report.By, report.ByNamespace) // the same name in two hubs may mean two people
	}
	made := &report.Report{
		Version: versionText(), Flags: r.flags, Period: r.whole, Every: o.period.every, Namespaces: found.Namespaces, Options: r.report,
		Coverage: found.Coverage, Queries: found.Queries, Notes: found.Notes,
	}
	uses := found.Uses
	if perDay {
		uses = []*report.Uses{report.Merge(uses)}
	}
	if made.Sections, err = report.NewSections(uses, &r.report); err != nil {
		return nil, err
	}
	if o.output == outputHTML {
		if err := o.addDetails(made, found.Uses); err != nil {
			return nil, err
		}
	}
	if o.usernames == omitUsernames {
		made.OmitUsers()
	}
	if len(o.groups) > 0 && len(made.Sections) > 0 && !slices.ContainsFunc(made.Sections, func(s *report.Section) bool { return len(s.Rows) > 0 }) {
		hidden := ""
		if o.minUsers > 0 {
			hidden = ", or --min-users hides it"
		}
		return nil, fmt.Errorf("no group that matches %s used anything in this period%s", some(quoteAll(o.groups)), hidden)
	}
	return made, nil
}

// addDetails adds what only HTML shows: the usage of each day and, if the report is about one group, its members.
func (o *reportOptions) addDetails(made *report.Report, days []*report.Uses) (err error) {
	options := made.Options
	options.By, options.Costs, options.MinUsers = []report.Dimension{report.ByGroup}, nil, 0
	if made.Trend, err = report.NewSections(days, &options); err != nil || len(o.groups) != 1 || strings.ContainsAny(o.groups[0], "*?") {
		return err
	}
	options.By = []report.Dimension{report.ByUser}
	members, err := report.NewSections([]*report.Uses{report.Merge(days)}, &options)
	if err == nil {
		made.Group, made.Members = o.groups[0], members[0]
	}
	return err
}

// write writes the report, or the queries that it was made with.
func (o *reportOptions) write(w io.Writer, made *report.Report) error {
	if o.printQueries {
		_, err := io.WriteString(w, strings.Join(made.Queries, "\n\n")+"\n")
		return err
	}
	return writeReport(w, made, o.output)
}

// coverageError is the error if a report would be incomplete.
type coverageError struct{ lacking []report.Coverage }

func (e *coverageError) Error() string {
	// A gap in Prometheus itself is the same for all sources.
	var order, texts []string
	titles := map[string][]string{}
	for _, c := range e.lacking {
		missing := missingPart(c)
		if titles[missing] == nil {
			order = append(order, missing)
		}
		titles[missing] = append(titles[missing], c.Title(quote))
	}
	for _, missing := range order {
		texts = append(texts, some(titles[missing])+" "+missing)
	}
	return "data is missing, so the report would be incomplete: " + strings.Join(texts, "; ")
}

// missingPart says how much of the period a source covers, and what its longest gap is.
func missingPart(c report.Coverage) string {
	gaps := slices.DeleteFunc(slices.Clone(c.Gaps), func(g report.Gap) bool { return g.Carried })
	text := "cover only " + c.Percent() + " of the period"
	if len(gaps) == 0 {
		return text
	}
	longest := slices.MaxFunc(gaps, func(a, b report.Gap) int {
		return cmp.Compare(a.Period.Hours(), b.Period.Hours())
	})
	return text + fmt.Sprintf(" (%s, the longest from %s to %s)", plural(len(gaps), "gap"), moment(longest.Period.From), moment(longest.Period.To))
}

func moment(t time.Time) string { return t.Format("2006-01-02 15:04") }

func (o *reportOptions) checkCoverage(all []report.Coverage) error {
	lacking := slices.DeleteFunc(slices.Clone(all), func(c report.Coverage) bool { return c.Covered >= report.Complete })
	if len(lacking) == 0 || o.allowGaps {
		return nil
	}
	return &coverageError{lacking}
}
