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
	"net/http/httptest"
	"os"
	"path/filepath"
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

// A client that opens too many connections loses its own, and doesn't affect other clients.
func TestConnectionLimit(t *testing.T) {
	const most, many = 128, 400
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		listener := newInMemory()
		serve(t, listener, newSite(t), "", slog.New(slog.NewTextHandler(&log, nil)))
		prometheus := listener.dial("192.0.2.1")
		if !answers(t, prometheus) {
			t.Fatal("first request not answered")
		}
		header := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Padding: "+strings.Repeat("x", 1000)+"\r\n", 15)
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var half []net.Conn
		for range many {
			c := listener.dial("192.0.2.2")
			if _, err := io.WriteString(c, header); err != nil {
				t.Fatal(err)
			}
			half = append(half, c)
		}
		if !answers(t, prometheus) {
			t.Error("a connection from another host was closed")
		}
		if !answers(t, listener.dial("192.0.2.2")) {
			t.Error("request of the host with unfinished requests not answered")
		}
		synctest.Wait()
		open := 0
		for _, c := range half {
			if isOpen(c) {
				open++
			}
		}
		if want := most - 2; open != want { // two connections had their requests answered
			t.Errorf("%d of %d unfinished requests are open, want %d", open, many, want)
		}
		runtime.GC()
		runtime.ReadMemStats(&during)
		if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > most*64<<10 {
			t.Errorf("connections take %d bytes", grown)
		}
		if text := log.String(); strings.Count(text, "too many open connections") != 1 {
			t.Errorf("want one warning, got:\n%s", text)
		}
	})
}

func TestLongHeader(t *testing.T) {
	address := start(t, newSite(t), "", slog.New(slog.DiscardHandler))
	for size, want := range map[int]int{12 << 10: http.StatusOK, 24 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/-/healthy", nil)
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
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	config := writeTLSConfig(t, certificate.TLS.Certificates[0], "")
	address := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- r.Proto + " " + r.RemoteAddr
		<-release
	}), config, slog.New(slog.DiscardHandler))
	client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	for range requests {
		running.Go(func() {
			response, err := client.Get("https://" + address)
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
			t.Errorf("%d requests at the same time on one connection: %s", n, connection)
		}
	}
}

// writeTLSConfig writes a web configuration with a certificate and more settings, and returns its path.
func writeTLSConfig(t *testing.T, certificate tls.Certificate, more string) string {
	t.Helper()
	certFile, keyFile := writePair(t, certificate)
	path := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(path, []byte("tls_server_config: {cert_file: "+certFile+", key_file: "+keyFile+"}\n"+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
