package history_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/history"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// series are samples of one series. Their values are 1.
type series struct {
	labels model.Metric
	times  []time.Time
}

// stored is a Prometheus that has some series and evaluates the queries of ReadRecord.
type stored []series

var (
	storedQuery   = regexp.MustCompile(`^(?:(topk|sum|group|count) ?(?:(by|without) \((.*?)\) )?\((?:1, )?)?(\w+_over_time\()?(\w+)(?:\{(.*)\})?(?:\[(\w+)\](?: offset (\w+))?)?\)*$`)
	storedMatcher = regexp.MustCompile(`"?([\w.]+)"?(=~?)("(?:[^"\\]|\\.)*")`)
)

func (s stored) RoundTrip(r *http.Request) (*http.Response, error) { return s.answer(r, 0) }

// prometheus2 includes the start of ranges.
type prometheus2 struct{ stored }

func (s prometheus2) RoundTrip(r *http.Request) (*http.Response, error) {
	return s.answer(r, time.Millisecond)
}

// answer answers a request. Ranges begin a little earlier.
func (s stored) answer(r *http.Request, earlier time.Duration) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	var data any
	if label, found := strings.CutPrefix(r.URL.Path, "/api/v1/label/"); found {
		data = s.values(strings.TrimSuffix(label, "/values"), r.Form["match[]"])
	} else {
		seconds, err := strconv.ParseFloat(r.Form.Get("time"), 64)
		if err != nil {
			return nil, err
		}
		value, err := s.evaluate(r.Form.Get("query"), time.UnixMilli(int64(seconds*1000+0.5)), earlier)
		if err != nil {
			return nil, err
		}
		data = map[string]any{"resultType": value.Type().String(), "result": value}
	}
	w := httptest.NewRecorder()
	if err := json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data}); err != nil {
		return nil, err
	}
	response := w.Result()
	response.ContentLength = int64(w.Body.Len())
	return response, nil
}

// selected returns the series that a selector matches.
func (s stored) selected(metric, matchers string) stored {
	all := stored{}
	matches := map[model.LabelName][]*regexp.Regexp{}
	for _, matcher := range storedMatcher.FindAllStringSubmatch(matchers, -1) {
		value, _ := strconv.Unquote(matcher[3])
		if matcher[2] == "=" {
			value = regexp.QuoteMeta(value)
		}
		label := model.LabelName(matcher[1])
		matches[label] = append(matches[label], regexp.MustCompile("^(?:"+value+")$"))
	}
	for _, one := range s {
		matched := string(one.labels[model.MetricNameLabel]) == metric
		for label, patterns := range matches {
			for _, pattern := range patterns {
				matched = matched && pattern.MatchString(string(one.labels[label]))
			}
		}
		if matched {
			all = append(all, one)
		}
	}
	return all
}

func (s stored) values(label string, selectors []string) []string {
	values := []string{}
	for _, selector := range selectors {
		metric, matchers, _ := strings.Cut(selector, "{")
		for _, one := range s.selected(metric, matchers) {
			values = append(values, string(one.labels[model.LabelName(label)]))
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// evaluate evaluates a query. A union is that of one metric in several ranges.
func (s stored) evaluate(query string, at time.Time, earlier time.Duration) (model.Value, error) {
	if head, union, found := strings.Cut(query, " or "); found {
		aggregation, _, _ := strings.Cut(head, "present_over_time")
		all := map[string]*model.Sample{}
		for part := range strings.SplitSeq(head[len(aggregation):]+" or "+union, " or ") {
			value, err := s.evaluate(aggregation+part, at, earlier)
			if err != nil {
				return nil, err
			}
			for _, one := range value.(model.Vector) {
				all[one.Metric.String()] = one
			}
		}
		return model.Vector(slices.Collect(maps.Values(all))), nil
	}
	parts := storedQuery.FindStringSubmatch(query)
	if parts == nil {
		return nil, fmt.Errorf("can't evaluate %q", query)
	}
	operator, modifier, labels := parts[1], parts[2], strings.Split(parts[3], ", ")
	length := 5 * time.Minute // the lookback of an instant selector
	if parts[7] != "" {
		var err error
		if length, err = time.ParseDuration(parts[7]); err != nil {
			return nil, err
		}
	}
	offset, _ := time.ParseDuration(parts[8])
	from, to := at.Add(-offset-length-earlier), at.Add(-offset)
	matrix, results := model.Matrix{}, map[string]*model.Sample{} // by labels
	for _, one := range s.selected(parts[5], parts[6]) {
		stream := &model.SampleStream{Metric: one.labels}
		for _, t := range one.times {
			if t.After(from) && !t.After(to) {
				stream.Values = append(stream.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(t.UnixNano()), Value: 1})
			}
		}
		if len(stream.Values) == 0 {
			continue
		}
		matrix = append(matrix, stream)
		group := model.Metric{}
		for label, value := range one.labels {
			if label != model.MetricNameLabel && modifier != "" && slices.Contains(labels, string(label)) == (modifier == "by") {
				group[label] = value
			}
		}
		sample := &model.Sample{Metric: group, Value: model.SampleValue(len(stream.Values)), Timestamp: model.TimeFromUnixNano(at.UnixNano())}
		key := group.String()
		switch before := results[key]; {
		case operator == "topk":
			sample.Metric = one.labels.Clone()
			delete(sample.Metric, model.MetricNameLabel)
			if before == nil || before.Value < sample.Value {
				results[key] = sample
			}
		case before == nil:
			results[key] = sample
		default:
			before.Value += sample.Value
		}
	}
	switch {
	case operator == "count":
		return model.Vector{{Metric: model.Metric{}, Value: model.SampleValue(len(matrix)), Timestamp: model.TimeFromUnixNano(at.UnixNano())}}, nil
	case parts[4] == "":
		return matrix, nil
	}
	return model.Vector(slices.Collect(maps.Values(results))), nil
}

// start is when the first samples are.
var start = time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)

// every returns the times between two offsets from the start, from the first one on.
func every(interval, from, to time.Duration) []time.Time {
	var times []time.Time
	for after := from; after < to; after += interval {
		times = append(times, start.Add(after))
	}
	return times
}

// member returns the series of a membership, whose labels may be followed by others.
func member(user, group string, times []time.Time, more ...string) series {
	return labeled("jupyterhub_user_group_info", times, append([]string{"namespace", "prod", "username", user, "usergroup", group}, more...)...)
}

func labeled(metric string, times []time.Time, labels ...string) series {
	s := series{model.Metric{model.MetricNameLabel: model.LabelValue(metric), "job": "groups-exporter"}, times}
	for pair := range slices.Chunk(labels, 2) {
		s.labels[model.LabelName(pair[0])] = model.LabelValue(pair[1])
	}
	return s
}

// readRecord reads the memberships of a namespace, some time after the start.
func readRecord(t *testing.T, server http.RoundTripper, namespace string, after time.Duration) (*history.Record, error) {
	t.Helper()
	return history.ReadRecord(t.Context(), history.RecordOptions{
		Client: clientOf(t, server), Queries: promql.Queries{}, Namespace: namespace, None: "none", Multiple: "multiple",
	}, start.Add(after))
}

const hours, minutes = time.Hour, time.Minute

// The memberships at a time are those of the last scrape before it, for two intervals.
func TestReadRecord(t *testing.T) {
	for name, c := range map[string]struct {
		server stored
		want   map[time.Duration]map[string][]string // nil if memberships aren't known
	}{
		"changes": {
			stored{
				member("ada", "bio", every(minutes, 0, 10*hours)), member("ada", "chem", every(minutes, 3*hours, 10*hours)),
				member("bob", "bio", every(minutes, 0, 3*hours)), member("bob", "none", every(minutes, 3*hours, 10*hours)),
				member("eve", "chem", every(minutes, 0, 5*hours)),
			},
			map[time.Duration]map[string][]string{
				0:                       {"ada": {"bio"}, "bob": {"bio"}, "eve": {"chem"}},
				3*hours - 1:             {"ada": {"bio"}, "bob": {"bio"}, "eve": {"chem"}},
				3 * hours:               {"ada": {"bio", "chem"}, "bob": {}, "eve": {"chem"}},
				5*hours - 1:             {"ada": {"bio", "chem"}, "bob": {}, "eve": {"chem"}},
				5 * hours:               {"ada": {"bio", "chem"}, "bob": {}},
				-1:                      nil,
				10*hours + 30*minutes/2: nil,
			},
		},
		"a failed scrape, and a gap": {
			stored{member("ada", "bio", slices.Concat(every(minutes, 0, 5*hours), every(minutes, 5*hours+minutes, 7*hours), every(minutes, 8*hours, 9*hours)))},
			map[time.Duration]map[string][]string{
				5*hours + minutes - 1: {"ada": {"bio"}},
				7*hours + minutes - 1: {"ada": {"bio"}},
				7*hours + minutes:     nil,
				8*hours - 1:           nil,
				8 * hours:             {"ada": {"bio"}},
			},
		},
		"an hour between scrapes": {
			stored{member("ada", "bio", every(hours, 0, 10*hours)), member("bob", "bio", every(hours, 0, 3*hours))},
			map[time.Duration]map[string][]string{
				2*hours + 59*minutes:  {"ada": {"bio"}, "bob": {"bio"}},
				3 * hours:             {"ada": {"bio"}},
				10*hours + 59*minutes: {"ada": {"bio"}},
				11 * hours:            nil,
			},
		},
		"a few scrapes long apart": { // don't make these an hourly series
			stored{member("ada", "bio", slices.Concat(every(minutes, -20*hours, -hours), every(40*minutes, 0, 41*minutes)))},
			map[time.Duration]map[string][]string{1 * minutes: {"ada": {"bio"}}, 30 * minutes: nil},
		},
		"a single scrape": {
			stored{member("ada", "bio", every(minutes, 0, minutes))},
			map[time.Duration]map[string][]string{0: {"ada": {"bio"}}, 2*minutes - 1: {"ada": {"bio"}}, 2 * minutes: nil},
		},
		"pseudo-groups": {
			stored{
				member("ada", "multiple", every(minutes, 0, hours)),
				member("bob", "bio", every(minutes, 0, hours)), member("bob", "chem", every(minutes, 0, hours)), member("bob", "multiple", every(minutes, 0, hours)),
				member("eve", "none", every(minutes, 0, hours)),
			},
			map[time.Duration]map[string][]string{30 * minutes: {"ada": {"multiple"}, "bob": {"bio", "chem"}, "eve": {}}},
		},
	} {
		t.Run(name, func(t *testing.T) { checkRecords(t, c.server, c.want) })
	}
}

func TestReadRecordOfTwoExporters(t *testing.T) {
	both := func(user, group string, from, to time.Duration) stored { // from two exporters, of which one comes half a minute later
		return stored{
			member(user, group, every(minutes, from, to), "instance", "a"),
			member(user, group, every(minutes, from+30*time.Second, to), "instance", "b"),
		}
	}
	checkRecords(t,
		slices.Concat(both("ada", "bio", 0, 10*hours), both("bob", "bio", 0, 3*hours), both("bob", "chem", 3*hours, 10*hours)),
		map[time.Duration]map[string][]string{
			3*hours - 1:                 {"ada": {"bio"}, "bob": {"bio"}},
			3*hours + minutes:           {"ada": {"bio"}, "bob": {"chem"}},
			3*hours + 80*time.Second:    {"ada": {"bio"}, "bob": {"chem"}},
			10*hours + 29*time.Second:   {"ada": {"bio"}, "bob": {"chem"}},
			10*hours + 2*minutes + 1e10: nil,
		},
	)
}

// checkRecords compares the memberships at some times after the start with the wanted ones.
func checkRecords(t *testing.T, s stored, want map[time.Duration]map[string][]string) {
	t.Helper()
	for after, users := range want {
		for version, server := range map[string]http.RoundTripper{"Prometheus 2": prometheus2{s}, "Prometheus 3": s} {
			t.Run(fmt.Sprint(after, ", ", version), func(t *testing.T) { checkRecord(t, server, after, users) })
		}
	}
}

// checkRecord compares the memberships some time after the start with the wanted ones, which are nil if they aren't known.
func checkRecord(t *testing.T, server http.RoundTripper, after time.Duration, want map[string][]string) {
	t.Helper()
	record, err := readRecord(t, server, "", after)
	if want == nil {
		if _, ok := err.(*history.NotRecorded); !ok { //nolint:errorlint // it isn't wrapped
			t.Fatalf("got %+v and error %v, want a NotRecorded", record, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&history.Record{Namespace: "prod", Users: want}, record); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// sized keeps the size of the largest answer.
type sized struct {
	stored
	largest int64
}

func (s *sized) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := s.stored.RoundTrip(r)
	if err == nil {
		s.largest = max(s.largest, response.ContentLength)
	}
	return response, err
}

// Answers have only the labels that are needed. With all of them, those about 100,000 users would exceed the limit.
func TestReadManyMemberships(t *testing.T) {
	const users = 2600
	onKubernetes := []string{"k8s.container.name", "exporter", "endpoint", "http", "service", "groups-exporter", "pod", "groups-exporter-7d4b9c6f5d-x2x7k", "instance"}
	many := func(instance string, interval, from, to time.Duration) stored {
		var all stored
		for i := range users {
			user := fmt.Sprintf("user-%d@uni.example", i)
			labels := append([]string{"username_escaped", fmt.Sprintf("user-2d%d-40uni-2eexample", i), "username_safe", fmt.Sprintf("user-%d-uni-example---5b41514d", i)}, onKubernetes...)
			for _, group := range []string{"everybody", "students", "2026", fmt.Sprintf("course-%d", i/100)} {
				all = append(all, member(user, group, every(interval, from, to), append(labels, instance)...))
			}
		}
		return all
	}
	left := member("user-7@uni.example", "chem", every(minutes, 0, 2*hours), append(slices.Clone(onKubernetes), "10.0.0.1:8080")...)
	for name, c := range map[string]struct {
		stored stored
		after  time.Duration
	}{
		"a change":                             {append(many("10.0.0.1:8080", minutes, 0, 3*hours), left), 2 * hours},
		"after a restart":                      {slices.Concat(many("10.0.0.1:8080", minutes, 0, 2*hours), many("10.0.0.2:8080", minutes, 2*hours, 3*hours), stored{left}), 2 * hours},
		"after a restart, with hourly scrapes": {slices.Concat(many("10.0.0.1:8080", hours, 0, 20*hours), many("10.0.0.2:8080", hours, 20*hours, 30*hours)), 20 * hours},
	} {
		server := &sized{stored: c.stored}
		record, err := readRecord(t, server, "", c.after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string][]string{}
		for i := range users {
			want[fmt.Sprintf("user-%d@uni.example", i)] = []string{"2026", fmt.Sprintf("course-%d", i/100), "everybody", "students"}
		}
		if diff := cmp.Diff(want, record.Users); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if most := int64(130 * 4 * users); server.largest > most {
			t.Errorf("%s: an answer has %d bytes, want at most %d", name, server.largest, most)
		}
	}
}

// Without memberships, the error says from when the nearest ones are. A record at these times succeeds.
func TestNotRecorded(t *testing.T) {
	server := stored{member("ada", "bio", slices.Concat(every(minutes, 12300*time.Millisecond, 5*hours), every(minutes, 900*hours+7*time.Second, 905*hours)))}
	for after, want := range map[time.Duration]string{
		-30 * 24 * hours:  ": the first ones are from 2026-10-01T08:00:13Z",
		-20 * time.Second: ": the first ones are from 2026-10-01T08:00:13Z",
		6 * hours:         ": the nearest are from 2026-10-01T12:59:14Z and 2026-11-07T20:00:08Z",
		899 * hours:       ": the nearest are from 2026-10-01T12:59:14Z and 2026-11-07T20:00:08Z",
		3000 * hours:      ": the last ones are from 2026-11-08T00:59:08Z",
		30000 * hours:     "",
	} {
		_, err := readRecord(t, server, "prod", after)
		at := start.Add(after).Format(time.RFC3339)
		if text := fmt.Sprintf("Prometheus has no memberships (jupyterhub_user_group_info) of the namespace \"prod\" at %s%s", at, want); err == nil || !closeTo(err.Error(), text) {
			t.Errorf("got error %v, want %s", err, text)
			continue
		}
		for _, moment := range regexp.MustCompile(`from (\S+)(?: and (\S+))?$`).FindAllStringSubmatch(err.Error(), -1) {
			for _, text := range moment[1:] {
				if text == "" {
					continue
				}
				nearest, err := time.Parse(time.RFC3339, text)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := readRecord(t, server, "prod", nearest.Sub(start)); err != nil {
					t.Errorf("at the nearest time: %v", err)
				}
			}
		}
	}
}

// closeTo reports whether two texts are the same, apart from the last digit of seconds.
func closeTo(a, b string) bool {
	second := regexp.MustCompile(`\dZ`)
	return second.ReplaceAllString(a, "Z") == second.ReplaceAllString(b, "Z")
}

// If it isn't certain which memberships are meant, that is an error.
func TestRecordErrors(t *testing.T) {
	times := every(minutes, 0, 3*hours)
	lab := labeled("jupyterhub_user_group_info", times, "namespace", "lab", "username", "ada", "usergroup", "phys")
	for name, c := range map[string]struct {
		server    stored
		namespace string
		want      string
	}{
		"two hubs":         {stored{member("ada", "bio", times), lab}, "", `Prometheus has the memberships of several hubs, in the namespaces ["lab" "prod"]`},
		"another hub":      {stored{member("ada", "bio", times), lab}, "test", `Prometheus has no memberships (jupyterhub_user_group_info) of the namespace "test" at 2026-10-01T09:00:00Z`},
		"no names":         {stored{labeled("jupyterhub_group_members", times, "namespace", "prod", "usergroup", "bio")}, "", "the recorded memberships have no user names"},
		"names dropped":    {stored{member("", "bio", times)}, "", "the recorded memberships have no user names"},
		"nothing":          {nil, "", "Prometheus has no memberships (jupyterhub_user_group_info) at 2026-10-01T09:00:00Z"},
		"several clusters": {stored{member("ada", "bio", times, "cluster", "east"), member("ada", "chem", times, "cluster", "west")}, "", `the series of the hub are from several clusters: ["east" "west"]`},
	} {
		if record, err := readRecord(t, c.server, c.namespace, hours); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %+v and error %v, want %s", name, record, err, c.want)
		}
	}
	record, err := readRecord(t, stored{member("ada", "bio", times), lab}, "lab", hours)
	if want := (&history.Record{Namespace: "lab", Users: map[string][]string{"ada": {"phys"}}}); err != nil || !cmp.Equal(record, want) {
		t.Errorf("of one hub: got %+v and error %v, want %+v", record, err, want)
	}
	record, err = readRecord(t, stored{member("ada", "bio", times), labeled("groups_exporter_hub_partial", times, "namespace", "prod")}, "", hours)
	if err != nil || !record.Partial {
		t.Errorf("of a part of a hub: got %+v and error %v, want Partial", record, err)
	}
}
