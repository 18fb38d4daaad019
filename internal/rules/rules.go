// Package rules writes rule files for Prometheus: recording rules for usage by group, and alerts on the exporter. The
// names come from the packages metrics and promql.
package rules

import (
	"io"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/groups-exporter/groups-exporter/internal/promql"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

// Group is a group of rules, which Prometheus evaluates one after another.
type Group struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval,omitempty"`
	Rules    []Rule         `yaml:"rules"`
}

// Rule is a recording rule or an alert.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         model.Duration    `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Write writes a rule file with the groups. They are evaluated at the interval, or at the default interval of
// Prometheus if it is 0.
func Write(w io.Writer, interval time.Duration, groups ...Group) error {
	for i := range groups {
		groups[i].Interval = model.Duration(interval)
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string][]Group{"groups": groups}); err != nil {
		return err
	}
	return encoder.Close()
}

// Recording returns the recording rules: first for the owners of pods, then for the usage of each resource by user, and
// then by group, in full and by share. The order matters, because Prometheus evaluates the rules of a group one after
// another.
func Recording(q promql.Queries) Group {
	g := Group{Name: "groups-exporter-usage"}
	g.Rules = append(g.Rules,
		Rule{Record: promql.RecordedOwners, Expr: q.Owners()},
		Rule{Record: promql.RecordedPodUsers, Expr: q.PodUsers(q.OfHubs(promql.RecordedOwners))})
	for _, resource := range usage.Resources() {
		expr := q.ByUser(resource)
		if resource != usage.HomeDir {
			expr = q.ByRecordedUser(resource)
		}
		byUser := promql.RecordedByUser(resource)
		g.Rules = append(g.Rules, Rule{Record: byUser, Expr: expr})
		for _, share := range []bool{false, true} {
			g.Rules = append(g.Rules, Rule{
				Record: promql.RecordedByGroup(resource, share),
				Expr:   q.ByGroup(q.OfHubs(byUser), share),
			})
		}
	}
	return g
}
