package server

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// gatherInterval keeps what is published about the process younger than 5 s.
const gatherInterval = 4 * time.Second

// Self holds what the exporter tells about itself, encoded ahead of the scrapes:
// to gather it takes a millisecond and a thousand allocations, which is more than
// all else that a scrape costs.
type Self struct {
	gatherer prometheus.Gatherer
	log      *slog.Logger
	gather   sync.Mutex // one at a time, so that the last one stays
	current  atomic.Pointer[exposition.Tail]
}

// NewSelf gathers for the first time.
func NewSelf(gatherer prometheus.Gatherer, log *slog.Logger) *Self {
	s := &Self{gatherer: gatherer, log: log}
	s.Gather()
	return s
}

// Tail returns what was gathered last.
func (s *Self) Tail() *exposition.Tail { return s.current.Load() }

// Gather makes it anew: call it where something has happened that a scrape should tell.
func (s *Self) Gather() {
	s.gather.Lock()
	defer s.gather.Unlock()
	families, err := s.gatherer.Gather()
	if err != nil {
		// What could be gathered is there all the same.
		s.log.Warn("gathering the exporter's own metrics", "err", err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			s.log.Warn("encoding the exporter's own metrics", "err", err)
		}
	}
	tail, err := exposition.NewTail(text.Bytes())
	if err != nil {
		s.log.Warn("compressing the exporter's own metrics", "err", err)
		tail = s.Tail()
	}
	s.current.Store(tail)
}

// Run gathers again and again until ctx ends.
func (s *Self) Run(ctx context.Context) {
	ticker := time.NewTicker(gatherInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.Gather()
		}
	}
}
