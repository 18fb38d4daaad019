package main

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
)

const (
	demoUsers  = 300
	demoSeed   = 2026
	demoToken  = "demo"
	demoChange = time.Minute // interval between changes of memberships

	demoChanges = 12 // since the memberships that groups --diff compares with
)

// completeDemo sets the options for the sample hub, which is in memory.
func (o *hubOptions) completeDemo() error {
	for _, given := range []string{o.address, o.tokenFile, o.caFile, o.certFile, o.keyFile, o.token.Reveal()} {
		if given != "" {
			return usagef("--demo has its own hub: remove --hub-url, the token and certificates")
		}
	}
	o.api = &url.URL{Scheme: "http", Host: "demo.invalid", Path: "/hub/api"}
	o.token = hub.NewToken(demoToken)
	o.sample = fakehub.NewDemo(demoSeed, demoUsers, demoToken, time.Now())
	return nil
}

// changeDemo changes the sample hub every minute, until ctx ends.
func changeDemo(ctx context.Context, sample *fakehub.Demo, log *slog.Logger) {
	change := time.NewTicker(demoChange)
	defer change.Stop()
	for {
		select {
		case now := <-change.C:
			log.Info("the sample hub changed", "what", sample.Change(now))
		case <-ctx.Done():
			return
		}
	}
}
