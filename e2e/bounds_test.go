//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds are what a value may be.
type bounds struct{ low, high float64 }

func (b bounds) plus(other bounds) bounds { return bounds{b.low + other.low, b.high + other.high} }

func (b bounds) times(factor float64) bounds { return bounds{b.low * factor, b.high * factor} }

func (b bounds) wider(by float64) bounds { return bounds{b.low - by, b.high + by} }

// within returns nil if each value is within its bounds, and otherwise an error. A missing value counts as 0.
func within[K comparable](want map[K]bounds, got map[K]float64) error {
	var wrong []string
	for key, b := range want {
		value := got[key]
		if inside := b.low <= value && value <= b.high; !inside { // NaN isn't
			wrong = append(wrong, fmt.Sprintf("%v: got %v, want %v to %v", key, value, b.low, b.high))
		}
	}
	for key, value := range got {
		if _, wanted := want[key]; !wanted {
			wrong = append(wrong, fmt.Sprintf("%v: got %v, want none", key, value))
		}
	}
	if wrong != nil {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}
