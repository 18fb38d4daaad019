// Package server keeps what is published fresh, and hands it out over HTTP. It
// is given functions to refresh and to publish: it knows no hub, no metric and
// no flag.
package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// firstRetry is how soon a refresh is tried again after the first failure. The
// wait doubles with each further one, up to the interval: a hub that comes back
// is seen soon, and one that is down is not beset.
const firstRetry = 10 * time.Second

// jitter is how much of an interval chance takes or adds, so that exporters that
// were started together don't ask together.
const jitter = 0.1

// Poller asks one source again and again, until it is told to stop: a hub for a
// snapshot, or a Prometheus for an answer.
type Poller[T any] struct {
	// Refresh asks the source.
	Refresh func(context.Context) (T, error)
	// Publish replaces what scrapes see, and Drop takes it away. Run alone calls
	// them, one at a time. What Publish returns describes the refresh in the log.
	Publish func(T) ([]any, error)
	Drop    func()
	// RetryAfter tells how long the source asked to be left alone when a refresh
	// failed. It may be nil.
	RetryAfter func(error) time.Duration
	// Report hears of each refresh: why it failed, or nil, and when the next one is
	// due. It may be nil.
	Report func(err error, next time.Time)
	// Now makes the next refresh begin at once. It may be nil.
	Now <-chan struct{}
	// Interval is the time from the end of a refresh to the next.
	Interval time.Duration
	// MaxStaleness is how long after the last success its result is published.
	MaxStaleness time.Duration
	Log          *slog.Logger
}

// Run refreshes at once and then again and again, until ctx ends. A refresh that
// fails leaves what is published as it is, until that grows too old: then it is
// taken away, also while a refresh hangs. A change of state is logged, and what
// stays the same is not.
func (p *Poller[T]) Run(ctx context.Context) {
	type outcome struct {
		result T
		err    error
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
			result, err := p.Refresh(ctx)
			refreshed <- outcome{result, err}
		}()
		var next <-chan time.Time
		var now <-chan struct{} // not while a refresh is under way
		for waiting := true; waiting; {
			select {
			case got := <-refreshed:
				err := got.err
				var description []any
				if err == nil {
					description, err = p.Publish(got.result)
				}
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					failures++
					wait = firstRetry << min(failures-1, 20)
					if p.RetryAfter != nil {
						wait = max(wait, p.RetryAfter(err))
					}
					wait = min(wait, p.Interval)
					p.log(state != err.Error(), slog.LevelWarn, "refresh failed", "err", err, "next_in", wait.String())
					state = err.Error()
				default:
					p.log(state != "up", slog.LevelInfo, "refreshed", description...)
					failures, wait, state = 0, p.Interval, "up"
					stale.Reset(p.MaxStaleness)
				}
				wait = vary(wait)
				next, now = time.After(wait), p.Now
				if p.Report != nil {
					p.Report(err, time.Now().Add(wait))
				}
			case <-stale.C:
				p.Log.Warn("the last good refresh is too old: its series are gone", "max_staleness", p.MaxStaleness.String())
				if state == "up" { // a refresh hangs
					state = "" // so that its end is news
				}
				p.Drop()
			case <-next:
				waiting = false
			case <-now:
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
func (p *Poller[T]) log(news bool, level slog.Level, message string, attributes ...any) {
	if !news {
		level = slog.LevelDebug
	}
	p.Log.Log(context.Background(), level, message, attributes...)
}
