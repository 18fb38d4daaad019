package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/groups-exporter/groups-exporter/internal/report"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// costOptions are the flags for costs.
type costOptions struct {
	prices   string
	charge   report.Charge
	bills    []string
	shareOf  string
	currency string
}

func (o *costOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.prices, "prices", "", "YAML `file` with a price for each measure")
	addChoice(cmd, &o.charge, "charge", "what the prices of memory and CPU apply to", report.ChargeRequested, report.ChargeUsed, report.ChargeMax)
	flags.StringArrayVar(&o.bills, "bill", nil, "split a `bill` like compute=8423.10 or storage=612 (repeatable)")
	flags.StringVar(&o.shareOf, "bill-by", "", "`measure` of the share and the bill for compute (default memory_gib_hours)")
	flags.StringVar(&o.currency, "currency", "", "`currency` of the bills")
	var names []string
	for _, measure := range report.Measures() {
		names = append(names, measure.String())
	}
	completeWords(cmd, "bill-by", names)
}

// complete returns how costs are computed, or nil.
func (o *costOptions) complete(attribution usage.Attribution) (costs *report.Costs, err error) {
	switch {
	case o.prices != "" && len(o.bills) > 0:
		return nil, usagef("--prices and --bill exclude each other")
	case o.charge != "" && o.prices == "":
		return nil, usagef("--charge needs --prices")
	case o.currency != "" && len(o.bills) == 0:
		return nil, usagef("--currency needs --bill: with --prices, the file names the currency")
	case o.prices != "":
		document, err := os.ReadFile(o.prices)
		if err != nil {
			return nil, fmt.Errorf("--prices: %w", err)
		}
		if costs, err = report.ParsePrices(document, o.charge); err != nil {
			return nil, usagef("--prices %s: %w", o.prices, inOneLine(err))
		}
	case len(o.bills) > 0:
		if costs, err = report.ParseBills(o.bills, o.shareOf); err != nil {
			return nil, &usageError{inOneLine(err)}
		}
		costs.Currency = o.currency
	default:
		return nil, nil
	}
	if err := costs.Validate(attribution); err != nil {
		return nil, &usageError{err}
	}
	return costs, nil
}

// inOneLine returns joined errors with semicolons between them.
func inOneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// isCharged reports whether costs depend on the greater of usage and requests.
func isCharged(costs *report.Costs) bool {
	return costs != nil && slices.ContainsFunc(costs.Measures(), func(m report.Measure) bool {
		return m == report.CPUCharged || m == report.MemoryCharged
	})
}
