package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIsPresent(t *testing.T) {
	const interval = 60_000
	times := []int64{10_000, 70_000, 130_900, 400_000} // the third is late
	for scrape, want := range map[int64]bool{
		9_999: false, 10_000: true, 40_000: true, 130_000: true, 130_900: true, 190_200: true, 190_900: false, 250_000: false, 399_000: false,
	} {
		if got := isPresent(times, scrape, interval); got != want {
			t.Errorf("a series at %d: got %v, want %v", scrape, got, want)
		}
	}
}

func TestWithoutShort(t *testing.T) {
	minute := time.Minute.Milliseconds()
	calm := []window{{0, 10 * minute}, {30 * minute, 40 * minute}}
	absent := []window{{10 * minute, 12 * minute}, {15 * minute, 16 * minute}, {20 * minute, 30 * minute}, {40 * minute, 41 * minute}}
	got := withoutShort(absent, calm, 2*time.Minute)
	want := []window{{15 * minute, 16 * minute}, {20 * minute, 30 * minute}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(window{})); diff != "" {
		t.Errorf("gaps (-want +got)\n%s", diff)
	}
}
