package report

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ColumnKind is what the cells of a column hold.
type ColumnKind int

// The kinds of columns.
const (
	Label    ColumnKind = iota // a namespace, a group or a user
	Amount                     // the amount of a measure
	Share                      // a part of the total
	Cost                       // an amount of money
	Metadata                   // a value that all rows of a section share; only for programs
)

// Column is a column of a report.
type Column struct {
	// Name is the column's name for programs. It ends in the unit.
	Name string
	// Title and Unit are for people. Counts have no unit.
	Title, Unit string
	// Definition says in one sentence what a number is. Columns without numbers have none.
	Definition string
	Kind       ColumnKind
	// Measure is the measure of an Amount.
	Measure Measure
	// Dimension is the dimension of a Label.
	Dimension Dimension

	exact func(*Section, *Row) string
}

// Header returns the title and the unit for people.
func (c *Column) Header() string {
	if c.Unit == "" {
		return c.Title
	}
	return c.Title + " (" + c.Unit + ")"
}

// IsNumber reports whether the cells are numbers.
func (c *Column) IsNumber() bool { return c.Kind == Amount || c.Kind == Share || c.Kind == Cost }

// Exact returns a cell for programs. It is empty for a number without data.
func (c *Column) Exact(s *Section, row *Row) string { return c.exact(s, row) }

// Number returns the value of a cell. It returns false if there is no data.
func (c *Column) Number(s *Section, row *Row) (float64, bool) {
	value, err := strconv.ParseFloat(c.exact(s, row), 64)
	return value, err == nil
}

// Shown returns a cell for people, rounded. Without data, it is a dash.
func (c *Column) Shown(s *Section, row *Row) string {
	exact := c.exact(s, row)
	if !c.IsNumber() {
		return exact
	}
	value, err := strconv.ParseFloat(exact, 64)
	switch {
	case err != nil:
		return "–"
	case c.Kind == Share:
		return Rounded(100*value, 1)
	case c.Kind == Cost:
		return Grouped(exact)
	case c.Unit == "":
		return Rounded(value, 0)
	default:
		return Rounded(value, 1)
	}
}

// Rounded returns a number for people. A positive number that would be rounded to 0 is shown as less than the smallest
// number, such as <0.1.
func Rounded(value float64, decimals int) string {
	smallest := math.Pow10(-decimals)
	if value > 0 && value < smallest/2 {
		return "<" + strconv.FormatFloat(smallest, 'f', decimals, 64)
	}
	return Grouped(strconv.FormatFloat(value, 'f', decimals, 64))
}

// Grouped separates the thousands of a decimal number.
func Grouped(number string) string {
	sign := ""
	if rest, negative := strings.CutPrefix(number, "-"); negative {
		sign, number = "-", rest
	}
	whole, fraction, _ := strings.Cut(number, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return sign + whole
}

// words holds the texts about a measure: its title, its unit, its name in a sentence, and its definition.
type words struct{ title, unit, noun, definition string }

var wordsOf = [measures]words{
	ActiveUsers:     {"Active users", "", "active users", "distinct users with a running server"},
	Sessions:        {"Sessions", "", "sessions", "distinct servers that ran"},
	ServerHours:     {"Server time", "h", "server time", "time in which servers ran: two servers that run for an hour are 2 h"},
	CPU:             {"CPU", "core h", "CPU time", "CPU time used: one busy core for an hour is 1 core h"},
	CPURequested:    {"CPU requested", "core h", "requested CPU", "cores requested by running pods, times hours"},
	CPUCharged:      {"CPU charged", "core h", "charged CPU", "the greater of requested and used cores, for each pod and moment, times hours"},
	Memory:          {"Memory", "GiB h", "memory", "memory in use (working set): 1 GiB for an hour is 1 GiB h"},
	MemoryRequested: {"Memory requested", "GiB h", "requested memory", "memory requested by running pods, times hours"},
	MemoryCharged:   {"Memory charged", "GiB h", "charged memory", "the greater of requested and used memory, for each pod and moment, times hours"},
	GPU:             {"GPU time", "h", "GPU time", "whole GPUs requested by running pods, times hours"},
	GPUSlices:       {"GPU slice time", "h", "GPU slice time", "parts of GPUs (MIG devices and shared GPUs) requested by running pods, times hours"},
	Home:            {"Home", "GiB months", "home directories", "mean size of the home directories, times the length of the period in months"},
}

// Title returns the measure for people, without its unit.
func (m Measure) Title() string { return wordsOf[m].title }

// Unit returns the unit of the measure for people.
func (m Measure) Unit() string { return wordsOf[m].unit }

// Columns returns the columns in order: the period, the dimensions, the measures, the share and the cost.
func (r *Report) Columns() []*Column {
	columns := []*Column{
		{Name: "period_start", Kind: Metadata, exact: func(s *Section, _ *Row) string { return s.Period.From.Format(time.RFC3339) }},
		{Name: "period_end", Kind: Metadata, exact: func(s *Section, _ *Row) string { return s.Period.To.Format(time.RFC3339) }},
	}
	for _, label := range labels() {
		if r.Options.by(label.Dimension) {
			columns = append(columns, label)
		}
	}
	for _, measure := range Measures() {
		if isCharged := measure == CPUCharged || measure == MemoryCharged; isCharged && !charged(r.Options.Costs, measure) {
			continue
		}
		columns = append(columns, amountColumn(measure))
	}
	columns = append(columns, &Column{
		Name: "share", Title: "Share", Unit: "%", Kind: Share,
		Definition: "part of the total of " + r.Options.ShareOf.Noun(),
		exact: func(s *Section, row *Row) string {
			if slices.Contains(s.Missing, r.Options.ShareOf) {
				return ""
			}
			return rounded(row.Share)
		},
	})
	if costs := r.Options.Costs; costs != nil {
		columns = append(columns,
			&Column{
				Name: "cost", Title: "Cost", Unit: costs.Currency, Kind: Cost, Definition: costs.definition(),
				exact: func(_ *Section, row *Row) string { return row.Cents.String() },
			},
			&Column{Name: "currency", Kind: Metadata, exact: func(*Section, *Row) string { return costs.Currency }},
		)
	}
	return columns
}

// definition says how costs are computed.
func (c *Costs) definition() string {
	var parts []string
	for _, m := range c.Measures() {
		if price := c.prices[m]; price != nil {
			exact, _ := new(big.Rat).Quo(price, big.NewRat(100, 1)).Float64()
			what := "each of the " + m.Noun()
			if m.Unit() != "" {
				what = "1 " + strings.TrimSuffix(m.Unit(), "s") + " of " + m.Noun()
			}
			parts = append(parts, strconv.FormatFloat(exact, 'f', -1, 64)+" "+c.Currency+" for "+what)
		}
	}
	for _, b := range c.bills {
		parts = append(parts, fmt.Sprintf("%s for %s, split in proportion to %s", Grouped(b.cents.String()), b.name, b.measure.Noun()))
	}
	return strings.Join(parts, "; ")
}

// charged reports whether costs depend on a measure.
func charged(costs *Costs, measure Measure) bool {
	return costs != nil && slices.Contains(costs.Measures(), measure)
}

func labels() []*Column {
	return []*Column{
		{Name: "namespace", Title: "Namespace", Dimension: ByNamespace, exact: func(_ *Section, row *Row) string { return row.Namespace }},
		{Name: "parent", Title: "Parent", Dimension: ByParent, exact: func(_ *Section, row *Row) string { return row.Parent }},
		{Name: "usergroup", Title: "Group", Dimension: ByGroup, exact: func(_ *Section, row *Row) string { return row.Group }},
		{Name: "username", Title: "User", Dimension: ByUser, exact: func(_ *Section, row *Row) string { return row.User }},
	}
}

func amountColumn(m Measure) *Column {
	return &Column{
		Name: m.String(), Title: wordsOf[m].title, Unit: wordsOf[m].unit, Definition: wordsOf[m].definition, Kind: Amount, Measure: m,
		exact: func(s *Section, row *Row) string {
			if slices.Contains(s.Missing, m) {
				return ""
			}
			return rounded(row.Amounts[m])
		},
	}
}

// HasData reports whether any section has data for a column.
func (r *Report) HasData(c *Column) bool {
	return c.Kind != Amount || slices.ContainsFunc(r.Sections, func(s *Section) bool { return !slices.Contains(s.Missing, c.Measure) })
}

// rounded returns a number with at most six decimals, so that the last bits of a sum don't matter.
func rounded(value float64) string {
	text := strings.TrimRight(strconv.FormatFloat(value, 'f', 6, 64), "0")
	text = strings.TrimSuffix(text, ".")
	if text == "-0" {
		return "0"
	}
	return text
}

// Noun returns the measure's name in a sentence.
func (m Measure) Noun() string { return wordsOf[m].noun }
