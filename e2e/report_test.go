//go:build e2e

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groups-exporter/groups-exporter/e2e/month"
)

// Reports of a month with known usage have the right sums, with each version of Prometheus and with VictoriaMetrics.
func TestReport(t *testing.T) {
	t.Parallel()
	m := month.NewOctober()
	blocks := makeBlocks(t, m)
	for _, version := range prometheusVersions {
		t.Run("Prometheus "+version, func(t *testing.T) {
			data := t.TempDir()
			if err := os.CopyFS(data, os.DirFS(blocks)); err != nil {
				t.Fatal(err)
			}
			server := stored(t, version, data)
			if version == prometheusVersions[0] { // an old version, which is slow
				monthReport{by: []string{"namespace", "group", "user"}}.check(t, m, server)
				groupsInThePast(t, m, server)
				return
			}
			reports(t, m, server)
		})
	}
	t.Run("VictoriaMetrics", func(t *testing.T) { reports(t, m, imported(t, m)) })
}

// A report has the sums of a small hub, and sees no gap where no pod runs.
func TestReportOfSmallHub(t *testing.T) {
	t.Parallel()
	m := month.NewSmall()
	for name, server := range map[string]string{
		"Prometheus":      stored(t, prometheusVersions[len(prometheusVersions)-1], makeBlocks(t, m)),
		"VictoriaMetrics": imported(t, m),
	} {
		t.Run(name, func(t *testing.T) {
			got := readReport(t, succeed(t, environment(), "report", "--prometheus-url="+server, "--from=2026-10-05", "--to=2026-10-08",
				"--timezone=Europe/Berlin", "--by=namespace,group,user", "--output=csv"))
			start := month.Small.From.Format(time.RFC3339)
			uses := m.Used(month.Small, month.Small.Hours()/month.October.Hours())
			for key, want := range month.Rows(uses, []string{"namespace", "group", "user"}, false) {
				row := reportKey{start, key}
				compareRows(t, row, m.Case(key.Namespace, key.User), want, got[row])
				delete(got, row)
			}
			for row := range got {
				t.Errorf("got %v, want no such row", row)
			}
		})
	}
}

// makeBlocks returns a directory with the blocks of a month.
func makeBlocks(t *testing.T, m *month.Month) string {
	dir := t.TempDir()
	var group sync.WaitGroup
	for i, block := range m.Blocks(162 * time.Hour) {
		group.Go(func() {
			text := filepath.Join(t.TempDir(), fmt.Sprintf("%d.txt", i))
			file, err := os.Create(text)
			if err != nil {
				t.Error(err)
				return
			}
			defer os.Remove(text)
			if err := m.Write(file, month.OpenMetrics, block); err != nil {
				t.Error(err)
			}
			file.Close()
			promtool := exec.Command(prometheusPrefix+prometheusVersions[0]+"/promtool", "tsdb", "create-blocks-from", "openmetrics",
				"--quiet", "--max-block-duration=162h", text, dir)
			if output, err := promtool.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", promtool, err, output)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return dir
}

// stored starts a Prometheus that has data and scrapes nothing, and returns its URL.
func stored(t *testing.T, version, data string) string {
	url := freeAddress(t)
	dir := write(t, map[string]string{"prometheus.yml": ""})
	p := launch(t, dir, os.Environ(), prometheusPrefix+version+"/prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path="+data,
		"--storage.tsdb.retention.time=10y", "--web.listen-address="+strings.TrimPrefix(url, "http://"))
	p.until("Prometheus is ready", time.Minute, func() error {
		_, err := get(url + "/-/ready")
		return err
	})
	return url
}

// imported starts a VictoriaMetrics, imports the samples of a month, and returns its URL.
func imported(t *testing.T, m *month.Month) string {
	url := freeAddress(t)
	p := launch(t, t.TempDir(), os.Environ(), "victoria-metrics", "-storageDataPath=data", "-retentionPeriod=10y",
		"-httpListenAddr="+strings.TrimPrefix(url, "http://"))
	p.until("VictoriaMetrics is ready", time.Minute, func() error {
		_, err := get(url + "/health")
		return err
	})
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(m.Write(writer, month.Prometheus, m.Span)) }()
	response, err := http.Post(url+"/api/v1/import/prometheus", "text/plain", reader)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("the import returned %s", response.Status)
	}
	for _, path := range []string{"/internal/force_flush", "/internal/resetRollupResultCache"} {
		if _, err := get(url + path); err != nil {
			t.Fatal(err)
		}
	}
	return url
}

// reports checks all reports of a month that come from a server.
func reports(t *testing.T, m *month.Month, url string) {
	all := []string{"namespace", "group", "user"}
	for _, r := range []monthReport{
		{by: all},
		{by: all, full: true},
		{by: []string{"group"}},
		{by: []string{"user"}}, // and by namespace, because a name in two hubs is two users
		{by: []string{"namespace"}},
		{by: all, daily: true},
		{by: all, only: "prod", daily: true},
	} {
		t.Run(r.name(), func(t *testing.T) { r.check(t, m, url) })
	}
	t.Run("JSON", func(t *testing.T) { addUp(t, url) })
	t.Run("gaps", func(t *testing.T) { refusesGaps(t, url) })
	t.Run("groups in the past", func(t *testing.T) { groupsInThePast(t, m, url) })
}

// monthReport is a report of the month.
type monthReport struct {
	by    []string
	only  string // the only namespace
	full  bool   // users in several groups count in full
	daily bool
}

func (r monthReport) name() string {
	name := "by " + strings.Join(r.by, ",")
	if r.only != "" {
		name += " of " + r.only
	}
	if r.full {
		name += " in full"
	}
	if r.daily {
		name += " every day"
	}
	return name
}

func (r monthReport) args() []string {
	args := []string{"--by=" + strings.Join(r.by, ",")}
	if r.only != "" {
		args = append(args, "--namespace="+r.only)
	}
	if r.full {
		args = append(args, "--usage-attribution=full")
	}
	if r.daily {
		args = append(args, "--every=day")
	}
	return args
}

// monthOf returns the arguments for a report of the month.
func monthOf(url string, more ...string) []string {
	return append([]string{"report", "--prometheus-url=" + url, "--month=2026-10", "--timezone=Europe/Berlin"}, more...)
}

// check compares the CSV with the usage in each period.
func (r monthReport) check(t *testing.T, m *month.Month, url string) {
	got := readReport(t, succeed(t, environment(), monthOf(url, append(r.args(), "--output=csv", "--allow-gaps")...)...))
	periods := []month.Span{month.October}
	if r.daily {
		periods = month.Days()
	}
	for _, period := range periods {
		uses := m.Used(period, period.Hours()/month.October.Hours())
		if r.only != "" {
			uses = slices.DeleteFunc(uses, func(use month.Use) bool { return use.Namespace != r.only })
		}
		start := period.From.Format(time.RFC3339)
		by := r.by
		if slices.Contains(by, "user") {
			by = append([]string{"namespace"}, by...)
		}
		for key, want := range month.Rows(uses, by, r.full) {
			row := reportKey{start, key}
			compareRows(t, row, m.Case(key.Namespace, key.User), want, got[row])
			delete(got, row)
		}
	}
	for row, values := range got {
		for column, value := range values {
			if value != 0 && column != "share" {
				t.Errorf("%v: got %s %v, want no such row", row, column, value)
			}
		}
	}
}

// reportKey identifies a row of a report.
type reportKey struct {
	start string
	month.Key
}

// readReport returns the numbers in a CSV by their columns.
func readReport(t *testing.T, text string) map[reportKey]map[string]float64 {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(lines) < 2 {
		t.Fatalf("%d lines of CSV: %v", len(lines), err)
	}
	rows := map[reportKey]map[string]float64{}
	for _, line := range lines[1:] {
		texts, numbers := map[string]string{}, map[string]float64{}
		for i, column := range lines[0] {
			if slices.Contains([]string{"period_start", "period_end", "namespace", "usergroup", "username"}, column) {
				texts[column] = line[i]
			} else if line[i] == "" {
				continue // Prometheus has no such series
			} else if numbers[column], err = strconv.ParseFloat(line[i], 64); err != nil {
				t.Fatalf("%s: %v", column, err)
			}
		}
		key := reportKey{texts["period_start"], month.Key{Namespace: texts["namespace"], Group: texts["usergroup"], User: texts["username"]}}
		if rows[key] != nil {
			t.Errorf("%v: two rows have these labels", key)
		}
		rows[key] = numbers
	}
	return rows
}

// tolerances maps columns to the relative errors that they may have. The default is half a per cent.
var tolerances = map[string]float64{"cpu_core_hours": 0.01, "active_users": 0, "sessions": 0}

func compareRows(t *testing.T, row reportKey, example string, want *month.Row, got map[string]float64) {
	t.Helper()
	columns := maps.Clone(want.Amounts)
	columns["active_users"], columns["sessions"] = float64(len(want.Users)), float64(len(want.Sessions))
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		tolerance, special := tolerances[column]
		if !special {
			tolerance = 0.005
		}
		const rounding = 1e-6
		if amount := columns[column]; math.Abs(got[column]-amount) > tolerance*amount+rounding {
			t.Errorf("%s: %v: got %s %v, want %v", example, row, column, got[column], amount)
		}
	}
	for column, value := range got {
		if _, used := columns[column]; !used && value != 0 && strings.HasSuffix(column, "_hours") && !strings.Contains(column, "_charged_") {
			t.Errorf("%s: %v: got %s %v, want 0", example, row, column, value)
		}
	}
}

// addUp checks that the rows of a report by share add up to its total, and that a repeated report has the same bytes.
func addUp(t *testing.T, url string) {
	args := monthOf(url, "--by=namespace,group,user", "--output=json", "--allow-gaps")
	text := succeed(t, environment(), args...)
	if diff := cmp.Diff(strings.Split(text, "\n"), strings.Split(succeed(t, environment(), args...), "\n")); diff != "" {
		t.Errorf("the second report differs (-first +second)\n%s", diff)
	}
	var report struct {
		Rows, Totals []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Rows) == 0 || len(report.Totals) != 1 {
		t.Fatalf("%d rows and %d totals, want some and one", len(report.Rows), len(report.Totals))
	}
	for column, value := range report.Totals[0] {
		total, number := value.(float64)
		if !number || column == "active_users" || column == "sessions" {
			continue
		}
		sum := 0.0
		for _, row := range report.Rows {
			part, _ := row[column].(float64)
			sum += part
		}
		if rounding := 1e-6 * float64(len(report.Rows)); math.Abs(sum-total) > rounding {
			t.Errorf("the rows of %s add up to %v, want the total %v", column, sum, total)
		}
	}
}

// refusesGaps checks that a report with a day without data is printed only with --allow-gaps.
func refusesGaps(t *testing.T, url string) {
	r := run(t, environment(), "", monthOf(url, "--output=csv")...)
	if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "lab") {
		t.Errorf("exit code %d, %d bytes on standard output, and this on standard error, want 1, none, and the namespace:\n%s",
			r.code, len(r.stdout), r.stderr)
	}
	succeed(t, environment(), monthOf(url, "--output=csv", "--namespace=prod")...)
}
