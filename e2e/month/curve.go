package month

import "time"

// Curve is an amount over time. It is linear between its points, and constant after the last one.
type Curve []Point

// Point is an amount, and the time from the beginning of the curve to it. The first point of a curve is at 0.
type Point struct {
	After  time.Duration
	Amount float64
}

// Constant returns a curve that stays the same.
func Constant(amount float64) Curve { return Curve{{0, amount}} }

// Line returns a curve from one amount to another.
func Line(from, to float64, in time.Duration) Curve { return Curve{{0, from}, {in, to}} }

// At returns the amount at a time.
func (c Curve) At(after time.Duration) float64 {
	for i := 1; i < len(c); i++ {
		if after < c[i].After {
			return c[i-1].Amount + c.slope(i)*(after-c[i-1].After).Hours()
		}
	}
	return c[len(c)-1].Amount
}

// slope returns how much the amount grows in an hour before a point.
func (c Curve) slope(i int) float64 {
	return (c[i].Amount - c[i-1].Amount) / (c[i].After - c[i-1].After).Hours()
}

// until returns the integral of the curve from its beginning, in amounts times hours.
func (c Curve) until(after time.Duration) float64 {
	sum := 0.0
	for i, point := range c {
		if after <= point.After {
			break
		}
		end := after
		if i+1 < len(c) {
			end = min(end, c[i+1].After)
		}
		sum += (point.Amount + c.At(end)) / 2 * (end - point.After).Hours()
	}
	return sum
}

// Within returns the integral over a span, for a curve that begins at some moment.
func (c Curve) Within(span Span, begin time.Time) float64 {
	return c.until(span.To.Sub(begin)) - c.until(span.From.Sub(begin))
}
