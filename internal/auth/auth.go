// Package auth checks whether a caller's JupyterHub token has a scope that grants access to the metrics.
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
)

const (
	// allowedTTL is how long an accepted token is cached, and so how long a revoked token still works. JupyterHub's
	// own services use the same time.
	allowedTTL = 5 * time.Minute
	// refusedTTL is shorter, so that a newly granted scope works soon.
	refusedTTL = 30 * time.Second
	// maxCached limits each of the two caches. Accepted and refused tokens are cached separately, so that guesses
	// can't evict accepted tokens.
	maxCached = 1024
	// maxLookups limits concurrent lookups of tokens. Each one blocks the hub for about 5 ms.
	maxLookups = 4
	// checkTimeout limits the time of a check, including the wait for a slot. By default, a scrape of Prometheus
	// times out after 10 s.
	checkTimeout = 5 * time.Second
	// maxToken limits the length of a token. The tokens of JupyterHub have 32 characters.
	maxToken = 1024
)

// Reason is the reason why a caller is refused.
type Reason int

// The reasons.
const (
	NoToken  Reason = iota // no token, or not in a supported form
	BadToken               // the hub rejects the token
	NoScope                // the token has none of the required scopes
	NoAnswer               // the hub can't check the token
)

// Refusal is the error of a caller who may not read.
type Refusal struct {
	Reason Reason
	// Scopes lists the scopes of which the token needs one, for NoScope.
	Scopes []string
	// Err is why the hub can't check the token, for NoAnswer.
	Err error
}

// Error returns what is wrong and what the caller can do. Callers see the text, so it contains no host name and
// nothing from the hub's response.
func (r *Refusal) Error() string {
	switch r.Reason {
	case NoToken:
		return "no JupyterHub token: send one in the header 'Authorization: Bearer TOKEN'. Browsers can't log in: request a token on the hub's Token page, and use it with curl"
	case BadToken:
		return "the hub doesn't know the token"
	case NoScope:
		return "the token has none of the scopes " + strings.Join(r.Scopes, ", ")
	default:
		return "the hub can't check the token right now: try again later"
	}
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Scopes returns the scopes of a token, and reports whether the hub accepts the token. Its error must not contain the
// token.
type Scopes func(ctx context.Context, token string) (scopes []string, known bool, err error)

// Gate checks the tokens of callers. It caches the results, and stores tokens only as hashes.
type Gate struct {
	// Clock returns the time. Tests replace it.
	Clock func() clock.Instant
	// Report is called after each check, with the reason why the hub can't check tokens, or
	// nil.
	Report func(error)
	// Grace is how much longer a token that was valid is accepted while the hub can't check
	// tokens.
	Grace time.Duration

	lookUp   Scopes
	required []string
	allowed  *lru.Cache[key, clock.Instant] // with the time of the lookup
	refused  *lru.Cache[key, refusal]
	inFlight singleflight.Group
	// slots limits concurrent lookups. Tokens that were accepted before use knownSlots, so that a flood of guesses
	// can't block them.
	slots, knownSlots chan struct{}
}

type key [sha256.Size]byte

type refusal struct {
	asOf  clock.Instant
	error *Refusal
}

// NewGate returns a gate that accepts tokens with at least one of the required scopes.
func NewGate(scopesOf Scopes, required ...string) *Gate {
	g := &Gate{Clock: clock.Now, Report: func(error) {}, lookUp: scopesOf, required: required, slots: make(chan struct{}, maxLookups-1), knownSlots: make(chan struct{}, 1)}
	g.allowed, _ = lru.New[key, clock.Instant](maxCached) // fails only for sizes below 1
	g.refused, _ = lru.New[key, refusal](maxCached)
	return g
}

// Check checks the value of an Authorization header. It returns nil if the caller may read, and a *Refusal otherwise.
// Concurrent checks of the same token share one request to the hub.
func (g *Gate) Check(ctx context.Context, header string) error {
	token, ok := parse(header)
	if !ok {
		return &Refusal{Reason: NoToken}
	}
	hash := key(sha256.Sum256([]byte(token)))
	now := g.Clock()
	if asOf, ok := g.allowed.Get(hash); ok && asOf.Age(now) < allowedTTL {
		return nil
	}
	if r, ok := g.refused.Get(hash); ok && r.asOf.Age(now) < refusedTTL {
		return r.error
	}
	answer := g.inFlight.DoChan(string(hash[:]), func() (any, error) {
		// Other callers may wait for the result, so it doesn't end with the context of this one.
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
	return ok && asOf.Age(g.Clock()) < allowedTTL+g.Grace
}

// decide looks up the scopes of a token and caches the result. If the hub can't check the token, the *Refusal wraps
// the reason.
func (g *Gate) decide(ctx context.Context, token string, hash key) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	slots := g.slots
	if g.allowed.Contains(hash) { // expired
		slots = g.knownSlots
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return &Refusal{Reason: NoAnswer, Err: errors.New("too many tokens are being checked")}
	}
	asOf := g.Clock() // the hub may answer much later
	scopes, known, err := g.lookUp(ctx, token)
	var refused *Refusal
	switch {
	case err != nil:
		return &Refusal{Reason: NoAnswer, Err: err}
	case !known:
		refused = &Refusal{Reason: BadToken}
	case !slices.ContainsFunc(g.required, func(scope string) bool { return slices.Contains(scopes, scope) }):
		refused = &Refusal{Reason: NoScope, Scopes: g.required}
	default:
		g.allowed.Add(hash, asOf)
		return nil
	}
	g.allowed.Remove(hash)
	g.refused.Add(hash, refusal{asOf, refused})
	return refused
}

// parse returns the token in an Authorization header. Like JupyterHub, it accepts "Bearer TOKEN" and "token TOKEN".
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
