package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
)

// readMemberships reads memberships from a file: the output of dump, or that of groups in CSV, which has no namespace.
// It returns the groups of each user in each namespace.
func (o *reportOptions) readMemberships(name string) (map[string]map[string][]string, error) {
	content, err := os.ReadFile(name) //nolint:gosec // the path comes from the operator
	if err != nil {
		return nil, fmt.Errorf("--memberships: %w", err)
	}
	read := map[string]map[string]map[string]bool{}
	add := func(namespace, user, group string) {
		if read[namespace] == nil {
			read[namespace] = map[string]map[string]bool{}
		}
		if read[namespace][user] == nil {
			read[namespace][user] = map[string]bool{}
		}
		if group != o.noneName && group != "" {
			read[namespace][user][group] = true
		}
	}
	if bytes.HasPrefix(content, []byte("#")) {
		err = o.readDump(content, add)
	} else {
		err = o.readTable(content, add)
	}
	if err == nil && len(read) == 0 {
		err = errors.New("it has no memberships")
	}
	if err != nil {
		return nil, fmt.Errorf("--memberships %s: %w", name, err)
	}
	all := map[string]map[string][]string{}
	for namespace, users := range read {
		all[namespace] = map[string][]string{}
		for user, groups := range users {
			if len(groups) > 1 {
				delete(groups, o.multiple)
			}
			all[namespace][user] = slices.Sorted(maps.Keys(groups))
		}
	}
	return all, nil
}

// readDump reads the memberships in an exposition.
func (o *reportOptions) readDump(content []byte, add func(namespace, user, group string)) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(content))
	if err != nil {
		return err
	}
	for _, metric := range families[metrics.Name(o.prefix.value, metrics.UserGroupInfo)].GetMetric() {
		namespace, user, group := labelOf(metric, metrics.LabelNamespace), labelOf(metric, metrics.LabelUsername), labelOf(metric, metrics.LabelUsergroup)
		if user == "" {
			return errors.New("it has no user names: create it without --usernames=omit")
		}
		if len(o.namespaces) == 0 || slices.Contains(o.namespaces, namespace) {
			add(namespace, user, group)
		}
	}
	return nil
}

func labelOf(metric *dto.Metric, name string) string {
	for _, label := range metric.GetLabel() {
		if label.GetName() == name {
			return label.GetValue()
		}
	}
	return ""
}

// readTable reads rows of groups and users.
func (o *reportOptions) readTable(content []byte, add func(namespace, user, group string)) error {
	if len(o.namespaces) != 1 {
		return errors.New("a table has no namespaces: set the hub's with --namespace")
	}
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		return err
	}
	group, user := -1, -1
	if len(rows) > 0 {
		group, user = slices.Index(rows[0], "group"), slices.Index(rows[0], "username")
	}
	if group < 0 || user < 0 {
		return errors.New("it is neither the output of dump nor a table with the columns group and username, as 'groups -o csv' prints it")
	}
	for _, row := range rows[1:] {
		if row[user] != "" { // empty for a group without members
			add(o.namespaces[0], row[user], row[group])
		}
	}
	return nil
}
