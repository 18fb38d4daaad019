// Package clock measures ages, including the time in which the machine is suspended.
//
// Go's monotonic clock stands still while the machine is suspended, and the wall clock can be set back. So an age
// is measured by both clocks, and the larger result counts.
package clock

import "time"

// Instant is a reading of both clocks.
type Instant struct{ Monotonic, Wall time.Time }

// Now returns the current reading.
func Now() Instant {
	now := time.Now()
	return Instant{Monotonic: now, Wall: now.Round(0)} // Round strips the monotonic reading
}

// Age returns how old the instant is at a later reading.
func (i Instant) Age(now Instant) time.Duration {
	return max(now.Monotonic.Sub(i.Monotonic), now.Wall.Sub(i.Wall))
}
