package exporter

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// gatherInterval keeps the metrics about the process younger than 5 s.
const gatherInterval = 4 * time.Second

// published holds the current State. The exporter's own metrics are encoded ahead of the scrapes: gathering them
// takes a millisecond and a thousand allocations, more than the rest of a scrape.
type published struct {
	gatherer prometheus.Gatherer
	log      *slog.Logger
	updating sync.Mutex
	current  atomic.Pointer[State]
}

// newPublished returns a published with a status and without metrics of a hub.
func newPublished(gatherer prometheus.Gatherer, status Status, log *slog.Logger) *published {
	p := &published{gatherer: gatherer, log: log}
	p.current.Store(&State{Status: status})
	p.update(func(*State) {})
	return p
}

// update replaces the state. The function change modifies a copy of the current state and records the exporter's own
// metrics. Scrapes see neither until change has returned and the metrics are gathered.
func (p *published) update(change func(*State)) {
	p.updating.Lock()
	defer p.updating.Unlock()
	next := *p.current.Load()
	change(&next)
	next.self = p.gather(next.self)
	next.Page = exposition.Join(append(slices.Clip(next.hub), next.self)...)
	p.current.Store(&next)
}

// gather returns the exporter's own metrics, or the previous ones if that fails.
func (p *published) gather(previous *exposition.Sheet) *exposition.Sheet {
	families, err := p.gatherer.Gather()
	if err != nil {
		// Gather returns the metrics without errors too.
		p.log.Warn("gathering the exporter's own metrics", "err", err)
	}
	sheet, err := exposition.Encode(slices.Values(families), exposition.Text, maxSelfSeries)
	if err != nil {
		p.log.Warn("encoding the exporter's own metrics", "err", err)
		return previous
	}
	return sheet
}

// maxSelfSeries is far above the number of the exporter's own series, which doesn't depend on the hub.
const maxSelfSeries = 100_000

// run keeps the exporter's own metrics fresh until ctx ends.
func (p *published) run(ctx context.Context) {
	ticker := time.NewTicker(gatherInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.update(func(*State) {})
		}
	}
}
