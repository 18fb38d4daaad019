package kubestate

import (
	"math/big"
	"strings"
)

// suffixes are those of Kubernetes' quantities. Ei and E have to be looked for in this order.
var suffixes = []struct {
	suffix       string
	base, digits int64
}{
	{"Ki", 1024, 1}, {"Mi", 1024, 2}, {"Gi", 1024, 3}, {"Ti", 1024, 4}, {"Pi", 1024, 5}, {"Ei", 1024, 6},
	{"n", 1000, -3}, {"u", 1000, -2}, {"m", 1000, -1},
	{"k", 1000, 1}, {"M", 1000, 2}, {"G", 1000, 3}, {"T", 1000, 4}, {"P", 1000, 5}, {"E", 1000, 6},
}

// units returns a quantity, rounded up to a whole number.
func units(quantity string) float64 { return roundUp(parse(quantity)) }

// cores returns a quantity, rounded up to a thousandth.
func cores(quantity string) float64 {
	return roundUp(new(big.Rat).Mul(parse(quantity), big.NewRat(1000, 1))) / 1000
}

// parse returns the value of a quantity that the API server has validated.
func parse(quantity string) *big.Rat {
	factor := big.NewRat(1, 1)
	for _, s := range suffixes {
		number, found := strings.CutSuffix(quantity, s.suffix)
		if !found {
			continue
		}
		power := new(big.Int).Exp(big.NewInt(s.base), big.NewInt(max(s.digits, -s.digits)), nil)
		factor.SetInt(power)
		if s.digits < 0 {
			factor.Inv(factor)
		}
		quantity = number
		break
	}
	value, _ := new(big.Rat).SetString(quantity)
	return value.Mul(value, factor)
}

func roundUp(value *big.Rat) float64 {
	whole, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	rounded, _ := whole.Float64()
	return rounded
}
