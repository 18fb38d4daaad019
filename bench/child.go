package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/ports"
)

// patience is how long anything may take: the Python exporter takes minutes.
const patience = 10 * time.Minute

// child is a process that the benchmark started.
type child struct {
	cmd     *exec.Cmd
	address string
	started time.Time
	lines   chan string // what it wrote, closed at its end
}

// launch starts a process that sees no environment but what it is given. It ends with
// the benchmark.
func (b *bench) launch(env []string, program string, args ...string) *child {
	c := &child{lines: make(chan string, 10_000)}
	c.cmd = exec.CommandContext(b.ctx, program, args...) //nolint:gosec // what was built here, and what -python says
	c.cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, env...)
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = 10 * time.Second
	reader, writer := io.Pipe()
	c.cmd.Stdout, c.cmd.Stderr = writer, writer
	c.started = time.Now()
	check(c.cmd.Start())
	b.running.Go(func() {
		_ = c.cmd.Wait()
		_ = writer.Close()
	})
	go func() {
		defer close(c.lines)
		for text := bufio.NewScanner(reader); text.Scan(); {
			select {
			case c.lines <- text.Text():
			default: // nobody waits for any
			}
		}
	}()
	return c
}

// stop ends it, which may have ended already.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	for range c.lines { // until it has ended
	}
}

// await gives what follows a text in the next line that has it.
func (c *child) await(text string) string {
	var seen []string
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-c.lines:
			if _, rest, found := strings.Cut(line, text); found {
				return rest
			}
			if seen = append(seen, line); !ok {
				check(fmt.Errorf("%s ended\n%s", c.cmd, strings.Join(seen, "\n")))
			}
		case <-timeout:
			check(fmt.Errorf("%s doesn't say %q\n%s", c.cmd, text, strings.Join(seen, "\n")))
		}
	}
}

// until tries every now and then, until it works.
func (c *child) until(pause time.Duration, try func() error) {
	err := try()
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); err = try() {
		if c.cmd.Process.Signal(syscall.Signal(0)) != nil {
			c.await("\n") // which is in no line, so it fails with what there is
		}
		time.Sleep(pause)
	}
	check(err)
}

// cpu is the time that its threads ran. /proc/PID/stat counts in hundredths of a second,
// and a scrape can take a hundredth of that.
func (c *child) cpu() time.Duration {
	var sum time.Duration
	for _, file := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.cmd.Process.Pid))) {
		text, err := os.ReadFile(file) //nolint:gosec // of our child
		if err == nil {                // else the thread ended meanwhile
			ran, _, _ := strings.Cut(string(text), " ")
			sum += time.Duration(must(strconv.ParseInt(ran, 10, 64)))
		}
	}
	if sum == 0 {
		check(errors.New("no schedstat in /proc"))
	}
	return sum
}

// resident is what is resident now, and the most that was, in bytes.
func (c *child) resident() (now, peak int) {
	for line := range strings.Lines(string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))))) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			now = n << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &n); err == nil {
			peak = n << 10
		}
	}
	if now == 0 || peak == 0 {
		check(errors.New("no VmRSS and VmHWM in /proc"))
	}
	return now, peak
}

// reserved is an address on which only a child listens, until the benchmark ends.
func (b *bench) reserved() string {
	address, release, err := ports.Reserve()
	check(err)
	context.AfterFunc(b.ctx, release)
	return address
}
