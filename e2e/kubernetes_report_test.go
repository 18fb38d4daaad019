//go:build e2e

package e2e

import (
	"fmt"
	"time"
)

// step is how often a report looks at servers: a multiple of the time between two samples, of at least 15 s. So a server
// may count for one step too long or too short at the beginning and the end of a report's period, and for another one at
// the server's own end.
const step = 16 * time.Second

// waitForReport waits until a report on a period up to a time is complete: until the next full minute, because a report
// never ends later than the current minute began, and for a step, because the last point stands for the time after it.
func waitForReport(end time.Time) {
	minute := end.Add(-time.Nanosecond).Truncate(time.Minute).Add(time.Minute)
	for _, at := range []time.Time{minute, end.Add(step)} {
		time.Sleep(time.Until(at))
	}
}

// report checks a report on a period at whose beginning all servers ran.
func (u *spawnedUsage) report(from, to time.Time) {
	u.t.Helper()
	text := succeed(u.t, environment(), "report", "--prometheus-url="+u.prometheus.url, "--namespace="+usageNamespace,
		"--from="+from.UTC().Format(time.RFC3339), "--to="+to.UTC().Format(time.RFC3339), "--by=group,user", "--output=csv")
	want := map[string]map[string]bounds{}
	for _, s := range u.servers {
		for column, b := range s.reported(from, to) {
			if want[column] == nil {
				want[column] = map[string]bounds{}
			}
			want[column][s.user] = want[column][s.user].plus(b)
		}
	}
	got := map[string]map[string]float64{}
	groups := map[string]map[string]float64{}
	for key, row := range readReport(u.t, text) {
		if groups[key.User] == nil {
			groups[key.User] = map[string]float64{}
		}
		groups[key.User][key.Group] = row["memory_gib_hours"]
		if n := u.serversOf(key.User); row["sessions"] != float64(n) {
			u.t.Errorf("report: %s: %v sessions, want %d", key.User, row["sessions"], n)
		}
		for column, value := range row {
			if want[column] != nil && value != 0 {
				if got[column] == nil {
					got[column] = map[string]float64{}
				}
				got[column][key.User] += value
			}
		}
	}
	for column := range want {
		report(u.t, "report: "+column, within(want[column], got[column]))
	}
	report(u.t, "report: groups", u.shares(groups))
}

// reported returns what a report on a period may say about a server, by column.
func (s *spawned) reported(from, to time.Time) map[string]bounds {
	end, edges := to, 1.0
	if last := s.meter.end(); last.Before(to) {
		end, edges = last, 2
	}
	seconds := end.Sub(from).Seconds()
	hours := func(mean float64) bounds {
		return bounds{max(0, seconds-edges*step.Seconds()), seconds + edges*step.Seconds()}.times(mean / 3600)
	}
	used, change := s.meter.secondsAt(end)-s.meter.secondsAt(from), 0.1 // the part by which the rate of CPU changes
	if s.isBestEffort() {
		change = 1
	}
	found := map[string]bounds{
		"server_hours":     hours(1),
		"cpu_core_hours":   hours(used / seconds).wider(change * used / 3600),
		"memory_gib_hours": hours(s.meter.byteSeconds(from, end) / seconds / (1 << 30)),
	}
	if s.work.RequestedBytes != nil {
		found["cpu_requested_core_hours"] = hours(*s.work.RequestedCores)
		found["memory_requested_gib_hours"] = hours(*s.work.RequestedBytes / (1 << 30))
	}
	return found
}

func (u *spawnedUsage) serversOf(user string) int {
	n := 0
	for _, s := range u.servers {
		if s.user == user {
			n++
		}
	}
	return n
}

// shares checks that a user's usage is split equally among the user's groups.
func (u *spawnedUsage) shares(groups map[string]map[string]float64) error {
	for _, w := range workers {
		if len(w.servers) == 0 {
			continue
		}
		of, total := groups[w.Name], 0.0
		for _, used := range of {
			total += used
		}
		names, want := w.published(), map[string]bounds{}
		for _, name := range names {
			want[name] = bounds{total, total}.times(1 / float64(len(names))).wider(2e-6)
		}
		if err := within(want, of); err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	return nil
}
