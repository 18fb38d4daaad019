// Package auth decides whether a caller may read, by what a JupyterHub says of the
// token that the caller shows. It asks by a function that it is given, and knows no
// HTTP but the header's form.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/groups-exporter/groups-exporter/internal/clock"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

const (
	// keepAllowed is for how long a token is good without asking again, and so how
	// long one that was revoked still is. It is what the hub's own services keep it.
	keepAllowed = 5 * time.Minute
	// keepRefused is shorter: a scope that was granted should count soon.
	keepRefused = 30 * time.Second
	// maxKept bounds the answers of each kind. They are apart, so that nobody pushes
	// out the good ones by guessing.
	maxKept = 1024
	// maxAsking bounds the questions to the hub at the same time: each costs it some
	// 5 ms, in which it does nothing else.
	maxAsking = 4
	// askTimeout limits the time of a check, including the wait for a slot. Prometheus gives
	// up a scrape after 10 s by default.
	askTimeout = 5 * time.Second
	// maxToken bounds a token's length; a hub's have 32 characters.
	maxToken = 1024
)

// Reason says why a caller is refused.
type Reason int

// The reasons.
const (
	NoToken  Reason = iota // none was shown, or not in a form that is known
	BadToken               // the hub doesn't know it
	NoScope                // it may do nothing that lets one read
	NoAnswer               // the hub can't be asked
)

// Refusal is the error of a caller who may not read.
type Refusal struct {
	Reason Reason
	// Scopes are those of which one would do, for NoScope.
	Scopes []string
	// Err is the reason why the hub can't be asked, for NoAnswer. It doesn't show the token.
	Err error
}

// Error says what the caller can do. Anyone may see the text, so it names no host and
// repeats nothing from the hub's answer. Unwrap returns that.
func (r *Refusal) Error() string {
	switch r.Reason {
	case NoToken:
		return "no JupyterHub token: send one in the header 'Authorization: Bearer TOKEN'. There is no login for browsers: make a token on the hub's Token page, and use it with curl"
	case BadToken:
		return "the hub doesn't know the token"
	case NoScope:
		return "the token has none of the scopes " + strings.Join(r.Scopes, ", ")
	default:
		return "the hub can't check the token at the moment: try again later"
	}
}

// Unwrap returns why the hub can't be asked.
func (r *Refusal) Unwrap() error { return r.Err }

// Scopes returns a token's scopes, and whether the hub knows the token.
type Scopes func(ctx context.Context, token string) (scopes []string, known bool, err error)

// Gate lets callers in. It keeps answers for a while, and tokens only as hashes.
type Gate struct {
	// Clock returns the time. Tests replace it.
	Clock func() clock.Instant
	// Report is called after each check, with the reason why the hub can't check tokens, or
	// nil.
	Report func(error)
	// Grace is how much longer a token that was valid is accepted while the hub can't check
	// tokens.
	Grace time.Duration

	ask     Scopes
	enough  []string
	allowed *lru.Cache[key, clock.Instant] // as of when
	refused *lru.Cache[key, refusal]
	asking  singleflight.Group
	// slots are for questions about tokens, and known for those that were good before:
	// a flood of guesses must not keep them waiting.
	slots, known chan struct{}
}

type key [sha256.Size]byte

type refusal struct {
	asOf  clock.Instant
	error *Refusal
}

// NewGate makes a gate for tokens that have one of the scopes.
func NewGate(ask Scopes, enough ...string) *Gate {
	g := &Gate{Clock: clock.Now, Report: func(error) {}, ask: ask, enough: enough, slots: make(chan struct{}, maxAsking-1), known: make(chan struct{}, 1)}
	g.allowed, _ = lru.New[key, clock.Instant](maxKept) // an error is of a size that is not positive
	g.refused, _ = lru.New[key, refusal](maxKept)
	return g
}

// Check lets in the one who sent a header Authorization, or returns a *Refusal. It
// may ask the hub; where many come with one token, it asks once.
func (g *Gate) Check(ctx context.Context, header string) error {
	token, ok := parse(header)
	if !ok {
		return &Refusal{Reason: NoToken}
	}
	hash := key(sha256.Sum256([]byte(token)))
	now := g.Clock()
	if asOf, ok := g.allowed.Get(hash); ok && asOf.Age(now) < keepAllowed {
		return nil
	}
	if r, ok := g.refused.Get(hash); ok && r.asOf.Age(now) < keepRefused {
		return r.error
	}
	answer := g.asking.DoChan(string(hash[:]), func() (any, error) {
		// Of no caller's: the others wait for it too.
		err := g.decide(context.WithoutCancel(ctx), token, hash)
		g.Report(errors.Unwrap(err))
		if errors.Unwrap(err) != nil && g.inGrace(hash) {
			err = nil
		}
		return nil, err
	})
	select {
	case got := <-answer:
		return got.Err
	case <-ctx.Done():
		return &Refusal{Reason: NoAnswer, Err: ctx.Err()}
	}
}

// inGrace reports whether a token that the hub can't check is still accepted. Callers who
// could read the metrics must not lose them because the hub is down.
func (g *Gate) inGrace(hash key) bool {
	asOf, ok := g.allowed.Get(hash)
	return ok && asOf.Age(g.Clock()) < keepAllowed+g.Grace
}

// decide asks the hub, and caches its answer. If the hub can't be asked, the *Refusal wraps
// the reason.
func (g *Gate) decide(ctx context.Context, token string, hash key) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	slots := g.slots
	if g.allowed.Contains(hash) { // and too old
		slots = g.known
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return &Refusal{Reason: NoAnswer, Err: errors.New("too many tokens are being asked about")}
	}
	asOf := g.Clock() // an answer is as old as its question
	scopes, known, err := g.ask(ctx, token)
	var no *Refusal
	switch {
	case err != nil:
		return &Refusal{Reason: NoAnswer, Err: errors.New(remote.Redact(err.Error(), token))}
	case !known:
		no = &Refusal{Reason: BadToken}
	case !slices.ContainsFunc(g.enough, func(scope string) bool { return slices.Contains(scopes, scope) }):
		no = &Refusal{Reason: NoScope, Scopes: g.enough}
	default:
		g.allowed.Add(hash, asOf)
		return nil
	}
	g.allowed.Remove(hash)
	g.refused.Add(hash, refusal{asOf, no})
	return no
}

// parse takes the token from a header Authorization: "Bearer TOKEN" or "token TOKEN",
// as a hub takes it.
func parse(header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		return "", false
	}
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false
	}
	return token, true
}
