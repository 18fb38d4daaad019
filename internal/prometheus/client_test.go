package prometheus_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/config"

	"github.com/groups-exporter/groups-exporter/internal/ports"
	"github.com/groups-exporter/groups-exporter/internal/prometheus"
	"github.com/groups-exporter/groups-exporter/internal/remote"
	"github.com/groups-exporter/groups-exporter/internal/usage"
)

func reader(t *testing.T, address string, timeout time.Duration) *prometheus.UsageReader {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := prometheus.New(prometheus.Options{
		URL: u, HTTP: config.DefaultHTTPClientConfig, Timeout: timeout, UserAgent: "groups-exporter/test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return &prometheus.UsageReader{Client: c, Namespace: `n"s`}
}

func start(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func TestRead(t *testing.T) {
	queries := map[string]bool{}
	address := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("deny_partial_response") != "1" {
			t.Error("request lacks deny_partial_response")
		}
		if r.URL.Path != "/below/api/v1/query" || r.UserAgent() != "groups-exporter/test" || r.FormValue("timeout") != "1m0s" {
			t.Errorf("unexpected request: %s from %q, %v", r.URL, r.UserAgent(), r.Form)
		}
		query := r.FormValue("query")
		queries[query] = true
		if !strings.Contains(query, `namespace="n\"s"`) {
			t.Errorf("query is not limited to the namespace: %s", query)
		}
		label := "owner"
		if strings.Contains(query, "dirsize") {
			label = "directory"
		}
		fmt.Fprintf(w, `{"status": "success", "infos": ["fine"], "data": {"resultType": "vector", "result": [
			{"metric": {%[1]q: "a\nb@ü", "namespace": "n"}, "value": [1, "1.5"]},
			{"metric": {%[1]q: "c"}, "value": [1, "-0"]},
			{"metric": {%[1]q: "d"}, "value": [1, "NaN"]},
			{"metric": {%[1]q: "e"}, "value": [1, "-Inf"]},
			{"metric": {}, "value": [1, "2"]},
			{"metric": {%[1]q: "f", "cluster": "east"}, "value": [1, "1e308"]},
			{"metric": {%[1]q: "f", "cluster": "west"}, "value": [1, "1e308"]}]}}`, label)
	})
	c := reader(t, address+"/below/", time.Minute)
	for _, resource := range usage.Resources() {
		got, err := c.Read(t.Context(), resource)
		if err != nil {
			t.Fatalf("%s: %v", resource, err)
		}
		want := &usage.Answer{Resource: resource, Values: map[string]float64{"a\nb@ü": 1.5, "c": 0, "": 2}, NotFinite: 3}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", resource, diff)
		}
	}
	if len(queries) != len(usage.Resources()) {
		t.Errorf("%d different queries, want %d", len(queries), len(usage.Resources()))
	}
}

func TestReadFails(t *testing.T) {
	answers := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	const page = "<!doctype html><title>Sign in</title>"
	for _, c := range []struct {
		what   string
		answer http.HandlerFunc
		reason remote.Reason
		text   string
	}{
		{"no credentials", answers(401, "text/plain", "Unauthorized"), remote.Status, "answered 401 Unauthorized"},
		{"a proxy's page", answers(502, "text/html", page), remote.Status, "answered 502 Bad Gateway"},
		{"overloaded, in HTML", answers(503, "text/html", page), remote.Status, "answered 503 Service Unavailable"},
		{"a redirect to nowhere", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }, remote.Status, "answered 302 Found"},
		{"a sign-in page", answers(200, "text/html", page), remote.Format, "doesn't answer like a Prometheus: "},
		{"a page that was not found", answers(404, "text/html", page), remote.Status, "answered 404 Not Found"},
		{"no body", answers(200, "application/json", ""), remote.Format, "doesn't answer like a Prometheus: "},
		{"another shape", answers(200, "application/json", `{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}`), remote.Format, "it is no vector"},
		{"no data", answers(200, "application/json", `{"status": "success"}`), remote.Format, "it is no vector"},
		{"a value that is none", answers(200, "application/json", `{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "x"]}]}}`), remote.Format, "doesn't answer like a Prometheus: "},
		{"a query error", answers(422, "application/json", `{"status": "error", "errorType": "execution", "error": "many-to-many matching not allowed"}`), remote.Query, "can't answer the query: many-to-many matching not allowed"},
		{"a proxy that refuses", answers(400, "text/html", page), remote.Status, "answered 400 Bad Request"},
		{"no POST, and no GET", answers(405, "text/plain", "no"), remote.Format, "doesn't answer like a Prometheus: client error: 405"},
		{"a query that isn't understood", answers(400, "application/json", `{"status": "error", "errorType": "bad_data", "error": "parse error"}`), remote.Query, "can't answer the query: parse error"},
		{"the server's own timeout", answers(503, "application/json", `{"status": "error", "errorType": "timeout", "error": "query timed out"}`), remote.Status, "answered 503 Service Unavailable"},
		{"a part of it", answers(200, "application/json", `{"status": "success", "warnings": ["store-1: unavailable", "store-2: slow"], "data": {"resultType": "vector", "result": []}}`), remote.Partial, "may be incomplete: store-1: unavailable; store-2: slow"},
		{"a part of it, as VictoriaMetrics says", answers(200, "application/json", `{"status": "success", "isPartial": true, "data": {"resultType": "vector", "result": []}}`), remote.Partial, "may be incomplete: it says isPartial"},
		{"a sample without a value", answers(200, "application/json", `{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}`), remote.Format, "a sample has no value"},
		{"a histogram", answers(200, "application/json", `{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {"count": "1", "sum": "2", "buckets": []}]}]}}`), remote.Format, "a sample has no value"},
		{"a sample without half of its value", answers(200, "application/json", `{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1]}]}}`), remote.Format, "a sample has no value"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"status":`)
		}, remote.Connect, "unexpected EOF"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}, remote.TooLarge, "too large: it is over 32 MiB"},
		{"stalled", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, remote.Timeout, "doesn't answer in time"},
		{"stalled in the body", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, remote.Timeout, "doesn't answer in time"},
	} {
		t.Run(c.what, func(t *testing.T) {
			timeout := time.Hour
			if strings.HasPrefix(c.what, "stalled") {
				timeout = 100 * time.Millisecond
			}
			address := start(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // otherwise, the server doesn't notice a closed connection
				c.answer(w, r)
			})
			answer, err := reader(t, address, timeout).Read(t.Context(), usage.Memory)
			if answer != nil || reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), address) {
				t.Errorf("got answer %v, reason %q and error %v", answer, reasonOf(err), err)
			}
			if !slices.Contains(prometheus.Reasons(), string(c.reason)) {
				t.Errorf("Reasons lacks %q", c.reason)
			}
			if strings.Contains(err.Error(), "Sign in") {
				t.Errorf("the error contains the response body: %v", err)
			}
		})
	}
}

func TestReadUnreachable(t *testing.T) {
	address, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	unreachable := reader(t, "http://"+address, time.Hour)
	_, err = unreachable.Read(t.Context(), usage.Memory)
	if want := "the Prometheus at http://" + address + " can't be reached: connection refused"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = unreachable.Read(ctx, usage.Memory); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// A custom header may be a secret, so a redirect to another host is not followed.
func TestRedirectToAnotherHost(t *testing.T) {
	elsewhere := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	elsewhere = strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)
	address := start(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	_, err := reader(t, address, time.Minute).Read(t.Context(), usage.Memory)
	if reasonOf(err) != remote.Status || !strings.Contains(err.Error(), "answered 307") {
		t.Errorf("error %v", err)
	}
	here := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/moved/api/v1/query" {
			http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, `{"status": "success", "data": {"resultType": "vector", "result": []}}`)
	})
	if _, err := reader(t, here, time.Minute).Read(t.Context(), usage.Memory); err != nil {
		t.Errorf("on the same host: %v", err)
	}
}

// Errors are short, however long the response is.
func TestErrorLength(t *testing.T) {
	address := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"status": "error", "errorType": "execution", "error": %q}`, strings.Repeat("long é", 1<<20))
	})
	_, err := reader(t, address, time.Minute).Read(t.Context(), usage.Memory)
	if reasonOf(err) != remote.Query || len(err.Error()) > 500 || !utf8.ValidString(err.Error()) {
		t.Errorf("error has %d bytes: %.600v", len(err.Error()), err)
	}
}

// reasonOf returns the reason of an error.
func reasonOf(err error) remote.Reason {
	if e, ok := errors.AsType[*remote.Error](err); ok {
		return e.Reason
	}
	return ""
}

// If a server repeats request headers in its response, errors are short and contain no credentials.
func TestErrorsHideCredentials(t *testing.T) {
	const password, key = "PromPassw0rdSecret", "HeaderSecret"
	for what, answer := range map[string]func(authorization string) string{
		"status line":   func(a string) string { return "HTTP/1.1 " + strings.Repeat("A", 1<<20) + a + "\r\n\r\n" },
		"broken header": func(a string) string { return "HTTP/1.1 200 OK\r\n" + a + " " + key + "\r\n\r\n" },
		"error": func(a string) string {
			body := fmt.Sprintf(`{"status": "error", "errorType": "bad_data", "error": %q}`, a+" "+strings.ToUpper(key))
			return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					_, _ = io.WriteString(conn, answer(request.Header.Get("Authorization")))
				}
				conn.Close()
			}
		}()
		c, err := prometheus.New(prometheus.Options{
			URL: &url.URL{Scheme: "http", Host: listener.Addr().String()}, Timeout: time.Minute,
			HTTP: config.HTTPClientConfig{
				BasicAuth:   &config.BasicAuth{Username: "promuser", Password: password},
				HTTPHeaders: &config.Headers{Headers: map[string]config.Header{"X-Key": {Secrets: []config.Secret{key}}}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Query(t.Context(), "up")
		if err == nil || len(err.Error()) > 500 {
			t.Fatalf("%s: %.600v", what, err)
		}
		encoded := base64.StdEncoding.EncodeToString([]byte("promuser:" + password))
		for _, secret := range []string{encoded, key, strings.ToUpper(key)} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q in the error %v", what, secret, err)
			}
		}
	}
}
