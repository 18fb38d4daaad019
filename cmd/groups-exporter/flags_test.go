package main

import (
	"testing"
	"time"
)

func TestDurationsAreWrittenShort(t *testing.T) {
	for _, want := range []string{"1ms", "30s", "2m", "10m", "1m30s", "1h", "100h", "1h10m", "1h0m5s", "1h1m1s"} {
		value, err := time.ParseDuration(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := (duration{&value}).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
