package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The names of bills.
const (
	computeBill = "compute"
	storageBill = "storage"
)

// ParseBills returns the costs of bills, each written like compute=8423.10 or storage=612. The bill for compute is
// split by the measure that splitBy names, which is Memory if it is empty, and the bill for storage by Home. The error
// joins all mistakes.
func ParseBills(texts []string, splitBy string) (*Costs, error) {
	c := &Costs{}
	var mistakes []error
	measure, err := ParseMeasure(cmp.Or(splitBy, Memory.String()))
	if err != nil {
		mistakes = append(mistakes, err)
	}
	measures := map[string]Measure{computeBill: measure, storageBill: Home}
	for _, text := range texts {
		name, amount, ok := strings.Cut(text, "=")
		if !ok {
			mistakes = append(mistakes, fmt.Errorf("%q is not a bill: write it like compute=8423.10", text))
			continue
		}
		measure, known := measures[name]
		cents, err := parseCents(amount)
		switch {
		case !known:
			mistakes = append(mistakes, fmt.Errorf("unknown bill %q: it must be %s or %s", name, computeBill, storageBill))
		case err != nil:
			mistakes = append(mistakes, fmt.Errorf("the bill for %s: %w", name, err))
		case c.hasBill(name):
			mistakes = append(mistakes, fmt.Errorf("there are two bills for %s", name))
		default:
			c.bills = append(c.bills, bill{name, measure, cents})
		}
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return c, nil
}

func (c *Costs) hasBill(name string) bool {
	return slices.ContainsFunc(c.bills, func(b bill) bool { return b.name == name })
}
