package report

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Cents is an amount of money in hundredths of a currency.
type Cents int64

// String returns the amount with two decimals, such as 12345.67.
func (c Cents) String() string {
	sign, whole := "", uint64(c)
	if c < 0 {
		sign, whole = "-", -whole
	}
	return fmt.Sprintf("%s%d.%02d", sign, whole/100, whole%100)
}

// decimal matches a number like 8423.10. It allows no exponent and no leading zeros, because YAML 1.1 reads those as
// octal.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// parseCents returns an amount of money like 8423.10.
func parseCents(text string) (Cents, error) {
	switch {
	case strings.HasPrefix(text, "-"):
		return 0, fmt.Errorf("%q is negative", text)
	case !decimal.MatchString(text):
		return 0, fmt.Errorf("%q is not an amount of money: write it like 8423.10", text)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > 2 {
		return 0, fmt.Errorf("%q has more than two decimals", text)
	}
	cents, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return Cents(cents), nil
}

// round returns an exact number of cents, rounded half up.
func round(exact *big.Rat) (Cents, error) {
	half := new(big.Rat).Add(exact, big.NewRat(1, 2))
	whole := new(big.Int).Div(half.Num(), half.Denom())
	if !whole.IsInt64() {
		return 0, errors.New("the cost is too large to be counted in cents")
	}
	return Cents(whole.Int64()), nil
}

// apportion rounds exact numbers of cents so that they add up to a total, which is their exact sum rounded up or down.
// It rounds up the numbers with the largest remainders. If remainders are equal, the first ones are rounded up.
func apportion(total Cents, exact []*big.Rat) []Cents {
	cents, remainders := make([]Cents, len(exact)), make([]*big.Rat, len(exact))
	order := make([]int, len(exact))
	for i, e := range exact {
		whole := new(big.Int).Div(e.Num(), e.Denom())
		cents[i] = Cents(whole.Int64())
		remainders[i] = new(big.Rat).Sub(e, new(big.Rat).SetInt(whole))
		order[i] = i
		total -= cents[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return remainders[b].Cmp(remainders[a]) })
	for _, i := range order[:total] {
		cents[i]++
	}
	return cents
}

func sum(numbers []*big.Rat) *big.Rat {
	all := new(big.Rat)
	for _, n := range numbers {
		all.Add(all, n)
	}
	return all
}
