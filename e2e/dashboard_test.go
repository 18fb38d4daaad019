//go:build e2e

package e2e

import (
	"errors"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The parts of a dashboard that contain queries.
type dashboard struct {
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
}

type panel struct {
	Title   string
	Panels  []panel // of a row
	Targets []struct{ Expr string }
}

// The panels that show usage, by title.
var usagePanels = map[string]resource{
	"Memory": memory, "CPU": cpu, "Memory requests": memoryRequests, "CPU requests": cpuRequests, "GPU requests": gpuRequests, "GPU slice requests": gpuSliceRequests, "Home directories": homes,
}

// dashboards checks that each query of the dashboard has a result, and that usage is correct for all groups and for one.
func dashboards(t *testing.T, p *prometheus) {
	all, one := [2]string{".*", ".*"}, [2]string{"lab", "robots"} // hub and group
	for _, way := range []struct {
		args string
		how  counting
	}{
		{"", inEach},
		{"--queries=plain", inEach},
		{"--usage-attribution=share", byShare},
		{"--queries=plain --usage-attribution=share", byShare},
	} {
		text := succeed(t, environment(), append([]string{"dashboard"}, strings.Fields(way.args)...)...)
		d := decode[dashboard](t, text)
		shown := map[string]int{}
		for _, panel := range flat(d.Panels) {
			r, isUsage := usagePanels[panel.Title]
			for _, target := range panel.Targets {
				p.hasResult(fill(target.Expr, all))
				if isUsage {
					shown[panel.Title]++
					p.answers(fill(target.Expr, all), r, r.byGroup(way.how))
					want := r.byGroup(way.how)
					maps.DeleteFunc(want, func(key [2]string, _ float64) bool { return key != one })
					p.answers(fill(target.Expr, one), r, want)
				}
			}
		}
		for title := range usagePanels {
			if shown[title] != 1 {
				t.Errorf("dashboard %s: %d queries in the panel %s, want 1", way.args, shown[title], title)
			}
		}
		variables := 0
		for _, variable := range d.Templating.List {
			if variable.Type == "query" {
				variables++
				p.hasValues(fill(variable.Query, all))
			}
		}
		if variables < 2 {
			t.Errorf("dashboard %s: %d variables, want one for the hub and one for the group", way.args, variables)
		}
	}
}

// flat returns the panels, including those inside rows.
func flat(panels []panel) []panel {
	var all []panel
	for _, p := range panels {
		all = append(all, p)
		all = append(all, flat(p.Panels)...)
	}
	return all
}

// fill replaces variables with values, like Grafana.
func fill(expression string, hubAndGroup [2]string) string {
	return strings.NewReplacer(
		"$hub", hubAndGroup[0], "$group", hubAndGroup[1],
		"$__rate_interval", "1m", "$__interval", "1m", "$__range", "5m",
	).Replace(expression)
}

func (p *prometheus) hasResult(expression string) {
	p.t.Helper()
	p.until(expression, 30*time.Second, func() error {
		samples, err := p.query(expression)
		if err == nil && len(samples) == 0 {
			err = errors.New("no result")
		}
		return err
	})
}

var labelValues = regexp.MustCompile(`(?s)^label_values\((.+), (\w+)\)$`)

func (p *prometheus) hasValues(query string) {
	p.t.Helper()
	part := labelValues.FindStringSubmatch(query)
	if part == nil {
		p.t.Errorf("not a label_values query: %s", query)
		return
	}
	p.until(query, 30*time.Second, func() error {
		var values []string
		err := p.request("label/"+part[2]+"/values", url.Values{"match[]": {part[1]}}, &values)
		if err == nil && len(values) == 0 {
			err = errors.New("no values")
		}
		return err
	})
}
