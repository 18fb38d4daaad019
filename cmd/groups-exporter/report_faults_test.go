package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakeprometheus"
)

// samplePrometheus starts a Prometheus with the usage of a few users. The function fault may answer a request itself,
// and then returns true.
func samplePrometheus(t *testing.T, fault func(w http.ResponseWriter, r *http.Request) bool) (address string) {
	t.Helper()
	memberships := map[string][]string{}
	for i := range 12 {
		memberships[fmt.Sprintf("user-%d", i)] = []string{[]string{"bio", "chem", "none"}[i%3]}
	}
	sample := fakeprometheus.New("prod", memberships)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if fault(w, r) {
			return
		}
		sample.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func noFault(http.ResponseWriter, *http.Request) bool { return false }

// reportFrom runs report for a day.
func reportFrom(ctx context.Context, address string) (code int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	args := []string{"report", "--prometheus-url", address, "--from", "2026-10-05", "--to", "2026-10-06", "--by", "group,user", "-o", "csv"}
	code = run(ctx, args, func(string) string { return "" }, nil, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// once returns a function that reports whether it is called with a request for the first time.
func once() func(r *http.Request) bool {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		key := r.URL.Path + "?" + r.Form.Encode()
		first := !seen[key]
		seen[key] = true
		return first
	}
}

func status(code int) func(w http.ResponseWriter, _ *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, http.StatusText(code), code)
		return true
	}
}

// answers answers some queries with a text.
func answers(query, text string) func(w http.ResponseWriter, r *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Form.Get("query"), query) {
			return false
		}
		io.WriteString(w, text)
		return true
	}
}

// If Prometheus fails, nothing is printed, and the exit code is 1.
func TestReportFails(t *testing.T) {
	const vector = `"status":"success","data":{"resultType":"vector","result":[]}`
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request) bool
		want  string
	}{
		"401":      {status(http.StatusUnauthorized), "answered 401 Unauthorized"},
		"503":      {status(http.StatusServiceUnavailable), "answered 503 Service Unavailable"},
		"page":     {answers("", "<!DOCTYPE html><title>Log in</title>"), "doesn't answer like a Prometheus"},
		"warning":  {answers("container_memory_working_set_bytes", "{"+vector+`,"warnings":["a store didn't answer"]}`), "may be incomplete: a store didn't answer"},
		"partial":  {answers("kube_pod_status_phase", "{"+vector+`,"isPartial":true}`), "may be incomplete"},
		"bad data": {answers("dirsize_total_size_bytes", `{"status":"error","errorType":"bad_data","error":"no such function"}`), "can't answer the query: "},
		"nothing": {func(w http.ResponseWriter, _ *http.Request) bool {
			io.WriteString(w, `{"status":"success","data":[]}`)
			return true
		}, "Prometheus has no memberships (jupyterhub_user_group_info) from 2026-10-05"},
		"no usage": {func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/label/") || strings.Contains(r.Form.Encode(), "jupyterhub_user_group_info") {
				return false
			}
			io.WriteString(w, `{"status":"success","data":[]}`)
			return true
		}, "Prometheus has no usage in this period: neither kube_pod_annotations with users' names nor dirsize_total_size_bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := reportFrom(t.Context(), samplePrometheus(t, c.fault))
			if code != exitFailure || out != "" || !strings.Contains(errOut, c.want) {
				t.Errorf("got exit code %d, output %q and error %q, want exit code %d, no output and an error with %q", code, out, errOut, exitFailure, c.want)
			}
		})
	}
}

// Temporary faults don't change any number.
func TestReportSurvivesFaults(t *testing.T) {
	code, want, errOut := reportFrom(t.Context(), samplePrometheus(t, noFault))
	if code != exitOK || strings.Count(want, "\n") < 10 {
		t.Fatalf("got exit code %d, output %q and error %q", code, want, errOut)
	}
	for name, fault := range map[string]func(first bool, w http.ResponseWriter, r *http.Request) bool{
		"503 once": func(first bool, w http.ResponseWriter, r *http.Request) bool {
			return first && status(http.StatusServiceUnavailable)(w, r)
		},
		"429 once": func(first bool, w http.ResponseWriter, r *http.Request) bool {
			return first && status(http.StatusTooManyRequests)(w, r)
		},
		"too many samples": func(_ bool, w http.ResponseWriter, r *http.Request) bool {
			return isLonger(r, 3*time.Hour) && tooManySamples(w)
		},
		"always 504 for long ranges": func(_ bool, w http.ResponseWriter, r *http.Request) bool {
			return isLonger(r, 10*time.Hour) && status(http.StatusGatewayTimeout)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isFirst := once()
			var faults atomic.Int32
			address := samplePrometheus(t, func(w http.ResponseWriter, r *http.Request) bool {
				isFault := fault(isFirst(r), w, r)
				if isFault {
					faults.Add(1)
				}
				return isFault
			})
			code, got, errOut := reportFrom(t.Context(), address)
			if code != exitOK || got != want || errOut != "" {
				t.Errorf("got exit code %d, error %q and output\n%s\nwant\n%s", code, errOut, got, want)
			}
			if faults.Load() < 10 {
				t.Errorf("only %d requests failed", faults.Load())
			}
		})
	}
}

// isLonger reports whether a query sums over a range that is longer than a duration.
func isLonger(r *http.Request, than time.Duration) bool {
	query := r.Form.Get("query")
	_, last, found := strings.Cut(query, "\n)[")
	length, _, isSubquery := strings.Cut(last, ":")
	d, err := time.ParseDuration(length)
	return found && isSubquery && err == nil && d > than
}

// tooManySamples answers as Prometheus does with its default limit.
func tooManySamples(w http.ResponseWriter) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	json.NewEncoder(w).Encode(map[string]string{
		"status": "error", "errorType": "execution", "error": "query processing would load too many samples into memory in query execution",
	})
	return true
}

// Ctrl-C stops a report immediately, even while Prometheus doesn't respond.
func TestReportIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := samplePrometheus(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Form.Get("query"), "container_cpu_usage_seconds_total") {
			return false
		}
		cancel()
		<-r.Context().Done()
		return true
	})
	code, out, errOut := reportFrom(ctx, address)
	if code != exitFailure || out != "" || errOut != "groups-exporter: interrupted\n" {
		t.Errorf("got exit code %d, output %q and error %q, want exit code %d and an error", code, out, errOut, exitFailure)
	}
}
