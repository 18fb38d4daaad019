// Package report computes what each group and each user used in a period, and what it cost. It is pure: its input is
// the usage that package history read, and its output is a Report that package cmd prints.
package report

import (
	"fmt"
	"slices"
)

// Measure is a quantity that a report contains.
type Measure int

// The measures, in the order of their columns.
const (
	ActiveUsers     Measure = iota // distinct users with a running server
	Sessions                       // distinct servers that ran
	ServerHours                    // hours in which servers ran
	CPU                            // CPU time in core hours
	CPURequested                   // requested cores times hours
	CPUCharged                     // the greater of requested and used, for each pod and moment
	Memory                         // working set in GiB hours
	MemoryRequested                // requested GiB times hours
	MemoryCharged                  // the greater of requested and used, for each pod and moment
	GPU                            // requested whole GPUs times hours
	GPUSlices                      // requested parts of GPUs times hours
	Home                           // size of home directories in GiB months

	measures // their number
)

func (m Measure) String() string {
	return [...]string{
		"active_users", "sessions", "server_hours", "cpu_core_hours", "cpu_requested_core_hours", "cpu_charged_core_hours",
		"memory_gib_hours", "memory_requested_gib_hours", "memory_charged_gib_hours", "gpu_hours", "gpu_slice_hours", "home_gib_months",
	}[m]
}

// Measures returns all measures in the order of their columns.
func Measures() []Measure {
	all := make([]Measure, measures)
	for i := range all {
		all[i] = Measure(i)
	}
	return all
}

// ParseMeasure returns the measure with a name.
func ParseMeasure(name string) (Measure, error) {
	for _, measure := range Measures() {
		if measure.String() == name {
			return measure, nil
		}
	}
	return 0, fmt.Errorf("unknown measure %q", name)
}

// Amounts holds an amount of each measure, in the unit that the measure's name ends with.
type Amounts [measures]float64

// Add adds a fraction of other amounts. The results for ActiveUsers and Sessions make no sense, because these are
// distinct counts.
func (a *Amounts) Add(other *Amounts, part float64) {
	for measure, amount := range other {
		a[measure] += amount * part
	}
}

// Kind says whose usage an amount is.
type Kind int

// The kinds.
const (
	Known   Kind = iota // usage of a user whose groups are known
	Unknown             // usage of pods whose owner had no membership at that time
	Unowned             // usage of directories that belong to nobody
	Other               // usage of groups that are too small to be shown
)

// String returns the name of the pseudo-group. Known has none.
func (k Kind) String() string { return [...]string{"", "unknown", "unowned", "other"}[k] }

// Use is what one user used while the user's groups stayed the same.
type Use struct {
	Namespace string
	// User is the user's name. For Unknown it is the owner of the pods, for Unowned the directory.
	User string
	Kind Kind
	// Groups are the user's groups at that time, sorted. A user in no group has none.
	Groups []string
	// Amounts holds what was used. ActiveUsers and Sessions are 0, and Home is in GiB hours.
	Amounts Amounts
	// Sessions identifies the servers that ran.
	Sessions []string
}

// Uses is what was used in a period.
type Uses struct {
	Period Period
	Uses   []*Use
	// HomeHours is the time in hours for which the sizes of directories are known, by namespace.
	HomeHours map[string]float64
	// Missing lists the measures for which there is no data at all. Their amounts aren't 0 but unknown.
	Missing []Measure
}

// monthsPerHour returns factors by namespace. They convert the GiB hours of home directories to the mean size times the
// length of the period in months.
func (u *Uses) monthsPerHour() map[string]float64 {
	months := u.Period.Months()
	factors := map[string]float64{}
	for namespace, hours := range u.HomeHours {
		if hours > 0 {
			factors[namespace] = months / hours
		}
	}
	return factors
}

// Merge joins the usage of consecutive periods. A measure is missing if it is missing in all of them.
func Merge(parts []*Uses) *Uses {
	whole := &Uses{
		Period: Period{parts[0].Period.From, parts[len(parts)-1].Period.To}, Missing: slices.Clone(parts[0].Missing),
		HomeHours: map[string]float64{},
	}
	for _, part := range parts {
		whole.Missing = slices.DeleteFunc(whole.Missing, func(m Measure) bool { return !slices.Contains(part.Missing, m) })
		whole.Uses = append(whole.Uses, part.Uses...)
		for namespace, hours := range part.HomeHours {
			whole.HomeHours[namespace] += hours
		}
	}
	return whole
}
