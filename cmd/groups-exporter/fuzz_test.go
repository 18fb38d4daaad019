package main

import (
	"testing"
	"time"
)

// A time that is taken is one to wait for, and is written so that it is taken again.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"90s", "5m", "1h", "3600", "0", "-1s", "1y", "1e3s", "8760h", "8761h", "9223372036s", "9999999999999", ".5s", "1h30m0.5s", " 1s", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, again time.Duration
		if err := (duration{&got}).Set(text); err != nil {
			if got != 0 {
				t.Errorf("%q is refused and taken: %v", text, got)
			}
			return
		}
		if got <= 0 || got > 365*24*time.Hour {
			t.Errorf("%q is %v", text, got)
		}
		if err := (duration{&again}).Set(duration{&got}.String()); err != nil || again != got {
			t.Errorf("%q is %v, and that is %v, %v", text, got, again, err)
		}
	})
}
