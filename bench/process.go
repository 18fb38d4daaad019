package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/ports"
)

// maxWait limits each wait for a process. A refresh of the Python exporter takes minutes.
const maxWait = 10 * time.Minute

// process is a process that the benchmark started.
type process struct {
	cmd     *exec.Cmd
	address string
	started time.Time
	lines   chan string // lines of output, closed when the process ends
}

// start starts a process that listens on the address, with only the given environment and a PATH.
func (b *bench) start(address string, env []string, program string, args ...string) *process {
	c := &process{address: address, lines: make(chan string, 10_000)}
	c.cmd = exec.CommandContext(b.ctx, program, args...) //nolint:gosec // the program was built here or named by -python
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
			default: // the process must not block if nothing reads its output
			}
		}
	}()
	return c
}

// reserveAddress returns an address that stays reserved for a process until the benchmark ends.
func (b *bench) reserveAddress() string {
	address, release, err := ports.Reserve()
	check(err)
	context.AfterFunc(b.ctx, release)
	return address
}

// stop terminates the process and waits until it has ended.
func (c *process) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	for range c.lines { // the channel is closed when the process ends
	}
}

// await waits for a line of output that contains a text, and returns the rest of the line after the text.
func (c *process) await(text string) string {
	var seen []string
	timeout := time.After(maxWait)
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
			check(fmt.Errorf("%s didn't print %q in time\n%s", c.cmd, text, strings.Join(seen, "\n")))
		}
	}
}

// awaitListening waits until the process accepts connections, and returns the time since its start.
func (c *process) awaitListening() time.Duration {
	for {
		connection, err := net.Dial("tcp", c.address)
		if err == nil {
			_ = connection.Close()
			return time.Since(c.started)
		}
		if c.cmd.Process.Signal(syscall.Signal(0)) != nil || time.Since(c.started) > maxWait {
			c.stop()
			check(fmt.Errorf("%s doesn't listen: %w", c.cmd, err))
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// cpu returns the CPU time of the process's threads. It doesn't use /proc/PID/stat, which counts in units of 10 ms:
// a scrape can take a hundredth of that.
func (c *process) cpu() time.Duration {
	var sum time.Duration
	for _, file := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.cmd.Process.Pid))) {
		text, err := os.ReadFile(file) //nolint:gosec // the path has only a process ID from outside
		if err == nil {                // otherwise, the thread has ended
			ran, _, _ := strings.Cut(string(text), " ")
			sum += time.Duration(must(strconv.ParseInt(ran, 10, 64)))
		}
	}
	if sum == 0 {
		check(errors.New("no schedstat in /proc"))
	}
	return sum
}

// resident returns the resident memory now and at its peak, in bytes.
func (c *process) resident() (now, peak int) {
	status := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))))
	for name, value := range map[string]*int{"VmRSS": &now, "VmHWM": &peak} {
		_, rest, _ := strings.Cut(status, "\n"+name+":")
		must(fmt.Sscanf(rest, "%d kB\n", value))
		*value <<= 10
	}
	return now, peak
}
