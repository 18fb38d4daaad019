package report

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/yamlfile"
)

// Charge says what CPU and memory are charged by.
type Charge string

// The values of Charge.
const (
	ChargeRequested Charge = "requested"
	ChargeUsed      Charge = "used"
	ChargeMax       Charge = "max" // the greater of both, for each pod and moment
)

// measures returns the measures to which the prices of CPU and memory apply.
func (c Charge) measures() (cpu, memory Measure, err error) {
	switch c {
	case ChargeRequested:
		return CPURequested, MemoryRequested, nil
	case ChargeUsed:
		return CPU, Memory, nil
	case ChargeMax:
		return CPUCharged, MemoryCharged, nil
	default:
		return 0, 0, fmt.Errorf("charge is %q, but must be %s, %s or %s", c, ChargeRequested, ChargeUsed, ChargeMax)
	}
}

// prices is a price file that is being parsed.
type prices struct {
	yamlfile.Reader
	currency string
	charge   Charge
	prices   map[Measure]*big.Rat
}

// ParsePrices returns the costs for the prices in a YAML document. Unless charge is empty, it replaces the one in the
// document. If the document has mistakes, the error is a *yamlfile.Error with all of them, unless it isn't YAML.
func ParsePrices(document []byte, charge Charge) (*Costs, error) {
	root, err := yamlfile.Parse(document, "price file")
	if err != nil {
		return nil, err
	}
	p := &prices{charge: ChargeMax, prices: map[Measure]*big.Rat{}}
	keys := p.Mapping(root, "a price file", map[string]func(*yaml.Node){
		"currency": p.readCurrency, "charge": p.readCharge, "prices": p.readPrices,
	})
	for _, key := range []string{"currency", "prices"} {
		if !keys[key] && root.Kind == yaml.MappingNode {
			p.Problem(root, "%s is missing", key)
		}
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	cpu, memory, err := cmp.Or(charge, p.charge).measures()
	if err != nil {
		return nil, err
	}
	c := &Costs{Currency: p.currency, prices: map[Measure]*big.Rat{}}
	for measure, price := range p.prices {
		switch measure {
		case CPU:
			measure = cpu
		case Memory:
			measure = memory
		}
		c.prices[measure] = price
	}
	return c, nil
}

func (p *prices) readCurrency(node *yaml.Node) {
	p.currency = node.Value
	printable := !strings.ContainsFunc(node.Value, func(r rune) bool { return !unicode.IsPrint(r) })
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" || strings.TrimSpace(node.Value) == "" || !printable {
		p.Problem(node, "currency must be a text such as EUR")
	}
}

func (p *prices) readCharge(node *yaml.Node) {
	charge := Charge(node.Value)
	if _, _, err := charge.measures(); err != nil {
		p.Problem(node, "%s", err)
		return
	}
	p.charge = charge
}

func (p *prices) readPrices(node *yaml.Node) {
	read := map[string]func(*yaml.Node){}
	for _, measure := range Measures() {
		read[measure.String()] = func(node *yaml.Node) { p.readPrice(measure, node) }
	}
	if len(p.Mapping(node, "prices", read)) == 0 && node.Kind == yaml.MappingNode {
		p.Problem(node, "prices is empty")
	}
}

// indirect maps measures that can't have a price to the measures whose prices apply to them.
var indirect = map[Measure]Measure{CPURequested: CPU, CPUCharged: CPU, MemoryRequested: Memory, MemoryCharged: Memory}

var infinite = regexp.MustCompile(`(?i)^[-+]?\.(inf|nan)$`)

// readPrice reads the price of a measure, and converts it to cents.
func (p *prices) readPrice(measure Measure, node *yaml.Node) {
	if direct, ok := indirect[measure]; ok {
		p.Problem(node, "%s can't have a price: set the price of %s, and charge to %s, %s or %s",
			measure, direct, ChargeRequested, ChargeUsed, ChargeMax)
		return
	}
	switch isNumber := slices.Contains([]string{"!!int", "!!float"}, node.Tag); {
	case node.Kind != yaml.ScalarNode || !isNumber:
		p.Problem(node, "the price of %s must be a number", measure)
	case infinite.MatchString(node.Value):
		p.Problem(node, "the price of %s must be finite", measure)
	case strings.HasPrefix(node.Value, "-"):
		p.Problem(node, "the price of %s must not be negative", measure)
	case !decimal.MatchString(node.Value):
		p.Problem(node, "the price of %s must be a decimal number such as 0.05", measure)
	default:
		exact, _ := new(big.Rat).SetString(node.Value)
		p.prices[measure] = exact.Mul(exact, big.NewRat(100, 1))
	}
}
