package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/groups-exporter/groups-exporter/internal/hub"
)

// parrots are answers of a hub, or of what stands before it, that repeat the token of the request: TOKEN.
func parrots() map[string]string {
	page := func(items string) string {
		body := `{"items":[` + items + `],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`
		return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body
	}
	return map[string]string{
		"no status line":              "TOKEN\r\n\r\n",
		"status code":                 "HTTP/1.1 TOKEN OK\r\n\r\n",
		"protocol":                    "HTTP/TOKEN 200 OK\r\n\r\n",
		"reason":                      "HTTP/1.1 500 TOKEN\r\nContent-Length: 0\r\n\r\n",
		"header without a colon":      "HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n",
		"header with control letters": "HTTP/1.1 200 OK\r\nX\x1b[31m\x07TOKEN: \x00\r\n\r\n",
		"Content-Length":              "HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n",
		"Transfer-Encoding":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: TOKEN\r\n\r\n",
		"Content-Type":                "HTTP/1.1 200 OK\r\nContent-Type: TOKEN\r\nContent-Length: 2\r\n\r\n{}",
		"Content-Encoding":            "HTTP/1.1 200 OK\r\nContent-Encoding: TOKEN\r\nContent-Length: 2\r\n\r\n{}",
		"Location":                    "HTTP/1.1 302 Found\r\nLocation: http://x/TOKEN\r\nContent-Length: 0\r\n\r\n",
		"Location that is no address": "HTTP/1.1 302 Found\r\nLocation: http://%zzTOKEN\r\nContent-Length: 0\r\n\r\n",
		"Retry-After":                 "HTTP/1.1 503 Busy\r\nRetry-After: TOKEN\r\nContent-Length: 0\r\n\r\n",
		"chunk":                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nTOKEN\r\n",
		"last_activity":               page(`{"name":"ada","groups":[],"last_activity":"TOKEN"}`),
		"a group":                     page(`{"name":"ada","groups":["TOKEN","\u001b[31m\u202e"]}`),
		"a field of another type":     page(`{"name":["TOKEN"],"groups":[]}`),
		"no JSON":                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\nTOKEN",
	}
}

// startParrot answers each request with a text in which TOKEN is what the request has for one, changed somehow.
func startParrot(t *testing.T, answer string, change func(string) string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				request, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				_, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
				if strings.Contains(answer, "{") { // in JSON
					token = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(token)
				}
				_, _ = io.WriteString(c, strings.ReplaceAll(answer, "TOKEN", change(token)))
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// Whatever a hub repeats, and in whatever letters, neither the log nor a page shows a token or a control character.
func TestAHubThatRepeatsTokens(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup // not subtests, of which two at a time would wait for retries
	for what, answer := range parrots() {
		for letters, change := range map[string]func(string) string{
			"the same": func(s string) string { return s }, "lower": strings.ToLower, "upper": strings.ToUpper,
		} {
			for _, format := range []logFormat{logfmtFormat, jsonFormat} {
				running.Go(func() {
					for _, text := range shownBy(t, startParrot(t, answer, change), format) {
						if strings.Contains(strings.ToLower(text), "hunter") {
							t.Errorf("%s, %s letters: a token shows in %s", what, letters, text)
						}
						if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
							t.Errorf("%s: a control character at %d in %q", what, i, text)
						}
					}
				})
			}
		}
	}
	running.Wait()
}

// shownBy refreshes from a hub once, lets a caller ask with a token of their own, and returns all that is shown.
func shownBy(t *testing.T, address string, format logFormat) []string {
	api, err := hub.APIURL(address)
	if err != nil {
		t.Error(err)
		return nil
	}
	o := serveOptions{
		hub:       hubOptions{api: api, token: hub.NewToken(`"Hunter\exporter`), secrets: new(secrets), namespace: "n", timeout: time.Minute},
		schedules: scheduleOptions{hub: time.Hour},
		publish:   publishOptions{maxSeries: 100, with: []extra{withActivity}},
		log:       logOptions{format: format, level: logLevel{slog.LevelDebug}},
		web:       webOptions{telemetryPath: "/metrics", routePrefix: "/", auth: authHub, enough: []string{"read:metrics"}},
	}
	var log bytes.Buffer
	logger := o.log.logger(&log, o.hub.secrets.redact)
	e := o.exporter(logger)
	ctx, stop := context.WithCancel(t.Context())
	polled := make(chan struct{})
	go func() { defer close(polled); e.Run(ctx) }()
	for status := e.State().Status; status.Refreshed.IsZero() && status.Error == ""; status = e.State().Status {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-polled

	get := func(path string) string {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		r.Header.Set("Authorization", `Bearer "Hunter\caller`)
		o.handler(e, logger).ServeHTTP(w, r)
		return w.Body.String()
	}
	shown := []string{get("/metrics"), get("/-/ready")}
	o.web.auth = authNone
	return append(shown, get("/"), log.String())
}

// The token before a rotation can still be in an answer.
func TestTheTokenBeforeIsASecretToo(t *testing.T) {
	var s secrets
	for _, token := range []string{"first-token", "second-token", "second-token", "third-token"} {
		s.add(hub.NewToken(token))
	}
	if got := s.redact("first-token SECOND-TOKEN third-token"); got != "first-token [token] [token]" {
		t.Errorf("got %q", got)
	}
}
