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

// gatherInterval keeps the metrics about the process younger than 5 s.
const gatherInterval = 4 * time.Second

// State is everything that the server shows. It is replaced as a whole, so that its parts always agree.
type State struct {
	// Page holds the hub's metrics. The nil Page is empty.
	Page *exposition.Page
	// Self holds the exporter's own metrics.
	Self *exposition.Tail
	// Status is shown on the landing page and decides the answer of /-/ready.
	Status Status
}

// Published holds the current State. The exporter's own metrics are encoded ahead of the scrapes: gathering them
// takes a millisecond and a thousand allocations, more than the rest of a scrape.
type Published struct {
	gatherer prometheus.Gatherer
	log      *slog.Logger
	updating sync.Mutex
	current  atomic.Pointer[State]
}

// NewPublished returns a Published with a status and without a page.
func NewPublished(gatherer prometheus.Gatherer, status Status, log *slog.Logger) *Published {
	p := &Published{gatherer: gatherer, log: log}
	p.current.Store(&State{Self: &exposition.Tail{}, Status: status})
	p.Update(func(*State) {})
	return p
}

// State returns the current state. The caller must not change it.
func (p *Published) State() *State { return p.current.Load() }

// Update replaces the state. The function change modifies a copy of the current state and records the exporter's own
// metrics. Scrapes see neither until change has returned and the metrics are gathered.
func (p *Published) Update(change func(*State)) {
	p.updating.Lock()
	defer p.updating.Unlock()
	next := *p.State()
	change(&next)
	next.Self = p.gather(next.Self)
	p.current.Store(&next)
}

// gather returns the exporter's own metrics, or the previous ones if that fails.
func (p *Published) gather(previous *exposition.Tail) *exposition.Tail {
	families, err := p.gatherer.Gather()
	if err != nil {
		// Metrics without errors were gathered nevertheless.
		p.log.Warn("gathering the exporter's own metrics", "err", err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			p.log.Warn("encoding the exporter's own metrics", "err", err)
		}
	}
	tail, err := exposition.NewTail(text.Bytes())
	if err != nil {
		p.log.Warn("compressing the exporter's own metrics", "err", err)
		return previous
	}
	return tail
}

// Run keeps the exporter's own metrics fresh until ctx ends.
func (p *Published) Run(ctx context.Context) {
	ticker := time.NewTicker(gatherInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.Update(func(*State) {})
		}
	}
}
