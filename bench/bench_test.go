//go:build linux

// The benchmark reads /proc.

package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

// The benchmark starts its own binary as other processes. In the test, that is the test binary.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.NArg() == 2 {
		serve(flag.Arg(0), flag.Arg(1))
	}
	os.Exit(m.Run())
}

// A small run takes the same steps as a large one. It fails if the contestants serve different series.
func TestRun(t *testing.T) {
	b := bench{users: 500, rounds: 1, scrapers: 2, scrapeFor: 100 * time.Millisecond}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := b.report.String()
	for name, want := range map[string]int{
		"| groups-exporter ": 4, "| limit: writes bytes ": 2, "| client_golang ": 2, "500 users": 1, "2 scrapers": 1, "NaN": 0, "Inf": 0,
	} {
		if got := strings.Count(text, name); got != want {
			t.Errorf("report contains %q %d times, want %d", name, got, want)
		}
	}
	t.Log(text)
}
