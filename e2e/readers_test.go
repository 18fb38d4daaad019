//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// The queries of other projects for memberships, with each mode of --multi-group, as in the table on the migration page.
// Ada is in two groups.
func TestReaders(t *testing.T) {
	t.Parallel()
	const migratePage = "../docs/how-to/migrate.md"
	page := read(t, migratePage)
	each, multiple, both := []string{"bio", "chem"}, []string{"multiple"}, []string{"bio", "chem", "multiple"}
	full := map[string]int{"bio": 127, "chem": 120}
	without := map[string]int{"bio": 7}
	inMultiple := map[string]int{"bio": 7, "multiple": 120}
	inOther := map[string]int{"bio": 7, "other": 120}
	const fails = "found duplicate series"
	if !strings.Contains(page, "`"+fails) {
		t.Errorf("%s doesn't quote %q", migratePage, fails)
	}
	for _, test := range []struct {
		query                       string
		each, multiple, both, other map[string]int // nil if the query fails
	}{
		{"grafana-dashboards-memory", full, without, full, inOther},
		{"grafana-dashboards-home", full, without, full, inOther},
		{"usage-quotas", nil, inMultiple, nil, inOther},
		{"python-exporter", nil, inMultiple, nil, inOther},
	} {
		text := read(t, filepath.Join("testdata/readers", test.query+".promql"))
		query := strings.NewReplacer("$hub_name", ".*", "$user_group", ".*").Replace(text)
		for _, mode := range []struct {
			name   string
			groups []string
			want   map[string]int
		}{
			{"each", each, test.each}, {"multiple", multiple, test.multiple}, {"both", both, test.both},
			{"multiple --multiple-name other", []string{"other"}, test.other},
		} {
			for _, version := range prometheusVersions {
				output, err := evaluate(t, version, query, mode.groups, mode.want)
				if failed := strings.Contains(output, fails); failed != (mode.want == nil) || mode.want != nil && err != nil {
					t.Errorf("%s with --multi-group %s, Prometheus %s: %v\n%s", test.query, mode.name, version, err, output)
				}
			}
		}
	}
}
