//go:build !race

// The race detector drops pooled objects at random, which changes the number of allocations.

package exposition_test

import (
	"io"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// The number of allocations of a scrape doesn't depend on the number of series.
func TestAllocationsPerScrape(t *testing.T) {
	for what, write := range map[string]func(*exposition.Page) error{
		"gzip":  func(p *exposition.Page) error { return p.WriteGzip(io.Discard) },
		"plain": func(p *exposition.Page) error { _, err := p.WriteTo(io.Discard); return err },
	} {
		measure := func(n int) float64 {
			page := exposition.Join(encode(t, parts(n)...), encode(t, parts(1)...))
			return testing.AllocsPerRun(20, func() {
				if err := write(page); err != nil {
					t.Fatal(err)
				}
			})
		}
		if small, large := measure(1_000), measure(100_000); large > small || large > 10 {
			t.Errorf("%s: %v allocations at 1,000 series and %v at 100,000, want the same number, at most 10", what, small, large)
		}
	}
}
