package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/auth"
	"github.com/groups-exporter/groups-exporter/internal/clock"
)

const lookupTime = 200 * time.Millisecond

// fakeHub looks up the scopes of tokens and counts the lookups. Each takes lookupTime.
type fakeHub struct {
	mu         sync.Mutex
	scopes     map[string][]string
	down       error
	hangs      bool
	tokens     []string
	current    int
	mostAtOnce int
}

func (h *fakeHub) lookUp(ctx context.Context, token string) ([]string, bool, error) {
	h.mu.Lock()
	h.tokens = append(h.tokens, token)
	h.current++
	h.mostAtOnce = max(h.mostAtOnce, h.current)
	takes := lookupTime
	if h.hangs {
		takes = time.Hour
	}
	h.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current--
	scopes, known := h.scopes[token]
	return scopes, known, errors.Join(h.down, ctx.Err())
}

func (h *fakeHub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *fakeHub) lookups() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.tokens)
}

func newGate() (*auth.Gate, *fakeHub) {
	h := &fakeHub{scopes: map[string][]string{
		"prometheus": {"read:hub", "access:services!service=groups"},
		"ada":        {"self"},
		"other":      {"access:services!service=other"},
	}}
	return auth.NewGate(h.lookUp, "access:services", "access:services!service=groups", "read:metrics"), h
}

// suspendable returns the clock of a machine that has been suspended for a time, during which only the wall clock
// advances.
func suspendable(suspended *time.Duration) func() clock.Instant {
	return func() clock.Instant {
		now := clock.Now()
		now.Wall = now.Wall.Add(*suspended)
		return now
	}
}

func reason(err error) auth.Reason {
	if refusal, ok := errors.AsType[*auth.Refusal](err); ok {
		return refusal.Reason
	}
	return -1
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		for header, want := range map[string]auth.Reason{
			"Bearer prometheus": -1, "token prometheus": -1, "bearer  prometheus ": -1,
			"": auth.NoToken, "Bearer": auth.NoToken, "Bearer ": auth.NoToken, "Basic cHJvbWV0aGV1cw==": auth.NoToken, "prometheus": auth.NoToken,
			"Bearer a b": auth.NoToken, "Bearer é": auth.NoToken, "Bearer " + strings.Repeat("a", 1025): auth.NoToken,
			"Bearer nobody": auth.BadToken, "Bearer Prometheus": auth.BadToken,
			"Bearer ada": auth.NoScope, "Bearer other": auth.NoScope,
		} {
			if err := g.Check(t.Context(), header); reason(err) != want {
				t.Errorf("%.30q: got %v, want reason %d", header, err, want)
			}
		}
		err := g.Check(t.Context(), "Bearer ada")
		if want := "the token has none of the scopes access:services, access:services!service=groups, read:metrics"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if !slices.Equal(slices.Compact(slices.Sorted(slices.Values(h.tokens))), []string{"Prometheus", "ada", "nobody", "other", "prometheus"}) || len(h.tokens) != 5 {
			t.Errorf("looked up %q, want each token once", h.tokens)
		}
	})
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		check := func(when, token string, want auth.Reason, lookups int) {
			t.Helper()
			if err := g.Check(t.Context(), "Bearer "+token); reason(err) != want {
				t.Errorf("%s, %s: got %v, want reason %d", when, token, err, want)
			}
			if got := h.lookups(); got != lookups {
				t.Errorf("%s, %s: %d lookups, want %d", when, token, got, lookups)
			}
		}
		check("at first", "prometheus", -1, 1)
		check("at first", "ada", auth.NoScope, 2)
		h.set(func() { delete(h.scopes, "prometheus"); h.scopes["ada"] = []string{"read:metrics"} })
		time.Sleep(20 * time.Second)
		check("soon", "prometheus", -1, 2)
		check("soon", "ada", auth.NoScope, 2)
		time.Sleep(20 * time.Second)
		check("after half a minute", "ada", -1, 3) // was granted a scope
		time.Sleep(5 * time.Minute)
		check("after five minutes", "prometheus", auth.BadToken, 4) // was revoked
	})
}

// While the hub is down, tokens that were accepted before are still accepted during the grace period.
func TestHubDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		g.Grace = time.Hour
		var report error
		g.Report = func(err error) { report = err }
		check := func(when, token string, want auth.Reason) {
			t.Helper()
			if err := g.Check(t.Context(), "Bearer "+token); reason(err) != want {
				t.Errorf("%s, %s: got %v, want reason %d", when, token, err, want)
			}
		}
		down := errors.New("connection refused")
		check("before", "prometheus", -1)
		h.set(func() { h.scopes["revoked"] = []string{"read:metrics"} })
		check("before", "revoked", -1)
		h.set(func() { h.down = down; delete(h.scopes, "revoked") })
		for range 64 { // in total less than the 65 minutes of cache and grace period
			check("during the outage", "prometheus", -1)
			check("during the outage", "revoked", -1)
			check("during the outage", "unknown", auth.NoAnswer)
			time.Sleep(time.Minute - 2*time.Second)
		}
		if report == nil || report.Error() != down.Error() {
			t.Errorf("reported %v, want %v", report, down)
		}
		err := g.Check(t.Context(), "Bearer unknown")
		if errors.Unwrap(err) == nil || errors.Unwrap(err).Error() != down.Error() {
			t.Errorf("unknown: got %v, want one that wraps %v", err, down)
		}
		h.set(func() { h.down = nil }) // failures are not cached
		check("when the hub is back", "revoked", auth.BadToken)
		check("when the hub is back", "prometheus", -1)
		h.set(func() { h.down = down })
		check("when it fails again", "revoked", auth.BadToken)
		time.Sleep(65*time.Minute - lookupTime)
		check("when the answer is too old", "prometheus", auth.NoAnswer)
		h.set(func() { h.down = nil })
		check("when the hub is back again", "prometheus", -1)
	})
}

// The grace period includes the time in which the machine is suspended.
func TestGraceAfterSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		g.Grace = time.Hour
		var suspended time.Duration
		g.Clock = suspendable(&suspended)
		_ = g.Check(t.Context(), "Bearer prometheus")
		h.set(func() { h.down = errors.New("connection refused") })
		for asleep, want := range map[time.Duration]auth.Reason{64 * time.Minute: -1, 65 * time.Minute: auth.NoAnswer} {
			suspended = asleep
			if err := g.Check(t.Context(), "Bearer prometheus"); reason(err) != want {
				t.Errorf("after %v: got %v, want reason %d", asleep, err, want)
			}
		}
	})
}

// If the hub hangs, each check ends before Prometheus gives up the scrape, even with several tokens.
func TestHubHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		g.Grace = time.Hour
		tokens := []string{"prometheus"}
		for i := range 5 {
			tokens = append(tokens, fmt.Sprint("prometheus-", i))
			h.scopes[tokens[i+1]] = []string{"read:metrics"}
		}
		for _, token := range tokens {
			if err := g.Check(t.Context(), "Bearer "+token); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		h.set(func() { h.hangs = true })
		var all sync.WaitGroup
		for _, token := range tokens {
			all.Go(func() {
				began := time.Now()
				if err := g.Check(t.Context(), "Bearer "+token); err != nil || time.Since(began) > 5*time.Second {
					t.Errorf("%s: got %v after %v, want no error within 5s", token, err, time.Since(began))
				}
			})
		}
		all.Wait()
	})
}

// The caller sees no host name. Report gets the cause.
func TestErrorsHideInternals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		var reports []error
		g.Report = func(err error) { reports = append(reports, err) }
		h.down = errors.New("the hub at http://hub.internal:8081 answered 500")
		err := g.Check(t.Context(), "Bearer s3cret-TOKEN")
		if err == nil || err.Error() != "the hub can't check the token right now: try again later" {
			t.Errorf("got %v, want an error without details", err)
		}
		if len(reports) != 1 || !errors.Is(reports[0], h.down) || !errors.Is(err, h.down) {
			t.Errorf("reports %q, want %q", reports, h.down)
		}
		h.set(func() { h.down = nil })
		for range 2 { // the second result comes from the cache
			if err := g.Check(t.Context(), "Bearer ada"); reason(err) != auth.NoScope {
				t.Error(err)
			}
		}
		if len(reports) != 2 || reports[1] != nil {
			t.Errorf("reports %q, want one for each lookup", reports)
		}
	})
}

// The age of a cached result includes the time in which the machine is suspended.
func TestCacheAfterSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		var suspended time.Duration
		g.Clock = suspendable(&suspended)
		lookups := func(token string) int {
			before := h.lookups()
			_ = g.Check(t.Context(), "Bearer "+token)
			return h.lookups() - before
		}
		for token, kept := range map[string]time.Duration{"prometheus": 5 * time.Minute, "ada": 30 * time.Second} {
			if lookups(token) != 1 || lookups(token) != 0 {
				t.Errorf("%s: result not cached", token)
			}
			suspended += kept - time.Second
			if lookups(token) != 0 {
				t.Errorf("%s: result not cached for %v", token, kept)
			}
			suspended += time.Second
			if lookups(token) != 1 {
				t.Errorf("%s: result cached for longer than %v", token, kept)
			}
		}
	})
}

func TestConcurrentChecksShareLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		impatient, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := g.Check(impatient, "Bearer prometheus"); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled check: got %v, want %v", err, context.Canceled)
			}
		})
		synctest.Wait()
		for range 100 {
			all.Go(func() {
				if err := g.Check(t.Context(), "Bearer prometheus"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		leave() // cancels the check that started the lookup
		all.Wait()
		if h.lookups() != 1 {
			t.Errorf("%d lookups, want 1", h.lookups())
		}
	})
}

// Guessed tokens cause few concurrent lookups, and evict no accepted token from the cache.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newGate()
		if err := g.Check(t.Context(), "Bearer prometheus"); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 1100 { // more than the cache holds, in less time than allowedTTL
			all.Go(func() {
				if err := g.Check(t.Context(), fmt.Sprint("Bearer guess-", i)); reason(err) != auth.BadToken {
					t.Errorf("guess %d: got %v, want reason %d", i, err, auth.BadToken)
				}
			})
			if i%10 == 9 {
				all.Wait()
			}
		}
		if h.mostAtOnce > 4 {
			t.Errorf("%d lookups at the same time, want at most 4", h.mostAtOnce)
		}
		h.set(func() { h.down = errors.New("down") })
		if err := g.Check(t.Context(), "Bearer prometheus"); err != nil {
			t.Errorf("accepted token not cached: %v", err)
		}
	})
}

// Neither errors nor the gate contain a token.
func TestTokensStaySecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		for _, header := range []string{"Bearer prometheus", "Bearer ada", "Bearer nobody", "Basic prometheus"} {
			if err := g.Check(t.Context(), header); err != nil && strings.Contains(err.Error(), strings.Fields(header)[1]) {
				t.Errorf("the error contains the token: %v", err)
			}
		}
		synctest.Wait() // until the goroutines of the lookups have ended
		if text := fmt.Sprintf("%+v %#v", g, g); strings.Contains(text, "prometheus") || strings.Contains(text, "nobody") {
			t.Errorf("the gate contains a token: %s", text)
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "token x", "Basic eDp5", "Bearer  x ", "BEARER\tx", "token x y", "Bearer \x00", "Bearer é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		lookedUp := ""
		g := auth.NewGate(func(_ context.Context, token string) ([]string, bool, error) {
			lookedUp = token
			return []string{"read:metrics"}, true, nil
		}, "read:metrics")
		err := g.Check(t.Context(), header)
		switch {
		case err != nil && (reason(err) != auth.NoToken || lookedUp != ""):
			t.Errorf("%q: got %v after a lookup of %q", header, err, lookedUp)
		case err == nil && (lookedUp == "" || len(lookedUp) > 1024 || !strings.HasSuffix(strings.TrimSpace(header), lookedUp) || strings.ContainsFunc(lookedUp, func(r rune) bool { return r <= ' ' || r > '~' })):
			t.Errorf("%q: accepted after a lookup of %q", header, lookedUp)
		}
	})
}
