package main

import (
	"slices"
	"sync"

	"github.com/groups-exporter/groups-exporter/internal/hub"
	"github.com/groups-exporter/groups-exporter/internal/remote"
)

// secrets holds the tokens that neither the log nor a page may show, even if a hub's answer repeats them: the current
// token and, after a rotation, the previous one. A nil secrets holds none.
type secrets struct {
	mu     sync.Mutex
	tokens []string // the latest is the last
}

// add adds a token that was read.
func (s *secrets) add(token hub.Token) {
	if s == nil || token.Reveal() == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.tokens, token.Reveal()) {
		return
	}
	s.tokens = append(s.tokens, token.Reveal())
	s.tokens = slices.Clone(s.tokens[max(0, len(s.tokens)-2):])
}

// redact returns a text without the tokens and without control characters.
func (s *secrets) redact(text string) string {
	if s == nil {
		return remote.Redact(text)
	}
	s.mu.Lock()
	tokens := s.tokens
	s.mu.Unlock()
	return remote.Redact(text, tokens...)
}
