package exporter

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/clock"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// A failed refresh is retried after firstRetry, or after firstRetryAtStart if the source has
// never answered. The delay doubles with each further failure, up to the interval. So the
// exporter soon notices a source that recovers, and doesn't flood one that is down. At the
// start there is nothing to publish yet, and the source may be starting too: a hub starts its
// services shortly before its proxy forwards requests to it.
const (
	firstRetry        = 10 * time.Second
	firstRetryAtStart = time.Second
)

// jitter is the maximum random change of an interval, as a fraction. With jitter, exporters that
// were started together don't poll together.
const jitter = 0.1

// poller polls one source: a hub for memberships, or a Prometheus for usage.
type poller[T any] struct {
	// Refresh reads from the source.
	Refresh func(context.Context) (T, error)
	// Publish replaces what scrapes see, and Drop removes it. They are called one at a time. Publish returns attributes
	// that describe the refresh in the log.
	Publish func(T) ([]any, error)
	Drop    func()
	// Report is called after each refresh. It may be nil.
	Report func(outcome)
	// now has room for one request to refresh at once.
	now chan struct{}
	Schedule
	// Clock returns the time. It may be nil.
	Clock func() clock.Instant
	Log   *slog.Logger

	changing sync.Mutex // held by Publish and Drop
	// asOf is the start of the refresh whose result is published, nil if there is none.
	asOf atomic.Pointer[clock.Instant]
}

// outcome describes a refresh.
type outcome struct {
	err  error // nil if the refresh succeeded
	took time.Duration
	next time.Time // when the next refresh is due
}

// refreshNow makes the next refresh begin at once, or as soon as the current one has ended.
func (p *poller[T]) refreshNow() {
	select {
	case p.now <- struct{}{}:
	default:
	}
}

// Run refreshes at once and then at the interval, until ctx ends. After a failed refresh,
// the last good result stays published until it is too old. Then Run drops it, even while
// a refresh hangs. Run logs changes of the state at their level, and repetitions at debug.
func (p *poller[T]) Run(ctx context.Context) {
	type answer struct {
		result T
		err    error
	}
	stale := time.NewTimer(p.MaxStaleness)
	stale.Stop()
	defer stale.Stop()

	failures, retry := 0, firstRetryAtStart
	var delay time.Duration
	state := "" // "up", or the last error's text
	for {
		started := p.time()
		refreshed := make(chan answer, 1)
		go func() {
			result, err := p.Refresh(ctx)
			refreshed <- answer{result, err}
		}()
		var next <-chan time.Time
		var now <-chan struct{} // not while a refresh is under way
		for waiting := true; waiting; {
			select {
			case got := <-refreshed:
				err := got.err
				var description []any
				wasPublished := p.asOf.Load() != nil
				if err == nil {
					retry = firstRetry
					description, err = p.publish(got.result, started)
				}
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					failures++
					delay = retry << min(failures-1, 20)
					if failed, ok := errors.AsType[*remote.Error](err); ok {
						delay = max(delay, failed.RetryAfter)
					}
					delay = min(delay, p.Interval)
					p.log(state != err.Error(), slog.LevelWarn, "refresh failed", "err", err, "next_in", delay.String())
					state = err.Error()
				default:
					p.log(state != "up" || !wasPublished, slog.LevelInfo, "refreshed", description...)
					failures, delay, state = 0, p.Interval, "up"
					stale.Reset(p.MaxStaleness - started.Age(p.time()))
				}
				delay = addJitter(delay)
				next, now = time.After(delay), p.now
				if p.Report != nil {
					p.Report(outcome{err: err, took: time.Since(started.Monotonic), next: time.Now().Add(delay)})
				}
			case <-stale.C:
				p.Expire()
			case <-next:
				waiting = false
			case <-now:
				waiting = false
			case <-ctx.Done():
				if next == nil {
					<-refreshed // no goroutine outlives Run
				}
				return
			}
		}
	}
}

// publish publishes the result of a refresh that started at the given time.
func (p *poller[T]) publish(result T, started clock.Instant) ([]any, error) {
	p.changing.Lock()
	defer p.changing.Unlock()
	before := p.asOf.Swap(&started) // first: Publish takes a while after scrapes see the result
	description, err := p.Publish(result)
	if err != nil {
		p.asOf.Store(before)
	}
	return description, err
}

// Expire drops the published result if it is too old. It must be called before each use,
// because the timer of Run is late if the machine was suspended or the process was stopped.
func (p *poller[T]) Expire() {
	if !p.isTooOld() {
		return
	}
	p.changing.Lock()
	defer p.changing.Unlock()
	if !p.isTooOld() {
		return // the result was replaced or dropped in the meantime
	}
	p.Log.Warn("the last good refresh is too old: its series are gone", "max_staleness", p.MaxStaleness.String())
	p.Drop()
	p.asOf.Store(nil)
}

func (p *poller[T]) isTooOld() bool {
	asOf := p.asOf.Load()
	return asOf != nil && asOf.Age(p.time()) >= p.MaxStaleness
}

func (p *poller[T]) time() clock.Instant {
	if p.Clock == nil {
		return clock.Now()
	}
	return p.Clock()
}

// addJitter changes a duration at random by up to the jitter.
func addJitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*rand.Float64()-1)))
}

// log logs a message at the level if it is new, and at debug otherwise.
func (p *poller[T]) log(isNew bool, level slog.Level, message string, attributes ...any) {
	if !isNew {
		level = slog.LevelDebug
	}
	p.Log.Log(context.Background(), level, message, attributes...)
}
