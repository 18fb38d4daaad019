package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
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
	zeros       []string // the flags whose interval isn't more than 0
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
	case "update-exporter-interval": // in its first release
		name = "update-info-interval"
	case "api-token":
		name = "hub-api-token"
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
		o.web.listenOn = []string{fmt.Sprintf(":%d", port)}
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
	add("default-group", "multi-group", func(text string) error {
		if text == "" {
			return errors.New("it must be a name")
		}
		o.hub.rules.MultiGroup, o.hub.rules.MultipleName = membership.Multiple, text
		cmd.Flags().Lookup("multiple-name").Changed = true
		return nil
	})
	add("hub-api-token", "hub-token-file", func(text string) error {
		p.tokenOnLine = true
		o.hub.token = hub.NewToken(text)
		return nil
	})
	add("prometheus-host", "prometheus-url", func(text string) error { p.prometheusHost = text; return nil })
	add("prometheus-port", "prometheus-url", func(text string) error { p.prometheusPort = text; return nil })
	for _, flag := range []struct {
		name, ours string
		interval   *time.Duration
	}{
		{"update-info-interval", "refresh-interval", &o.schedules.hub},
		{"update-metrics-interval", "usage-interval", &p.usageInterval},
		{"update-dirsize-interval", "usage-home-dir-interval", &p.homeDirInterval},
	} {
		add(flag.name, flag.ours, func(text string) error { return p.setInterval(flag.name, flag.interval, text) })
	}
}

// setInterval sets an interval. The Python exporter also runs with 0 or less, but then it asks
// the hub without a pause, and Prometheus refuses each query. Here the default applies.
func (p *pythonOptions) setInterval(name string, interval *time.Duration, text string) error {
	p.zeros = slices.DeleteFunc(p.zeros, func(zero string) bool { return zero == name })
	if seconds, err := strconv.Atoi(text); err == nil && seconds <= 0 {
		*interval, p.zeros = 0, append(p.zeros, name)
		return nil
	}
	return duration{interval}.Set(text)
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
	for _, name := range p.zeros {
		warnings = append(warnings, "--"+strings.ReplaceAll(name, "-", "_")+" is not more than 0: the default applies")
	}
	return warnings
}
