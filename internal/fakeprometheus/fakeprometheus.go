// Package fakeprometheus is a Prometheus in memory that answers the queries of package history for a made-up hub. A
// user's usage on a day depends only on the user's name and the day, so a report on the same period is always the same.
package fakeprometheus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/groups-exporter/groups-exporter/internal/metrics"
	"github.com/groups-exporter/groups-exporter/internal/promql"
)

// Server behaves like a Prometheus that has always scraped a hub and its cluster every five minutes. It is an
// http.Handler and an http.RoundTripper.
type Server struct {
	namespace   string
	memberships map[string][]string // users and their groups

	mu   sync.Mutex
	days map[time.Time][]*session
}

// New returns a server for a hub, given its users and their groups. A user in no group has the group none.
func New(namespace string, memberships map[string][]string) *Server {
	return &Server{namespace: namespace, memberships: memberships, days: map[time.Time][]*session{}}
}

// interval is the time between two samples.
const interval = 5 * time.Minute

// RoundTrip answers a request without a network. It never returns an error.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, r)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	data, err := s.answer(r)
	answer := map[string]any{"status": "success", "data": data}
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		answer = map[string]any{"status": "error", "errorType": "execution", "error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(answer) // fails only if the client has gone
}

func (s *Server) answer(r *http.Request) (any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	if label, ok := strings.CutPrefix(r.URL.Path, "/api/v1/label/"); ok {
		switch label {
		case metrics.LabelNamespace + "/values":
			return []string{s.namespace}, nil
		case metrics.LabelUsername + "/values":
			return s.users(), nil
		}
		return []string{}, nil
	}
	seconds, err := strconv.ParseFloat(r.Form.Get("time"), 64)
	if r.URL.Path != "/api/v1/query" || err != nil {
		return nil, fmt.Errorf("the sample Prometheus has no %s", r.URL.Path)
	}
	at := time.UnixMilli(int64(seconds * 1000))
	query := r.Form.Get("query")
	if parts := rangeForm.FindStringSubmatch(query); parts != nil {
		return data(s.samples(query, parts[1], at, duration(parts[2]))), nil
	}
	vector, err := s.vector(query, at)
	return data(vector), err
}

func data(value model.Value) any {
	return map[string]any{"resultType": value.Type().String(), "result": value}
}

var (
	exporterForm = regexp.MustCompile(`^group without \(.*?\) \(present_over_time\(\w+\{[^}]*\}\[(\w+)\](?: offset (\w+))?\)\)$`)
	rangeForm    = regexp.MustCompile(`^(\w+)\{.*\}\[(\w+)\]$`)
	topForm      = regexp.MustCompile(`^topk(?: by \(namespace, job\) )?\(1, count_over_time\((\w+).*\[(\w+)\]\)\)$`)
	countForm    = regexp.MustCompile(`^sum by \(username, usergroup\) \(count_over_time\((\w+).*\[(\w+)\]\)\)$`)
	ownersForm   = regexp.MustCompile(`(?s)present_over_time\((\w+).*\[(\w+)\]\)`)
	sumForm      = regexp.MustCompile(`(?s)^sum_over_time\(\(\n  (.*)\n\)\[(\w+):(\w+)\]\)$`)
)

func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text) // in s or ms, as package promql writes it
	return d
}

// vector evaluates one of the queries of package history.
func (s *Server) vector(query string, at time.Time) (model.Vector, error) {
	if parts := sumForm.FindStringSubmatch(query); parts != nil {
		return s.sums(parts[1], at, duration(parts[2]), duration(parts[3])), nil
	}
	if parts := topForm.FindStringSubmatch(query); parts != nil {
		return s.counts(parts[1], at, duration(parts[2]))[:1], nil
	}
	if parts := countForm.FindStringSubmatch(query); parts != nil {
		return s.counts(parts[1], at, duration(parts[2])), nil
	}
	if parts := exporterForm.FindStringSubmatch(query); parts != nil {
		if len(times(at.Add(-duration(parts[2])), duration(parts[1]), interval)) == 0 {
			return nil, nil
		}
		return model.Vector{s.sample(at, 1)}, nil
	}
	if parts := ownersForm.FindStringSubmatch(query); parts != nil {
		return s.owners(parts[1], at, duration(parts[2])), nil
	}
	return nil, fmt.Errorf("the sample Prometheus can't evaluate %q", query)
}

// counts returns the number of samples of each series of a metric. For metrics about pods, it returns only a series of
// the hub's own pod.
func (s *Server) counts(metric string, at time.Time, length time.Duration) model.Vector {
	count := model.SampleValue(len(times(at, length, interval)))
	if metric != metrics.Name("", metrics.UserGroupInfo) {
		return model.Vector{s.sample(at, count, "pod", "hub")}
	}
	var all model.Vector
	for _, user := range s.users() {
		for _, group := range s.memberships[user] {
			all = append(all, s.sample(at, count, metrics.LabelUsername, user, metrics.LabelUsergroup, group))
		}
	}
	return all
}

// exact matches a matcher of a selector that compares a label with a value.
var exact = regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*")`)

// samples returns the samples of the series of a metric that have the values in the selector. Labels that the series
// don't have, like that of a cluster, aren't compared.
func (s *Server) samples(selector, metric string, at time.Time, length time.Duration) model.Matrix {
	if metric == metrics.HubPartial {
		return nil // the token of the exporter covers the whole hub
	}
	var all model.Matrix
	for _, one := range s.counts(metric, at, length) {
		differs := func(matcher []string) bool {
			value, err := strconv.Unquote(matcher[2])
			actual, has := one.Metric[model.LabelName(matcher[1])]
			return err != nil || has && string(actual) != value
		}
		if slices.ContainsFunc(exact.FindAllStringSubmatch(selector, -1), differs) {
			continue
		}
		stream := &model.SampleStream{Metric: one.Metric}
		for _, t := range times(at, length, interval) {
			stream.Values = append(stream.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(t.UnixNano()), Value: 1})
		}
		all = append(all, stream)
	}
	return all
}

// owners returns the owners of the pods that ran.
func (s *Server) owners(metric string, at time.Time, length time.Duration) model.Vector {
	if metric != promql.PodAnnotations {
		return nil
	}
	var all model.Vector
	seen := map[string]bool{}
	for _, session := range s.sessions(at.Add(-length), at) {
		if !seen[session.user] {
			all = append(all, s.sample(at, 1, "pod", session.pod(), promql.Owner, session.user))
		}
		seen[session.user] = true
	}
	return all
}

// times returns the multiples of step in a range that ends at a time.
func times(at time.Time, length, step time.Duration) []time.Time {
	var all []time.Time
	for t := at.Add(-length).Truncate(step).Add(step); !t.After(at); t = t.Add(step) {
		all = append(all, t)
	}
	return all
}

// sample returns a sample with labels, given as alternating names and values.
func (s *Server) sample(at time.Time, value model.SampleValue, labels ...string) *model.Sample {
	metric := model.Metric{metrics.LabelNamespace: model.LabelValue(s.namespace)}
	for pair := range slices.Chunk(labels, 2) {
		metric[model.LabelName(pair[0])] = model.LabelValue(pair[1])
	}
	return &model.Sample{Metric: metric, Value: value, Timestamp: model.TimeFromUnixNano(at.UnixNano())}
}
