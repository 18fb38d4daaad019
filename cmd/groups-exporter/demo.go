package main

import (
	"context"
	"io"
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
	demoChange = time.Minute // how often the memberships of the sample hub change
)

// completeDemo configures the sample hub, which is in memory.
func (o *hubOptions) completeDemo() error {
	for _, given := range []string{o.address, o.tokenFile, o.caFile, o.certFile, o.keyFile, o.token.Reveal()} {
		if given != "" {
			return usagef("--demo has a hub of its own: it goes without --hub-url, a token and certificates")
		}
	}
	o.api = &url.URL{Scheme: "http", Host: "demo.invalid", Path: "/hub/api"}
	o.token = hub.NewToken(demoToken)
	o.sample = fakehub.NewDemo(demoSeed, demoUsers, demoToken, time.Now())
	return nil
}

// changeDemo changes the sample hub from time to time, until ctx ends.
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

// invite writes where to look at the demo. With JSON logs, it is a line of the log.
func invite(errOut io.Writer, log *slog.Logger, format logFormat, address string) {
	if format == jsonFormat {
		log.Info("open this page in a browser", "url", address)
		return
	}
	say(errOut, "open "+address+" in a browser, press Ctrl-C to stop", "")
}
