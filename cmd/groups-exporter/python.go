package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// pythonOptions are the arguments of the Python exporter that mean something
// else here, as hidden flags. normalizeFlag knows those that have another name only.
type pythonOptions struct {
	tokenOnLine bool
	// Of the Prometheus that is asked for usage; there was no way not to ask one.
	prometheusHost, prometheusPort string
	usageInterval, homeDirInterval time.Duration
}

// normalizeFlag makes "_" and "-" the same in flags' names, and gives those of
// the Python exporter the names that they have here. Those that mean something
// else here are hidden flags of serve.
func normalizeFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	name = strings.ReplaceAll(name, "_", "-")
	switch name {
	case "allowed-groups":
		name = "allow-group"
	case "update-info-interval":
		name = "refresh-interval"
	case "hub-service-prefix":
		name = "web.route-prefix"
	case "jupyterhub-namespace":
		name = "namespace"
	case "jupyterhub-metrics-prefix":
		name = "metrics-prefix"
	case "log-level":
		name = "log.level"
	}
	return pflag.NormalizedName(name)
}

func (p *pythonOptions) addFlags(cmd *cobra.Command, o *serveOptions) {
	// add adds a hidden flag that says the same as one of serve's own. So the environment can't set that one.
	add := func(name, own string, set func(string) error) {
		flags := cmd.Flags()
		flags.Func(name, "", func(text string) error {
			flags.Lookup(own).Changed = flags.Changed(own) || text != ""
			return set(text)
		})
		flags.Lookup(name).Hidden = true
	}
	add("port", "web.listen-address", func(text string) error {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return errors.New("it must be a port")
		}
		o.web.listenAddress = fmt.Sprintf(":%d", port)
		return nil
	})
	add("double-count", "multi-group", func(text string) error {
		switch strings.ToLower(text) {
		case "true":
			o.hub.rules.MultiGroup = membership.Both
		case "false":
			o.hub.rules.MultiGroup = membership.Multiple
		default:
			return errors.New("it must be true or false")
		}
		return nil
	})
	add("hub-api-token", "hub-token-file", func(text string) error {
		p.tokenOnLine = true
		o.hub.token = hub.NewToken(text)
		return nil
	})
	add("prometheus-host", "prometheus-url", func(text string) error { p.prometheusHost = text; return nil })
	add("prometheus-port", "prometheus-url", func(text string) error { p.prometheusPort = text; return nil })
	add("update-metrics-interval", "usage-interval", duration{&p.usageInterval}.Set)
	add("update-dirsize-interval", "usage-home-dir-interval", duration{&p.homeDirInterval}.Set)
}

// complete fills in what serve's own flags leave open.
func (p *pythonOptions) complete(o *usageOptions, schedules *scheduleOptions) {
	if o.prometheus.address == "" && p.prometheusHost+p.prometheusPort != "" {
		o.prometheus.address = "http://" + net.JoinHostPort(cmp.Or(p.prometheusHost, "localhost"), cmp.Or(p.prometheusPort, "9090"))
	}
	if o.prometheus.address == "" {
		return
	}
	schedules.usage = cmp.Or(schedules.usage, p.usageInterval)
	schedules.homeDirs = cmp.Or(schedules.homeDirs, p.homeDirInterval)
	p.usageInterval, p.homeDirInterval = 0, 0 // they have an effect
}

// spreadAllowedGroups makes one flag a word of "--allowed_groups A B", which in
// the Python exporter takes as many words as follow, also none.
func spreadAllowedGroups(args []string) []string {
	spread := []string{}
	taking := false
	for i, arg := range args {
		switch {
		case arg == "--":
			return append(spread, args[i:]...)
		case arg == "--allowed_groups" || arg == "--allowed-groups":
			taking = true
		case taking && !strings.HasPrefix(arg, "-"):
			spread = append(spread, "--allowed-groups="+arg)
		default:
			taking = false
			spread = append(spread, arg)
		}
	}
	return spread
}

// warnings say what is not as it was with the Python exporter.
func (p *pythonOptions) warnings() []string {
	var warnings []string
	if p.tokenOnLine {
		warnings = append(warnings, "a token on the command line shows in the process list: use --hub-token-file or JUPYTERHUB_API_TOKEN")
	}
	if p.usageInterval+p.homeDirInterval > 0 {
		warnings = append(warnings, "usage by group is not published: there is no --prometheus_host, and no --prometheus-url")
	}
	return warnings
}
