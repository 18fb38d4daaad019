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

// pythonOptions are hidden flags for those arguments of the Python exporter that have other values than the flags of
// serve. normalizeFlag translates the others.
type pythonOptions struct {
	zeros       []string // the flags with an interval of 0 or less
	tokenOnLine bool
	// Without a Prometheus, these have no effect.
	prometheusHost, prometheusPort string
	usageInterval, homeDirInterval time.Duration
}

// normalizeFlag replaces "_" by "-" in the name of a flag, and the name of an argument of the Python exporter by the
// name of the flag with the same meaning.
func normalizeFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	name = strings.ReplaceAll(name, "_", "-")
	renamed := map[string]string{ //nolint:gosec // no credentials, but names of flags
		"allowed-groups":            "allow-group",
		"update-exporter-interval":  "update-info-interval", // in version 1.0.0
		"api-token":                 "hub-api-token",
		"hub-service-prefix":        "web.route-prefix",
		"jupyterhub-namespace":      "namespace",
		"jupyterhub-metrics-prefix": "metrics-prefix",
		"log-level":                 "log.level",
	}
	return pflag.NormalizedName(cmp.Or(renamed[name], name))
}

func (p *pythonOptions) addFlags(cmd *cobra.Command, o *serveOptions) {
	// add adds a hidden flag. It marks serve's own flag with the same meaning as changed, so that no environment variable
	// overrides the argument.
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

// setInterval sets an interval. If it is 0 or less, the default applies. The Python exporter would query the hub
// without a pause.
func (p *pythonOptions) setInterval(name string, interval *time.Duration, text string) error {
	p.zeros = slices.DeleteFunc(p.zeros, func(zero string) bool { return zero == name })
	if seconds, err := strconv.Atoi(text); err == nil && seconds <= 0 {
		*interval, p.zeros = 0, append(p.zeros, name)
		return nil
	}
	return duration{interval}.Set(text)
}

// complete sets what serve's own flags don't set.
func (p *pythonOptions) complete(o *usageOptions, schedules *scheduleOptions) {
	if o.prometheus.address == "" && p.prometheusHost+p.prometheusPort != "" {
		o.prometheus.address = "http://" + net.JoinHostPort(cmp.Or(p.prometheusHost, "localhost"), cmp.Or(p.prometheusPort, "9090"))
	}
	if o.prometheus.address == "" {
		return
	}
	schedules.usage = cmp.Or(schedules.usage, p.usageInterval)
	schedules.homeDirs = cmp.Or(schedules.homeDirs, p.homeDirInterval)
	p.usageInterval, p.homeDirInterval = 0, 0 // nothing to warn of
}

// spreadAllowedGroups replaces "--allowed_groups A B" by a flag for each word. In the Python exporter, this argument
// takes all words that follow, or none.
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

// warnings returns warnings about arguments that don't work as in the Python exporter.
func (p *pythonOptions) warnings() []string {
	var warnings []string
	if p.tokenOnLine {
		warnings = append(warnings, "the token on the command line is visible in the process list: use --hub-token-file or JUPYTERHUB_API_TOKEN")
	}
	if p.usageInterval+p.homeDirInterval > 0 {
		warnings = append(warnings, "usage by group is not published, because neither --prometheus_host nor --prometheus-url is set")
	}
	for _, name := range p.zeros {
		warnings = append(warnings, "--"+strings.ReplaceAll(name, "-", "_")+" is not more than 0: the default applies")
	}
	return warnings
}
