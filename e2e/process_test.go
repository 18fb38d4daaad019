//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process that a test starts, and that ends with the test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  string // file with the combined output
	done chan struct{}
}

func launch(t *testing.T, dir string, env []string, command ...string) *process {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, env
	return launchCmd(t, cmd)
}

func launchCmd(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), "*.log")
	noError(t, err)
	defer log.Close()
	p := &process{t: t, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	// With its own process group, a stop reaches all children. Pdeathsig ends it if the test itself is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	noError(t, cmd.Start())
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.stop(syscall.SIGTERM) })
	return p
}

// stop sends a signal to the process, waits for its end, and returns its exit code.
func (p *process) stop(signal syscall.Signal) int {
	p.t.Helper()
	p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		p.t.Errorf("%s did not end 30 s after %v\n%s", p.cmd, signal, p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// end is like stop, but the exit code must be 0.
func (p *process) end(signal syscall.Signal) {
	p.t.Helper()
	if code := p.stop(signal); code != 0 {
		p.t.Errorf("%s ended with %d\n%s", p.cmd, code, p.tail())
	}
}

func (p *process) output() string {
	p.t.Helper()
	return read(p.t, p.log)
}

func (p *process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.output()), "\n")
	return "the end of its output:\n\t" + strings.Join(lines[max(0, len(lines)-25):], "\n\t")
}

// until waits for check to return nil.
func (p *process) until(what string, limit time.Duration, check func() error) {
	p.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s ended (%v) before %s: %v\n%s", p.cmd, p.cmd.ProcessState, what, err, p.tail())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not in %v: %s: %v\n%s, %s", limit, what, err, p.cmd, p.tail())
		}
	}
}

// untilLogged waits for a text in the output.
func (p *process) untilLogged(text string) {
	p.t.Helper()
	p.until("the output contains "+text, 5*time.Minute, func() error { return contains(text)(p.output()) })
}

// untilReady waits until a server, which may be a Prometheus too, is ready.
func (p *process) untilReady(address string) {
	p.t.Helper()
	p.until(address+" is ready", time.Minute, func() error {
		_, err := get(address + "/-/ready")
		return err
	})
}

// untilText waits for check to return nil for a text.
func (p *process) untilText(what string, get func() (string, error), check func(string) error) {
	p.t.Helper()
	p.until(what, 90*time.Second, func() error {
		text, err := get()
		if err != nil {
			return err
		}
		return check(text)
	})
}

// untilMetrics waits for check to return nil for the metrics at an address.
func (p *process) untilMetrics(what, address string, check func(exposition string) error) {
	p.t.Helper()
	p.untilText(what, func() (string, error) { return get(address + "/metrics") }, check)
}

// untilMemberships waits until a scrape returns the memberships.
func (p *process) untilMemberships(want map[string][]string, scrape func() (string, error)) {
	p.t.Helper()
	p.untilText("the memberships are right", scrape, func(exposition string) error { return sameMemberships(want, exposition) })
}

// workingIn lists the processes whose working directory is dir or below it, as "pid command line".
func workingIn(t *testing.T, dir string) map[int]string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	noError(t, err)
	found := map[int]string{}
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || cwd != dir && !strings.HasPrefix(cwd, dir+"/") {
			continue // the process has ended, or belongs to another user
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		var pid int
		fmt.Sscanf(link, "/proc/%d/cwd", &pid)
		found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
	}
	return found
}
