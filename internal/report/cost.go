package report

import (
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Costs computes what rows cost. Make it with ParsePrices or ParseBills.
type Costs struct {
	// Currency is the unit of the costs. ParseBills leaves it empty.
	Currency string
	// prices maps measures to their prices, in cents per unit.
	prices map[Measure]*big.Rat
	bills  []bill
}

// bill is an amount of money that is split in proportion to a measure.
type bill struct {
	name    string
	measure Measure
	cents   Cents
}

// Measures returns the measures that costs depend on, in the order of their columns.
func (c *Costs) Measures() []Measure {
	return slices.DeleteFunc(Measures(), func(m Measure) bool {
		return c.prices[m] == nil && !slices.ContainsFunc(c.bills, func(b bill) bool { return b.measure == m })
	})
}

// Validate returns an error if costs can't be computed with an attribution.
func (c *Costs) Validate(attribution usage.Attribution) error {
	if attribution == usage.Full && len(c.bills) > 0 {
		return errors.New("a bill can't be split with attribution full: the parts wouldn't add up to it")
	}
	return nil
}

// charge sets the cost of each line and of each total. The totals add up to the cost of the whole period, and to the
// bills. With attribution by share, the lines of each section add up to its total. If remainders are equal, the first
// lines are rounded up.
func (c *Costs) charge(drafts []*draft, attribution usage.Attribution) error {
	if err := c.Validate(attribution); err != nil {
		return err
	}
	prices, err := c.effectivePrices(drafts)
	if err != nil {
		return err
	}
	exact := make([]*big.Rat, len(drafts))
	for i, d := range drafts {
		exact[i] = cost(&d.Total.Amounts, prices)
	}
	total, err := round(sum(exact))
	if err != nil {
		return err
	}
	for i, cents := range apportion(total, exact) {
		drafts[i].Total.Cents = cents
		if err := drafts[i].charge(exact[i], prices, attribution); err != nil {
			return err
		}
	}
	return nil
}

// charge sets the cost of each line of a section with an exact cost in cents.
func (d *draft) charge(exact *big.Rat, prices map[Measure]*big.Rat, attribution usage.Attribution) error {
	costs := make([]*big.Rat, len(d.lines))
	for i, l := range d.lines {
		costs[i] = cost(&l.sums, prices)
	}
	if attribution == usage.Full {
		for i, l := range d.lines {
			var err error
			if l.Cents, err = round(costs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if all := sum(costs); all.Sign() > 0 { // it may differ from exact, because amounts are rounded to 53 bits
		factor := new(big.Rat).Quo(exact, all)
		for _, c := range costs {
			c.Mul(c, factor)
		}
	}
	for i, cents := range apportion(d.Total.Cents, costs) {
		d.lines[i].Cents = cents
	}
	return nil
}

// effectivePrices returns the price of each measure in cents. Each bill is divided by the total of its measure.
func (c *Costs) effectivePrices(drafts []*draft) (map[Measure]*big.Rat, error) {
	prices := map[Measure]*big.Rat{}
	var mistakes []error
	for _, measure := range Measures() {
		if price := c.prices[measure]; price != nil {
			prices[measure] = price
			if missing(drafts, measure) {
				mistakes = append(mistakes, fmt.Errorf("%s has a price, but there is no data for it", measure))
			}
		}
	}
	for _, b := range c.bills {
		total := new(big.Rat)
		for _, d := range drafts {
			total.Add(total, exactly(d.Total.Amounts[b.measure]))
		}
		switch {
		case missing(drafts, b.measure):
			mistakes = append(mistakes, fmt.Errorf("cannot split the bill for %s: there is no data for %s", b.name, b.measure))
		case total.Sign() <= 0:
			mistakes = append(mistakes, fmt.Errorf("cannot split the bill for %s: the total of %s is 0", b.name, b.measure))
		default:
			price := new(big.Rat).SetInt64(int64(b.cents))
			price.Quo(price, total)
			if other := prices[b.measure]; other != nil {
				price.Add(price, other)
			}
			prices[b.measure] = price
		}
	}
	return prices, errors.Join(mistakes...)
}

// missing reports whether there is no data for a measure in any section.
func missing(drafts []*draft, measure Measure) bool {
	return !slices.ContainsFunc(drafts, func(d *draft) bool { return !slices.Contains(d.Missing, measure) })
}

// cost returns the exact cost of amounts in cents.
func cost(amounts *Amounts, prices map[Measure]*big.Rat) *big.Rat {
	all := new(big.Rat)
	for measure, price := range prices {
		if amount := amounts[measure]; amount != 0 {
			part := exactly(amount)
			all.Add(all, part.Mul(part, price))
		}
	}
	return all
}

// exactly returns an amount, which is finite, without rounding it.
func exactly(amount float64) *big.Rat { return new(big.Rat).SetFloat64(amount) }
