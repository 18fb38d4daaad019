package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
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

// PricesError is a mistake in a price file.
type PricesError struct {
	Line    int
	Mistake string
}

func (e *PricesError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Mistake) }

// prices is a price file that is being parsed.
type prices struct {
	currency string
	charge   Charge
	prices   map[Measure]*big.Rat
	mistakes []error
}

// ParsePrices returns the costs for the prices in a YAML document. Unless charge is empty, it replaces the one in the
// document. The error joins all mistakes. Those that have a line are of type *PricesError.
func ParsePrices(document []byte, charge Charge) (*Costs, error) {
	root, err := parseYAML(document)
	if err != nil {
		return nil, err
	}
	p := &prices{charge: ChargeMax, prices: map[Measure]*big.Rat{}}
	keys := p.mapping(root, "a price file", map[string]func(*yaml.Node){
		"currency": p.readCurrency, "charge": p.readCharge, "prices": p.readPrices,
	})
	for _, key := range []string{"currency", "prices"} {
		if !keys[key] && root.Kind == yaml.MappingNode {
			p.mistake(root, "%s is missing", key)
		}
	}
	cpu, memory, err := cmp.Or(charge, p.charge).measures()
	if err != nil {
		p.mistakes = append(p.mistakes, err)
	}
	if len(p.mistakes) > 0 {
		return nil, errors.Join(p.mistakes...)
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

// parseYAML returns the root of the only document.
func parseYAML(document []byte) (*yaml.Node, error) {
	var file, another yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	err := decoder.Decode(&file)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the price file is empty")
	}
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&another); !errors.Is(err, io.EOF) {
		return nil, errors.New("a price file must be a single YAML document")
	}
	return file.Content[0], nil
}

func (p *prices) mistake(node *yaml.Node, format string, args ...any) {
	p.mistakes = append(p.mistakes, &PricesError{node.Line, fmt.Sprintf(format, args...)})
}

// mapping calls a function for each key in a mapping, and returns the keys.
func (p *prices) mapping(node *yaml.Node, what string, read map[string]func(*yaml.Node)) map[string]bool {
	keys := map[string]bool{}
	if node.Kind != yaml.MappingNode {
		p.mistake(node, "%s must be a mapping", what)
		return keys
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case read[key.Value] == nil || key.Kind != yaml.ScalarNode:
			p.mistake(key, "unknown key %q", key.Value)
		case keys[key.Value]:
			p.mistake(key, "%s is set twice", key.Value)
		default:
			read[key.Value](value)
		}
		keys[key.Value] = true
	}
	return keys
}

func (p *prices) readCurrency(node *yaml.Node) {
	p.currency = node.Value
	printable := !strings.ContainsFunc(node.Value, func(r rune) bool { return !unicode.IsPrint(r) })
	if node.Kind != yaml.ScalarNode || node.Tag != "!!str" || strings.TrimSpace(node.Value) == "" || !printable {
		p.mistake(node, "currency must be a text such as EUR")
	}
}

func (p *prices) readCharge(node *yaml.Node) {
	charge := Charge(node.Value)
	if _, _, err := charge.measures(); err != nil {
		p.mistake(node, "%s", err)
		return
	}
	p.charge = charge
}

func (p *prices) readPrices(node *yaml.Node) {
	read := map[string]func(*yaml.Node){}
	for _, measure := range Measures() {
		read[measure.String()] = func(node *yaml.Node) { p.readPrice(measure, node) }
	}
	if len(p.mapping(node, "prices", read)) == 0 && node.Kind == yaml.MappingNode {
		p.mistake(node, "prices is empty")
	}
}

// indirect maps measures that can't have a price to the measures whose prices apply to them.
var indirect = map[Measure]Measure{CPURequested: CPU, CPUCharged: CPU, MemoryRequested: Memory, MemoryCharged: Memory}

var infinite = regexp.MustCompile(`(?i)^[-+]?\.(inf|nan)$`)

// readPrice reads the price of a measure, and converts it to cents.
func (p *prices) readPrice(measure Measure, node *yaml.Node) {
	if direct, ok := indirect[measure]; ok {
		p.mistake(node, "%s can't have a price: set the price of %s, and charge to %s, %s or %s",
			measure, direct, ChargeRequested, ChargeUsed, ChargeMax)
		return
	}
	switch isNumber := slices.Contains([]string{"!!int", "!!float"}, node.Tag); {
	case node.Kind != yaml.ScalarNode || !isNumber:
		p.mistake(node, "the price of %s must be a number", measure)
	case infinite.MatchString(node.Value):
		p.mistake(node, "the price of %s must be finite", measure)
	case strings.HasPrefix(node.Value, "-"):
		p.mistake(node, "the price of %s must not be negative", measure)
	case !decimal.MatchString(node.Value):
		p.mistake(node, "the price of %s must be a decimal number such as 0.05", measure)
	default:
		exact, _ := new(big.Rat).SetString(node.Value)
		p.prices[measure] = exact.Mul(exact, big.NewRat(100, 1))
	}
}
