//go:build linux

// The benchmark reads /proc.

package main

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

// The benchmark starts its own binary as other processes. In the test, that is the test binary.
func TestMain(m *testing.M) {
	var p process
	flag.Var(&p, processFlag, "internal: how the benchmark starts itself")
	flag.Parse()
	if p.kind == "" {
		os.Exit(m.Run())
	}
	if err := p.serve(context.Background()); err != nil {
		panic(err)
	}
}

// A small run takes the same steps as a large one. It fails if the contestants serve different series.
func TestMeasure(t *testing.T) {
	text, err := measure(t.Context(), options{series: []int{2000}, rounds: 2, seed: 1, starts: 1, concurrentFor: 100 * time.Millisecond, output: "markdown"})
	if err != nil {
		t.Fatal(err)
	}
	for name, times := range map[string]int{
		"| groups-exporter ": 6, "| limit: writes bytes ": 4, "| GaugeVec, promhttp ": 4, "| constant metrics, promhttp ": 4,
		" gzip ": 4, " plain ": 4, "2,000 series": 3, "target": 1,
	} {
		if got := strings.Count(text, name); got < times {
			t.Errorf("report contains %q %d times, want at least %d", name, got, times)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("report contains NaN or Inf")
	}
	t.Log(text)
}
