//go:build linux

// What is measured is in /proc.

package main

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

// The benchmark starts itself in other roles, so this test binary has them too.
func TestMain(m *testing.M) {
	var r role
	flag.Var(&r, roleFlag, "as which it is started")
	flag.Parse()
	if r.name == "" {
		os.Exit(m.Run())
	}
	if err := r.serve(context.Background()); err != nil {
		panic(err)
	}
}

// The smallest run has all that a large one has. That the contestants serve the same
// series is checked on the way.
func TestMeasure(t *testing.T) {
	text, err := measure(t.Context(), options{series: []int{2000}, rounds: 2, seed: 1, starts: 1, crowd: 100 * time.Millisecond, output: "markdown"})
	if err != nil {
		t.Fatal(err)
	}
	for name, times := range map[string]int{
		"| groups-exporter ": 6, "| limit: writes bytes ": 4, "| GaugeVec, promhttp ": 4, "| constant metrics, promhttp ": 4,
		" gzip ": 4, " plain ": 4, "2,000 series": 3, "target": 1,
	} {
		if got := strings.Count(text, name); got < times {
			t.Errorf("%q is there %d times, not %d", name, got, times)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a number was not measured")
	}
	t.Log(text)
}
