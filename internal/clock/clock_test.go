package clock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/clock"
)

func TestAge(t *testing.T) {
	start := clock.Now()
	for _, c := range []struct {
		what            string
		monotonic, wall time.Duration // time since the start
		want            time.Duration
	}{
		{"both clocks agree", time.Hour, time.Hour, time.Hour},
		{"a suspended machine", time.Second, 8 * time.Hour, 8 * time.Hour},
		{"a wall clock that was set back", time.Hour, -time.Hour, time.Hour},
	} {
		now := clock.Instant{Monotonic: start.Monotonic.Add(c.monotonic), Wall: start.Wall.Add(c.wall)}
		if got := start.Age(now); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// If both readings were monotonic, an age would exclude the time in suspend.
func TestNowReadsBothClocks(t *testing.T) {
	now := clock.Now()
	if !strings.Contains(now.Monotonic.String(), "m=") || strings.Contains(now.Wall.String(), "m=") {
		t.Errorf("got monotonic %v and wall %v, want a wall clock without a monotonic reading", now.Monotonic, now.Wall)
	}
}
