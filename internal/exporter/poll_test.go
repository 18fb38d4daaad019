package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/clock"
	"github.com/groups-exporter/groups-exporter/internal/membership"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// watched is a poller of a fake source for use with synctest. It records what the poller
// publishes and logs. The test holds the lock except while it sleeps.
type watched struct {
	poller[*membership.Snapshot]
	mu        sync.Mutex
	answer    func(ctx context.Context) error // nil for a source that succeeds
	refreshes []time.Duration                 // times since the start
	published int                             // number of published snapshots
	current   *membership.Snapshot
	log       bytes.Buffer
}

func watch(interval, staleness time.Duration) *watched {
	w := &watched{}
	begin := time.Now()
	w.poller = poller[*membership.Snapshot]{
		Refresh: func(ctx context.Context) (*membership.Snapshot, error) {
			w.mu.Lock()
			w.refreshes = append(w.refreshes, time.Since(begin))
			answer := w.answer
			w.mu.Unlock()
			if answer != nil {
				if err := answer(ctx); err != nil {
					return nil, err
				}
			}
			return membership.New("hub", membership.NewListing(time.Now(), membership.User{Name: "ada"}), membership.Rules{}), nil
		},
		Publish: func(s *membership.Snapshot) ([]any, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.current = s
			w.published++
			return []any{"users", s.Len()}, nil
		},
		Drop: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.current = nil
		},
		now:      make(chan struct{}, 1),
		Schedule: Schedule{Interval: interval, MaxStaleness: staleness},
		Log:      slog.New(slog.NewTextHandler(w, nil)),
	}
	return w
}

// Write appends to the log.
func (w *watched) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// start runs the poller until the test ends.
func (w *watched) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() {
		w.mu.Unlock()
		cancel()
		<-done
	})
	synctest.Wait()
	w.mu.Lock()
}

func (w *watched) sleep(d time.Duration) {
	w.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
}

// checkWait checks how long the poller waited after a refresh. A tenth more or less is chance.
func (w *watched) checkWait(t *testing.T, what string, after int, want time.Duration) {
	t.Helper()
	if got := w.refreshes[after+1] - w.refreshes[after]; got < want*9/10 || got > want*11/10 {
		t.Errorf("%s: got the wait %d of %v, want %v", what, after, got, want)
	}
}

// checkLog checks how often a text has been logged.
func (w *watched) checkLog(t *testing.T, text string, want int) {
	t.Helper()
	if got := strings.Count(w.log.String(), text); got != want {
		t.Errorf("%q is logged %d times, want %d:\n%s", text, got, want, &w.log)
	}
}

func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(time.Minute, time.Hour)
		w.start(t)
		if w.published != 1 {
			t.Errorf("published %d times at the start, want once", w.published)
		}
		w.sleep(10 * time.Minute)
		if n := len(w.refreshes); n < 9 || n > 12 {
			t.Errorf("got %d refreshes in ten minutes, want about 10", n)
		}
		for i := range w.refreshes[1:] {
			w.checkWait(t, "a source that answers", i, time.Minute)
		}
		w.checkLog(t, "\n", 1) // the first refresh
	})
}

func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(5*time.Minute, time.Hour)
		w.start(t)
		w.answer = func(context.Context) error { return errors.New("connection refused") }
		w.sleep(20 * time.Minute)
		if w.current == nil || w.published != 1 {
			t.Errorf("published %d times, now %v, want the first snapshot", w.published, w.current)
		}
		w.checkLog(t, "refresh failed", 1)
		w.answer = nil
		w.sleep(6 * time.Minute)
		if w.published < 2 {
			t.Error("not published after the hub recovered")
		}
		w.checkLog(t, "msg=refreshed", 2)
	})
}

func TestDifferentFailuresAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(time.Minute, time.Hour)
		n := 0
		w.answer = func(context.Context) error { n++; return fmt.Errorf("failure %d", (n-1)/3) }
		w.start(t)
		w.sleep(10 * time.Minute)
		for _, text := range []string{"failure 0", "failure 1", "failure 2"} {
			w.checkLog(t, text, 1)
		}
	})
}

func TestBackoff(t *testing.T) {
	away := func(context.Context) error { return errors.New("away") }
	for what, c := range map[string]struct {
		run   func(t *testing.T, w *watched)
		waits []time.Duration // in seconds
	}{
		"a source that has never answered": {func(t *testing.T, w *watched) {
			w.answer = away
			w.start(t)
			w.sleep(30 * time.Minute)
		}, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}},
		"a source that has answered": {func(t *testing.T, w *watched) {
			w.start(t)
			w.answer = away
			w.sleep(40 * time.Minute)
		}, []time.Duration{300, 10, 20, 40, 80, 160, 300, 300}},
		"a source that fails at the start, and again after it has answered": {func(t *testing.T, w *watched) {
			w.answer = away
			w.start(t)
			w.sleep(10 * time.Second)
			w.answer = nil
			w.sleep(10 * time.Second)
			w.answer = away
			w.sleep(40 * time.Minute)
		}, []time.Duration{1, 2, 4, 8, 300, 10, 20, 40}},
		"a source whose results can't be published": {func(t *testing.T, w *watched) {
			w.Publish = func(*membership.Snapshot) ([]any, error) { return nil, errors.New("too many series") }
			w.start(t)
			w.sleep(30 * time.Minute)
		}, []time.Duration{10, 20, 40, 80, 160, 300}},
		"an interval that is shorter than the first delay": {func(t *testing.T, w *watched) {
			w.Interval = time.Second
			w.start(t)
			w.answer = away
			w.sleep(10 * time.Second)
		}, []time.Duration{1, 1, 1, 1, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := watch(5*time.Minute, time.Hour)
			c.run(t, w)
			for i, want := range c.waits {
				w.checkWait(t, what, i, want*time.Second)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		2 * time.Minute:        2 * time.Minute,
		500 * time.Millisecond: time.Second,
		time.Hour:              5 * time.Minute, // no longer than the interval
	} {
		synctest.Test(t, func(t *testing.T) {
			w := watch(5*time.Minute, time.Hour)
			w.answer = func(context.Context) error { return &remote.Error{RetryAfter: asked} }
			w.start(t)
			w.sleep(6 * time.Minute)
			w.checkWait(t, "asked to wait "+asked.String(), 0, want)
		})
	}
}

func TestMaxStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(5*time.Minute, time.Hour)
		w.start(t)
		w.answer = func(context.Context) error { return errors.New("away") }
		w.sleep(59 * time.Minute)
		if w.current == nil {
			t.Error("dropped too soon")
		}
		w.sleep(2 * time.Minute)
		if w.current != nil {
			t.Error("not dropped after an hour")
		}
		w.sleep(5 * time.Hour)
		w.checkLog(t, "too old", 1)
		w.answer = nil
		w.sleep(6 * time.Minute)
		if w.current == nil {
			t.Error("not published after the hub recovered")
		}
		w.checkLog(t, "msg=refreshed", 2)
	})
}

// suspendable is the clock of a machine that can be suspended, during which only the wall clock advances.
type suspendable struct{ suspended atomic.Int64 }

func (c *suspendable) suspend(d time.Duration) { c.suspended.Add(int64(d)) }

func (c *suspendable) now() clock.Instant {
	now := clock.Now()
	now.Wall = now.Wall.Add(time.Duration(c.suspended.Load()))
	return now
}

// Timers stop while the machine is suspended. A scrape before they fire contains nothing that is too old.
func TestExpireAfterSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var machine suspendable
		w := watch(5*time.Minute, time.Hour)
		w.Clock = machine.now
		expire := func() *membership.Snapshot {
			w.mu.Unlock()
			w.Expire()
			w.mu.Lock()
			return w.current
		}
		w.start(t)
		machine.suspend(59 * time.Minute)
		if expire() == nil {
			t.Error("dropped too soon")
		}
		machine.suspend(time.Minute)
		for range 2 {
			if expire() != nil {
				t.Error("published after an hour")
			}
		}
		w.sleep(6 * time.Minute)
		if expire() == nil {
			t.Error("not published after a refresh")
		}
		w.checkLog(t, "too old", 1)
		w.checkLog(t, "msg=refreshed", 2)
		// The age of a result includes a suspend during the refresh.
		w.answer = func(context.Context) error { machine.suspend(8 * time.Hour); return nil }
		w.sleep(6 * time.Minute)
		if expire() != nil {
			t.Error("a refresh that took eight hours is published")
		}
	})
}

// A failure to publish is logged, and doesn't reset the age of the published result.
func TestPublishFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(5*time.Minute, time.Hour)
		publish, fail := w.Publish, false
		w.Publish = func(s *membership.Snapshot) ([]any, error) {
			if fail {
				return nil, errors.New("too many series")
			}
			return publish(s)
		}
		w.start(t)
		fail = true
		w.sleep(61 * time.Minute)
		w.checkLog(t, "too many series", 1)
		if w.current != nil {
			t.Error("still published after an hour")
		}
		if n := strings.Count(w.log.String(), "too many series"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, &w.log)
		}
	})
}

func TestExpireDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(5*time.Minute, time.Hour)
		w.start(t)
		w.answer = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w.sleep(62 * time.Minute)
		if w.current != nil {
			t.Error("old snapshot still published while a refresh hangs")
		}
		w.answer = nil
		if len(w.refreshes) != 2 {
			t.Errorf("%d refreshes, want 2, one after the other", len(w.refreshes))
		}
	})
}

func TestSuccessResetsStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(50*time.Minute, time.Hour)
		w.start(t)
		for range 20 {
			w.sleep(30 * time.Minute)
			if w.current == nil {
				t.Fatal("dropped although the hub succeeds")
			}
		}
	})
}

func TestRefreshNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(time.Hour, 3*time.Hour)
		w.answer = func(context.Context) error { time.Sleep(time.Minute); return nil }
		w.refreshNow() // while the first refresh is under way
		w.start(t)
		w.sleep(30 * time.Second)
		if len(w.refreshes) != 1 {
			t.Errorf("%d refreshes at the same time, want 1", len(w.refreshes))
		}
		w.sleep(10 * time.Minute)
		if len(w.refreshes) != 2 || w.refreshes[1] != time.Minute {
			t.Errorf("refreshes at %v, want the second after the first", w.refreshes)
		}
		w.refreshNow()
		w.sleep(2 * time.Minute)
		if len(w.refreshes) != 3 {
			t.Errorf("got refreshes at %v, want a third one", w.refreshes)
		}
	})
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(time.Hour, 3*time.Hour)
		var reports []string
		w.Report = func(o outcome) {
			reports = append(reports, fmt.Sprint(o.err, " ", o.took, " ", time.Until(o.next) > 30*time.Minute))
		}
		down := errors.New("down")
		w.answer = func(context.Context) error { time.Sleep(time.Second); return down }
		w.start(t)
		w.answer = nil
		w.sleep(time.Minute)
		if want := []string{"down 1s false", "<nil> 0s true"}; !slices.Equal(reports, want) {
			t.Errorf("reports %q, want %q", reports, want)
		}
	})
}

// synctest fails if a goroutine is still running.
func TestStop(t *testing.T) {
	for what, answer := range map[string]func(context.Context) error{
		"between refreshes": nil,
		"in a refresh":      func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"in a refresh that takes its time": func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Minute)
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(time.Minute, time.Hour)
				w.answer = answer
				t.Cleanup(func() { // runs after the cleanup of start, which stops the poller
					w.checkLog(t, "failed", 0)
				})
				w.start(t)
			})
		})
	}
}
