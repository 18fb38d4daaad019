package report

import "time"

// Coverage is the part of a period for which a source has data.
type Coverage struct {
	// Source is the kind of data: memberships, annotations, containers, requests or directories.
	Source string
	// Namespace is the namespace of the hub. It is empty for sources of the whole cluster.
	Namespace string
	// Covered is the fraction of the period with data, from 0 to 1. Gaps that memberships were carried over count as
	// covered.
	Covered float64
	// Gaps lists the times without data, in the order of time.
	Gaps []Gap
}

// Gap is a time without data.
type Gap struct {
	Period Period
	// Carried is set if the last memberships before the gap were used in it.
	Carried bool
}

// Longest returns the length of the longest gap that nothing was carried over.
func (c *Coverage) Longest() time.Duration {
	var longest time.Duration
	for _, gap := range c.Gaps {
		if !gap.Carried {
			longest = max(longest, gap.Period.To.Sub(gap.Period.From))
		}
	}
	return longest
}
