package month

import (
	"slices"
	"time"
)

// Span is a time from From until To, exclusive.
type Span struct{ From, To time.Time }

// Hours returns the length in hours. That of an empty span is 0.
func (s Span) Hours() float64 { return max(0, s.To.Sub(s.From).Hours()) }

// Contains reports whether a moment is in the span.
func (s Span) Contains(t time.Time) bool { return !t.Before(s.From) && t.Before(s.To) }

// and returns the part of the span that is also in another one.
func (s Span) and(other Span) Span {
	if other.From.After(s.From) {
		s.From = other.From
	}
	if other.To.Before(s.To) {
		s.To = other.To
	}
	return s
}

// without returns the parts of a span that are in none of the gaps.
func (s Span) without(gaps []Span) []Span {
	sorted := slices.SortedFunc(slices.Values(gaps), func(a, b Span) int { return a.From.Compare(b.From) })
	var parts []Span
	for _, gap := range sorted {
		if part := s.and(Span{s.From, gap.From}); part.Hours() > 0 {
			parts = append(parts, part)
		}
		if gap.To.After(s.From) {
			s.From = gap.To
		}
	}
	if s.Hours() > 0 {
		parts = append(parts, s)
	}
	return parts
}

// contain reports whether a moment is in one of the spans.
func contain(spans []Span, t time.Time) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return s.Contains(t) })
}
