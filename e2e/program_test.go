//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The result of a run of the program.
type result struct {
	stdout, stderr string
	code           int
}

// environment returns the whole environment of the program. It contains nothing from the caller's shell.
func environment(more ...string) []string {
	return append([]string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}, more...)
}

// of returns the environment of a program that uses the hub with a token.
func (h *hub) of(token string) []string {
	return environment("JUPYTERHUB_API_URL="+h.api, "JUPYTERHUB_API_TOKEN="+token)
}

func run(t *testing.T, env []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// succeed runs the program and returns its standard output.
func succeed(t *testing.T, env []string, args ...string) string {
	t.Helper()
	r := run(t, env, "", args...)
	if r.code != 0 {
		t.Fatalf("groups-exporter %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// serve starts the exporter, waits until it responds, and returns it with its address.
func serve(t *testing.T, env []string, args ...string) (*process, string) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	args = append([]string{program, "serve", "--web.listen-address=" + address}, args...)
	p := launch(t, t.TempDir(), env, args...)
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
	})
	p.until("serve answers", 10*time.Second, func() error {
		_, err := get("http://" + address + "/-/healthy")
		return err
	})
	return p, "http://" + address
}

// get returns the body of a response with status 200. For another status, the error is a *notOK.
func get(url string) (string, error) { return getAs("", url) }

// getAs is like get, with a token unless it is empty.
func getAs(token, url string) (string, error) { return getBy(http.DefaultTransport, token, url) }

// socket returns a transport that connects to a Unix socket, whatever the host in the URL.
func socket(path string) http.RoundTripper {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
}

func getBy(transport http.RoundTripper, token, url string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", &notOK{url, response.StatusCode, string(body)}
	}
	return string(body), nil
}

// notOK is the error for a response with another status than 200.
type notOK struct {
	url    string
	status int
	body   string
}

func (e *notOK) Error() string { return fmt.Sprintf("%s: %d\n%s", e.url, e.status, e.body) }

// statusOf returns the status for an error from get, or 200 if it is nil.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if answer, ok := errors.AsType[*notOK](err); ok {
		return answer.status
	}
	return 0
}

// statuses checks the status of a response for each key.
func statuses(t *testing.T, get func(key string) error, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for key := range want {
		got[key] = statusOf(get(key))
	}
	report(t, "statuses", same(want, got))
}
