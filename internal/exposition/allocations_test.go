//go:build !race

// The race detector drops pooled objects at random, so nothing is counted under it.

package exposition_test

import (
	"io"
	"testing"

	"github.com/groups-exporter/groups-exporter/internal/exposition"
)

// A scrape costs the same number of allocations however many series there are.
func TestAllocationsPerScrape(t *testing.T) {
	measure := func(n int) (compressed, plain float64) {
		page := exposition.Join(encode(t, parts(n)), encode(t, parts(1)))
		compressed = testing.AllocsPerRun(20, func() {
			if err := page.WriteGzip(io.Discard); err != nil {
				t.Fatal(err)
			}
		})
		plain = testing.AllocsPerRun(20, func() {
			if _, err := page.WriteTo(io.Discard); err != nil {
				t.Fatal(err)
			}
		})
		return compressed, plain
	}
	smallGzip, smallPlain := measure(1_000)
	largeGzip, largePlain := measure(100_000)
	if largeGzip > smallGzip || largeGzip > 10 {
		t.Errorf("gzip: %v allocations at 1,000 series, %v at 100,000", smallGzip, largeGzip)
	}
	if largePlain > smallPlain || largePlain > 10 {
		t.Errorf("plain: %v allocations at 1,000 series, %v at 100,000", smallPlain, largePlain)
	}
}
