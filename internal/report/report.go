package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Dimension is a property by which usage is divided into rows.
type Dimension string

// The dimensions, in the order of their columns.
const (
	ByNamespace Dimension = "namespace"
	ByParent    Dimension = "parent"
	ByGroup     Dimension = "group"
	ByUser      Dimension = "user"
)

// Options configure how a report is made from usage.
type Options struct {
	By          []Dimension
	Attribution usage.Attribution
	// Parent returns the parent of a group, or an empty text for a group without one, which is its own parent. It is
	// needed for ByParent.
	Parent func(group string) string
	// Groups reports whether to show a group. If it is nil, all groups are shown.
	Groups func(group string) bool
	// ShareOf is the measure whose total the column share is a part of.
	ShareOf Measure
	// Spread lists the kinds of usage that are distributed over the rows of groups and of none.
	Spread []Kind
	// MinUsers is the number of active users below which a group is shown as part of Other.
	MinUsers int
	// Costs computes the column cost, or is nil.
	Costs *Costs
}

func (o *Options) by(d Dimension) bool { return slices.Contains(o.By, d) }

// Report is a whole report.
type Report struct {
	// Version is the version of the program.
	Version string
	// Flags are the flags that the report was made with.
	Flags map[string]string
	// Period is the period of all sections, in the time zone of the report.
	Period Period
	// Every is the length of the sections' periods, or empty if there is one section.
	Every Every
	// Namespaces lists the namespaces of the hubs, sorted.
	Namespaces []string
	Options    Options
	Coverage   []Coverage
	// Sections has a section for each period, in the order of time.
	Sections []*Section
	// Trend has a section for each day, or for each period if Every is set, in the order of time. Only HTML needs it.
	Trend []*Section
	// Group is the selected group if Members isn't nil.
	Group string
	// Members has a row for each user of the selected group, without costs. It is nil unless one group is selected and
	// HTML is written.
	Members *Section
	// Queries lists the queries that Prometheus evaluated.
	Queries []string
	// Notes says what a reader has to know about the numbers, such as measures without data.
	Notes []string
}

// Row is a line of a report.
type Row struct {
	// Namespace, Parent, Group and User are set for the dimensions of the report. The group of a pseudo-group is none,
	// unknown, unowned or other, and so is its parent.
	Namespace, Parent, Group, User string
	Kind                           Kind
	Amounts                        Amounts
	// Share is the row's part of the total of Options.ShareOf, from 0 to 1. It is 0 if the total is 0.
	Share float64
	// Rank is the row's position by Share, from 1. It is 0 for pseudo-groups.
	Rank int
	// Cents is the cost.
	Cents Cents
}

// Section is the part of a report for one period.
type Section struct {
	Period Period
	// Rows are sorted by name, and numbers in names by their value. The pseudo-groups none, unknown, unowned and other
	// come last.
	Rows []*Row
	// Total counts all usage once, including that of groups that Options.Groups leaves out. With attribution in full,
	// the rows add up to more. ActiveUsers and Sessions are distinct counts, so those of rows never add up.
	Total *Row
	// Missing lists the measures for which there is no data.
	Missing []Measure
	// Ranked is the number of rows with a rank, including those that Options.Groups leaves out.
	Ranked int
}

// line is a row that is still being computed.
type line struct {
	*Row
	// sums are like Amounts, but with attribution by share they add up to the total: each user and each session is
	// divided equally among its lines.
	sums Amounts
	// leftOut is set if Options.Groups leaves out the row, which has no group.
	leftOut bool
}

// draft is a section that is still being computed.
type draft struct {
	*Section
	lines []*line
}

// NewSections computes a section for each part of a period. It returns an error if the costs can't be computed.
func NewSections(parts []*Uses, o *Options) ([]*Section, error) {
	drafts := make([]*draft, len(parts))
	for i, uses := range parts {
		d := &draft{Section: &Section{Period: uses.Period, Missing: uses.Missing}}
		d.lines, d.Total = aggregate(uses, o)
		d.lines = spread(d.lines, o)
		drafts[i] = d
	}
	if o.Costs != nil {
		if err := o.Costs.charge(drafts, o.Attribution); err != nil {
			return nil, err
		}
	}
	sections := make([]*Section, len(drafts))
	for i, d := range drafts {
		sections[i] = d.finish(o)
	}
	return sections, nil
}

// finish sets the rows of a section.
func (d *draft) finish(o *Options) *Section {
	for _, l := range d.lines {
		if !l.leftOut {
			d.Rows = append(d.Rows, l.Row)
		}
	}
	d.Ranked = rank(d.Rows, d.Total, o.ShareOf)
	if o.Groups != nil && o.by(ByGroup) {
		d.Rows = slices.DeleteFunc(d.Rows, func(row *Row) bool { return !o.Groups(row.Group) })
	}
	return d.Section
}

// rank computes the share and the rank of each row, and returns the number of rows with a rank.
func rank(rows []*Row, total *Row, measure Measure) int {
	if all := total.Amounts[measure]; all > 0 {
		for _, row := range rows {
			row.Share = row.Amounts[measure] / all
		}
		total.Share = 1
	}
	sorted := slices.DeleteFunc(slices.Clone(rows), func(row *Row) bool { return place(row) > 0 })
	slices.SortStableFunc(sorted, func(a, b *Row) int { return cmp.Compare(b.Share, a.Share) })
	for i, row := range sorted {
		row.Rank = i + 1
		if i > 0 && row.Share == sorted[i-1].Share {
			row.Rank = sorted[i-1].Rank
		}
	}
	return len(sorted)
}

// OmitUsers replaces user names with numbers. The user with the largest share is number 1.
func (r *Report) OmitUsers() {
	sections := slices.Clone(r.Sections)
	if r.Members != nil {
		sections = append(sections, r.Members)
	}
	numbers := map[[2]string]string{}
	for _, section := range sections {
		rows := slices.Clone(section.Rows)
		slices.SortStableFunc(rows, func(a, b *Row) int { return cmp.Compare(b.Share, a.Share) })
		for _, row := range rows {
			if row.User == "" || row.Kind == Unowned || row.Kind == Other {
				continue
			}
			user := [2]string{row.Namespace, row.User}
			if numbers[user] == "" {
				numbers[user] = fmt.Sprintf("user %d", len(numbers)+1)
			}
			row.User = numbers[user]
		}
		slices.SortFunc(section.Rows, compareRows) // in the order of names, rows would reveal whose they are
	}
}
