package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// isOpen reports whether the server keeps a connection open.
func isOpen(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now())
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// answers reports whether the server answers a request for /-/healthy.
func answers(t *testing.T, c net.Conn) bool {
	t.Helper()
	if _, err := io.WriteString(c, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return false
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK && body(t, response) == "groups-exporter is healthy\n"
}

// A client that opens too many connections, to any of the listeners, loses its own and doesn't affect other clients.
// All addresses of an IPv6 network are one client, and so are all clients of a Unix socket.
func TestConnectionLimit(t *testing.T) {
	const most, many = 128, 400
	header := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Padding: "+strings.Repeat("x", 1000)+"\r\n", 15)
	for _, client := range [][]string{{"192.0.2.2"}, {"2001:db8::1", "2001:db8::2", "2001:db8::3"}, {""}} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			listeners := []*inMemory{newInMemory(), newInMemory()}
			serve(t, newSite(t), "", slog.New(slog.NewTextHandler(&log, nil)), listeners[0], listeners[1])
			prometheus := listeners[0].dial("192.0.2.1")
			if !answers(t, prometheus) {
				t.Fatal("first request not answered")
			}
			var before, during runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var half []net.Conn
			for i := range many {
				c := listeners[i%2].dial(client[i%len(client)])
				if _, err := io.WriteString(c, header); err != nil {
					t.Fatal(err)
				}
				half = append(half, c)
			}
			if !answers(t, prometheus) {
				t.Errorf("%q: the connection of another client was closed", client)
			}
			if !answers(t, listeners[0].dial(client[0])) {
				t.Errorf("%q: another request of the client was not answered", client)
			}
			synctest.Wait()
			open := 0
			for _, c := range half {
				if isOpen(c) {
					open++
				}
			}
			if want := most - 2; open != want { // two connections had their requests answered
				t.Errorf("%q: %d of %d unfinished requests are open, want %d", client, open, many, want)
			}
			runtime.GC()
			runtime.ReadMemStats(&during)
			if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > most*64<<10 {
				t.Errorf("%q: connections take %d bytes, want at most 64 KiB each", client, grown)
			}
			if text := log.String(); strings.Count(text, "too many open connections") != 1 {
				t.Errorf("%q: want one warning, got:\n%s", client, text)
			}
		})
	}
}

func TestLongHeader(t *testing.T) {
	listener := listenTCP(t)
	serve(t, newSite(t), "", discard(), listener)
	for size, want := range map[int]int{12 << 10: http.StatusOK, 24 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/-/healthy", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", strings.Repeat("x", size))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("header of %d bytes: status %d, want %d", size, response.StatusCode, want)
		}
	}
}

// HTTP/2 streams can't bypass the connection limit.
func TestStreamLimit(t *testing.T) {
	const most, requests = 8, 20
	release, entered := make(chan struct{}), make(chan string, requests)
	listener := listenTCP(t)
	serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- r.Proto + " " + r.RemoteAddr
		<-release
	}), writeTLSConfig(t, ""), discard(), listener)
	client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	for range requests {
		running.Go(func() {
			response, err := client.Get("https://" + listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
		})
	}
	streams := map[string]int{}
	for range requests {
		streams[<-entered]++
	}
	close(release)
	running.Wait()
	for connection, n := range streams {
		if !strings.HasPrefix(connection, "HTTP/2.0 ") || n > most {
			t.Errorf("%d requests at the same time on the connection %s, want HTTP/2 with at most %d", n, connection, most)
		}
	}
}
