//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A meter reads what a container uses from its control group, twice a second until the container ends. It shares no code
// with what it is compared with.
type meter struct {
	cpu, memory string // folders of the control group

	mutex    sync.Mutex
	readings []reading
}

type reading struct {
	at      time.Time
	seconds float64 // of CPU since the container's start
	bytes   float64 // the working set: memory without file pages that weren't used lately
}

// startMeter starts a meter for a container, by its ID.
func startMeter(t *testing.T, container string) *meter {
	t.Helper()
	m := &meter{cpu: findGroup(t, "cpuacct", container), memory: findGroup(t, "memory", container)}
	first, err := m.read()
	noError(t, err)
	m.readings = []reading{first}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(500 * time.Millisecond):
			}
			next, err := m.read()
			if err != nil {
				return // the container has ended
			}
			m.mutex.Lock()
			m.readings = append(m.readings, next)
			m.mutex.Unlock()
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return m
}

// findGroup returns the folder of a container's control group: below the controller's folder in version 1, and in the
// only hierarchy in version 2.
func findGroup(t *testing.T, controller, container string) string {
	t.Helper()
	root, found := "/sys/fs/cgroup/"+controller, ""
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		root = "/sys/fs/cgroup"
	}
	root, err := filepath.EvalSymlinks(root)
	noError(t, err)
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == container {
			found = path
			return fs.SkipAll
		}
		return nil // other groups may disappear
	})
	noError(t, err)
	if found == "" {
		t.Fatalf("no control group of container %s in %s", container, root)
	}
	return found
}

func (m *meter) read() (reading, error) {
	r := reading{at: time.Now()}
	nanoseconds, err := number(m.cpu+"/cpuacct.usage", "")
	r.seconds = nanoseconds / 1e9
	if errors.Is(err, fs.ErrNotExist) { // version 2
		var microseconds float64
		microseconds, err = number(m.cpu+"/cpu.stat", "usage_usec")
		r.seconds = microseconds / 1e6
	}
	if err != nil {
		return r, err
	}
	inactive := "total_inactive_file"
	r.bytes, err = number(m.memory+"/memory.usage_in_bytes", "")
	if errors.Is(err, fs.ErrNotExist) {
		inactive = "inactive_file"
		r.bytes, err = number(m.memory+"/memory.current", "")
	}
	if err != nil {
		return r, err
	}
	files, err := number(m.memory+"/memory.stat", inactive)
	r.bytes -= files
	return r, err
}

// number returns the number in a file, or the one in the line with a name.
func number(file, name string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), name)
		if found && (name == "" || strings.HasPrefix(rest, " ")) {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, file)
}

func (m *meter) all() []reading {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Clip(m.readings)
}

// secondsAt returns the CPU seconds that the container had used at a time.
func (m *meter) secondsAt(at time.Time) float64 {
	all := m.all()
	before := all[0]
	for _, r := range all {
		if r.at.After(at) && r != before {
			part := at.Sub(before.at).Seconds() / r.at.Sub(before.at).Seconds()
			return before.seconds + part*(r.seconds-before.seconds)
		}
		before = r
	}
	return before.seconds
}

// bytesBetween returns the least and the most memory that the container used in a period.
func (m *meter) bytesBetween(from, to time.Time) bounds {
	found := bounds{math.Inf(1), 0}
	for _, r := range m.all() {
		if !r.at.Before(from) && !r.at.After(to) {
			found.low, found.high = min(found.low, r.bytes), max(found.high, r.bytes)
		}
	}
	return found
}

// byteSeconds returns the memory that the container used in a period, times the time.
func (m *meter) byteSeconds(from, to time.Time) float64 {
	sum := 0.0
	all := m.all()
	for i, r := range all[1:] {
		begin, end := all[i].at, r.at
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += r.bytes * max(0, end.Sub(begin).Seconds())
	}
	return sum
}

// end returns the time of the last reading.
func (m *meter) end() time.Time {
	all := m.all()
	return all[len(all)-1].at
}
