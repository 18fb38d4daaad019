package history

import (
	"slices"
	"time"
)

// The functions in this file take and return windows that are sorted by time and don't overlap.

// without returns the parts of a window that aren't in the others.
func without(w window, others []window) []window {
	var parts []window
	from := w.from
	for _, other := range intersection([]window{w}, others) {
		parts = appendWindow(parts, window{from, other.from})
		from = other.to
	}
	return appendWindow(parts, window{from, w.to})
}

// subtract returns the parts of windows that aren't in the others.
func subtract(windows, others []window) []window {
	var parts []window
	for _, w := range windows {
		parts = append(parts, without(w, others)...)
	}
	return parts
}

// withoutShort returns windows without those up to a length that begin or end where one of others does.
func withoutShort(windows, others []window, most time.Duration) []window {
	var long []window
	for _, w := range windows {
		touch := slices.ContainsFunc(others, func(other window) bool { return other.to == w.from || other.from == w.to })
		if w.length() > most || !touch {
			long = append(long, w)
		}
	}
	return long
}

// intersection returns the times that are in windows of both.
func intersection(a, b []window) []window {
	var common []window
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].from, b[0].from), min(a[0].to, b[0].to); from < to {
			common = append(common, window{from, to})
		}
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return common
}

// union returns the times that are in windows of either.
func union(a, b []window) []window {
	var all []window
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].from <= b[0].from {
			all, a = appendWindow(all, a[0]), a[1:]
		} else {
			all, b = appendWindow(all, b[0]), b[1:]
		}
	}
	return all
}
