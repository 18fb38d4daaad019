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

const questionTakes = 200 * time.Millisecond

// fakeHub knows tokens' scopes, counts questions and takes its time for each.
type fakeHub struct {
	mu     sync.Mutex
	scopes map[string][]string
	down   error
	hangs  bool
	asked  []string
	atOnce int
	most   int
}

func (h *fakeHub) ask(ctx context.Context, token string) ([]string, bool, error) {
	h.mu.Lock()
	h.asked = append(h.asked, token)
	h.atOnce++
	h.most = max(h.most, h.atOnce)
	takes := questionTakes
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
	h.atOnce--
	scopes, known := h.scopes[token]
	return scopes, known, errors.Join(h.down, ctx.Err())
}

func (h *fakeHub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *fakeHub) questions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.asked)
}

func gate(h *fakeHub) *auth.Gate {
	h.scopes = map[string][]string{
		"prometheus": {"read:hub", "access:services!service=groups"},
		"ada":        {"self"},
		"other":      {"access:services!service=other"},
	}
	return auth.NewGate(h.ask, "access:services", "access:services!service=groups", "read:metrics")
}

func reason(err error) auth.Reason {
	if refusal, ok := errors.AsType[*auth.Refusal](err); ok {
		return refusal.Reason
	}
	return -1
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		for header, want := range map[string]auth.Reason{
			"Bearer prometheus": -1, "token prometheus": -1, "bearer  prometheus ": -1,
			"": auth.NoToken, "Bearer": auth.NoToken, "Bearer ": auth.NoToken, "Basic cHJvbWV0aGV1cw==": auth.NoToken, "prometheus": auth.NoToken,
			"Bearer a b": auth.NoToken, "Bearer é": auth.NoToken, "Bearer " + strings.Repeat("a", 1025): auth.NoToken,
			"Bearer nobody": auth.BadToken, "Bearer Prometheus": auth.BadToken,
			"Bearer ada": auth.NoScope, "Bearer other": auth.NoScope,
		} {
			if err := g.Check(t.Context(), header); reason(err) != want {
				t.Errorf("%.30q: %v, want reason %d", header, err, want)
			}
		}
		err := g.Check(t.Context(), "Bearer ada")
		if want := "the token has none of the scopes access:services, access:services!service=groups, read:metrics"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if !slices.Equal(slices.Compact(slices.Sorted(slices.Values(h.asked))), []string{"Prometheus", "ada", "nobody", "other", "prometheus"}) || len(h.asked) != 5 {
			t.Errorf("asked for %q", h.asked)
		}
	})
}

func TestAnswersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		check := func(when, token string, want auth.Reason, questions int) {
			t.Helper()
			if err := g.Check(t.Context(), "Bearer "+token); reason(err) != want {
				t.Errorf("%s, %s: %v", when, token, err)
			}
			if got := h.questions(); got != questions {
				t.Errorf("%s, %s: %d questions, want %d", when, token, got, questions)
			}
		}
		check("at first", "prometheus", -1, 1)
		check("at first", "ada", auth.NoScope, 2)
		h.set(func() { delete(h.scopes, "prometheus"); h.scopes["ada"] = []string{"read:metrics"} })
		time.Sleep(20 * time.Second)
		check("soon", "prometheus", -1, 2)
		check("soon", "ada", auth.NoScope, 2)
		time.Sleep(20 * time.Second)
		check("after half a minute", "ada", -1, 3) // what was granted counts
		time.Sleep(5 * time.Minute)
		check("after five minutes", "prometheus", auth.BadToken, 4) // what was revoked too
	})
}

// While the hub is down, a token that was good stays good, for a limited time. Others stay out.
func TestAHubThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		g.Grace = time.Hour
		var report error
		g.Report = func(err error) { report = err }
		check := func(when, token string, want auth.Reason) {
			t.Helper()
			if err := g.Check(t.Context(), "Bearer "+token); reason(err) != want {
				t.Errorf("%s, %s: %v", when, token, err)
			}
		}
		down := errors.New("connection refused")
		check("before", "prometheus", -1)
		h.set(func() { h.scopes["revoked"] = []string{"read:metrics"} })
		check("before", "revoked", -1)
		h.set(func() { h.down = down; delete(h.scopes, "revoked") })
		for range 64 { // more than keepAllowed and Grace would be 65 minutes
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
			t.Errorf("unknown: %v", err)
		}
		h.set(func() { h.down = nil }) // a failure isn't kept, and a question is asked each time
		check("when the hub is back", "revoked", auth.BadToken)
		check("when the hub is back", "prometheus", -1)
		h.set(func() { h.down = down })
		check("when it fails again", "revoked", auth.BadToken)
		time.Sleep(65*time.Minute - questionTakes)
		check("when the answer is too old", "prometheus", auth.NoAnswer)
		h.set(func() { h.down = nil })
		check("when the hub is back again", "prometheus", -1)
	})
}

// Grace ends by the wall clock too, which goes on while the machine is suspended.
func TestGraceEndsAfterASuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		g.Grace = time.Hour
		var suspended time.Duration
		g.Clock = func() clock.Instant {
			now := clock.Now()
			now.Wall = now.Wall.Add(suspended)
			return now
		}
		_ = g.Check(t.Context(), "Bearer prometheus")
		h.set(func() { h.down = errors.New("connection refused") })
		for asleep, want := range map[time.Duration]auth.Reason{64 * time.Minute: -1, 65 * time.Minute: auth.NoAnswer} {
			suspended = asleep
			if err := g.Check(t.Context(), "Bearer prometheus"); reason(err) != want {
				t.Errorf("after %v: %v", asleep, err)
			}
		}
	})
}

// A hub that hangs delays no scrape by more than Prometheus waits, even if several callers are known.
func TestAHubThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
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
					t.Errorf("%s: %v after %v", token, err, time.Since(began))
				}
			})
		}
		all.Wait()
	})
}

// What a caller reads names no host, and why the hub can't be asked is reported without the token.
func TestAFailureShowsNothingInternal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		var reports []error
		g.Report = func(err error) { reports = append(reports, err) }
		h.down = errors.New("the hub at http://hub.internal:8081 answered \"S3CRET-token\" \x1b[31m")
		err := g.Check(t.Context(), "Bearer s3cret-TOKEN")
		if err == nil || err.Error() != "the hub can't check the token at the moment: try again later" {
			t.Errorf("the caller reads %v", err)
		}
		want := "the hub at http://hub.internal:8081 answered \"[token]\"  [31m"
		if len(reports) != 1 || reports[0] == nil || reports[0].Error() != want || errors.Unwrap(err).Error() != want {
			t.Errorf("reports %q, want %q", reports, want)
		}
		h.set(func() { h.down = nil })
		for range 2 { // the second time from the cache
			if err := g.Check(t.Context(), "Bearer ada"); reason(err) != auth.NoScope {
				t.Error(err)
			}
		}
		if len(reports) != 2 || reports[1] != nil {
			t.Errorf("reports %q, want one for each question", reports)
		}
	})
}

// Time in suspend counts: the monotonic clock leaves it out, the wall clock doesn't.
func TestAnswersAreNoYoungerAfterASuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		suspended := time.Duration(0)
		g.Clock = func() clock.Instant {
			now := clock.Now()
			now.Wall = now.Wall.Add(suspended)
			return now
		}
		questions := func(token string) int {
			before := h.questions()
			_ = g.Check(t.Context(), "Bearer "+token)
			return h.questions() - before
		}
		for token, kept := range map[string]time.Duration{"prometheus": 5 * time.Minute, "ada": 30 * time.Second} {
			if questions(token) != 1 || questions(token) != 0 {
				t.Errorf("%s: the answer isn't kept", token)
			}
			suspended += kept - time.Second
			if questions(token) != 0 {
				t.Errorf("%s: the answer isn't kept for %v", token, kept)
			}
			suspended += time.Second
			if questions(token) != 1 {
				t.Errorf("%s: the answer is kept longer than %v", token, kept)
			}
		}
	})
}

func TestManyWithOneTokenAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		impatient, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if err := g.Check(impatient, "Bearer prometheus"); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
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
		leave() // the one who asked: the others still get the answer
		all.Wait()
		if h.questions() != 1 {
			t.Errorf("%d questions", h.questions())
		}
	})
}

// Guesses cost the hub a few questions at a time, and push out no good answer.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		if err := g.Check(t.Context(), "Bearer prometheus"); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 1100 { // more than are kept, in less time than a good answer is
			all.Go(func() {
				if err := g.Check(t.Context(), fmt.Sprint("Bearer guess-", i)); reason(err) != auth.BadToken {
					t.Errorf("guess %d: %v", i, err)
				}
			})
			if i%10 == 9 {
				all.Wait()
			}
		}
		if h.most > 4 {
			t.Errorf("%d questions at the same time", h.most)
		}
		h.set(func() { h.down = errors.New("down") })
		if err := g.Check(t.Context(), "Bearer prometheus"); err != nil {
			t.Errorf("the good answer is no longer kept: %v", err)
		}
	})
}

// A token stands in no error, and the gate has none.
func TestNoTokenIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHub{}
		g := gate(h)
		for _, header := range []string{"Bearer prometheus", "Bearer ada", "Bearer nobody", "Basic prometheus"} {
			if err := g.Check(t.Context(), header); err != nil && strings.Contains(err.Error(), strings.Fields(header)[1]) {
				t.Errorf("the error shows it: %v", err)
			}
		}
		synctest.Wait() // the one who asked has answered, and may not be done
		if text := fmt.Sprintf("%+v %#v", g, g); strings.Contains(text, "prometheus") || strings.Contains(text, "nobody") {
			t.Errorf("the gate shows it: %s", text)
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "token x", "Basic eDp5", "Bearer  x ", "BEARER\tx", "token x y", "Bearer \x00", "Bearer é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		asked := ""
		g := auth.NewGate(func(_ context.Context, token string) ([]string, bool, error) {
			asked = token
			return []string{"read:metrics"}, true, nil
		}, "read:metrics")
		err := g.Check(t.Context(), header)
		switch {
		case err != nil && (reason(err) != auth.NoToken || asked != ""):
			t.Errorf("%q: %v, asked for %q", header, err, asked)
		case err == nil && (asked == "" || len(asked) > 1024 || !strings.HasSuffix(strings.TrimSpace(header), asked) || strings.ContainsFunc(asked, func(r rune) bool { return r <= ' ' || r > '~' })):
			t.Errorf("%q let in with %q", header, asked)
		}
	})
}
