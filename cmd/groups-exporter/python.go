package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// pythonOptions are the arguments of the Python exporter that mean something
// else here, as hidden flags. Those with another name only are in normalizeFlag.
type pythonOptions struct {
	allowedGroups bool
	tokenOnLine   bool
	// unused are flags about usage by group, which isn't published.
	unused []string
}

// setter is a flag that is a function.
type setter func(string) error

func (setter) String() string { return "" }

// Set calls it.
func (s setter) Set(text string) error { return s(text) }

// Type is a string, for pflag.
func (setter) Type() string { return "string" }

func (p *pythonOptions) addFlags(cmd *cobra.Command, o *serveOptions) {
	hidden := func(name string, set setter) {
		cmd.Flags().AddFlag(&pflag.Flag{Name: name, Value: set, Hidden: true, Usage: "of the Python exporter"})
	}
	hidden("port", func(text string) error {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return errors.New("it is no port")
		}
		o.listenAddress = fmt.Sprintf(":%d", port)
		return nil
	})
	hidden("double-count", func(text string) error {
		double, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return errors.New("it is neither true nor false")
		}
		o.hub.rules.MultiGroup = membership.Multiple
		if double {
			o.hub.rules.MultiGroup = membership.Both
		}
		return nil
	})
	hidden("allowed-groups", func(text string) error {
		p.allowedGroups = true
		o.hub.rules.Allow = append(o.hub.rules.Allow, text)
		return nil
	})
	hidden("hub-api-token", func(text string) error {
		p.tokenOnLine = true
		o.hub.token = hub.Token(text)
		return nil
	})
	for _, name := range []string{"prometheus-host", "prometheus-port", "update-metrics-interval", "update-dirsize-interval"} {
		hidden(name, func(string) error {
			p.unused = append(p.unused, "--"+strings.ReplaceAll(name, "-", "_"))
			return nil
		})
	}
}

// takeArgs takes the further words of "--allowed_groups a b c".
func (p *pythonOptions) takeArgs(cmd *cobra.Command, args []string, o *serveOptions) error {
	if !p.allowedGroups {
		return needsNoArgs(cmd, args)
	}
	o.hub.rules.Allow = append(o.hub.rules.Allow, args...)
	return nil
}

// warnings say what is not as it was with the Python exporter.
func (p *pythonOptions) warnings() []string {
	var warnings []string
	if p.tokenOnLine {
		warnings = append(warnings, "a token on the command line shows in the process list: use --hub-token-file or JUPYTERHUB_API_TOKEN")
	}
	if len(p.unused) > 0 {
		warnings = append(warnings, "usage by group is not published, so these change nothing: "+strings.Join(p.unused, ", "))
	}
	return warnings
}
