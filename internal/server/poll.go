// Package server keeps what is published fresh, and hands it out over HTTP. It
// is given functions to refresh and to publish: it knows no hub, no metric and
// no flag.
package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/membership"
)

// firstRetry is how soon a refresh is tried again after the first failure. The
// wait doubles with each further one, up to the interval: a hub that comes back
// is seen soon, and one that is down is not beset.
const firstRetry = 10 * time.Second

// jitter is how much of an interval chance takes or adds, so that exporters that
// were started together don't ask together.
const jitter = 0.1

// Poller refreshes one hub's snapshot until it is told to stop.
type Poller struct {
	// Refresh asks the hub.
	Refresh func(context.Context) (*membership.Snapshot, error)
	// Publish replaces what scrapes see, and Drop takes it away. Run alone calls
	// them, one at a time.
	Publish func(*membership.Snapshot) error
	Drop    func()
	// RetryAfter tells how long the hub asked to be left alone when a refresh failed.
	RetryAfter func(error) time.Duration
	// Interval is the time from the end of a refresh to the next.
	Interval time.Duration
	// MaxStaleness is how long after the last success its snapshot is published.
	MaxStaleness time.Duration
	Log          *slog.Logger
}

// Run refreshes at once and then again and again, until ctx ends. A refresh that
// fails leaves what is published as it is, until that grows too old: then it is
// taken away, also while a refresh hangs. A change of state is logged, and what
// stays the same is not.
func (p *Poller) Run(ctx context.Context) {
	type outcome struct {
		snapshot *membership.Snapshot
		err      error
	}
	stale := time.NewTimer(p.MaxStaleness)
	stale.Stop()
	defer stale.Stop()

	failures := 0
	var wait time.Duration
	state := "" // "up", or the last error's text
	for {
		refreshed := make(chan outcome, 1)
		go func() {
			snapshot, err := p.Refresh(ctx)
			refreshed <- outcome{snapshot, err}
		}()
		var next <-chan time.Time
		for waiting := true; waiting; {
			select {
			case got := <-refreshed:
				err := got.err
				if err == nil {
					err = p.Publish(got.snapshot)
				}
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					failures++
					wait = min(p.Interval, max(firstRetry<<min(failures-1, 20), p.RetryAfter(err)))
					p.log(state != err.Error(), slog.LevelWarn, "refresh failed", "err", err, "next_in", wait.String())
					state = err.Error()
				default:
					p.log(state != "up", slog.LevelInfo, "refreshed", "users", got.snapshot.Len(), "memberships", got.snapshot.Memberships())
					failures, wait, state = 0, p.Interval, "up"
					stale.Reset(p.MaxStaleness)
				}
				next = time.After(vary(wait))
			case <-stale.C:
				p.Log.Warn("the last good refresh is too old: the hub's series are gone", "max_staleness", p.MaxStaleness.String())
				if state == "up" { // a refresh hangs
					state = "" // so that its end is news
				}
				p.Drop()
			case <-next:
				waiting = false
			case <-ctx.Done():
				if next == nil {
					<-refreshed // nothing of a refresh outlives Run
				}
				return
			}
		}
	}
}

// vary adds or takes up to a tenth.
func vary(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*rand.Float64()-1)))
}

// log writes news at the level, and what isn't news at debug.
func (p *Poller) log(news bool, level slog.Level, message string, attributes ...any) {
	if !news {
		level = slog.LevelDebug
	}
	p.Log.Log(context.Background(), level, message, attributes...)
}
