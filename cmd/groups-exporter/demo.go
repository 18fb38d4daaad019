package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/groups-exporter/groups-exporter/internal/fakehub"
	"github.com/groups-exporter/groups-exporter/internal/hub"
)

const (
	demoUsers  = 300
	demoSeed   = 2026
	demoToken  = "demo"
	demoChange = time.Minute // how often something happens on the made-up hub
)

// invite says where to look at the demo: to a person, or in JSON like every other line.
func invite(errOut io.Writer, log *slog.Logger, format logFormat, address string) {
	if format == jsonFormat {
		log.Info("open this page to look", "url", address)
		return
	}
	say(errOut, "open "+address+" to look, press Ctrl-C to stop", "")
}

// startDemo starts a made-up hub on a port of loopback, until ctx ends, and
// points the options to it.
func startDemo(ctx context.Context, o *hubOptions, log *slog.Logger) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o.api, err = hub.APIURL("http://" + listener.Addr().String())
	if err != nil {
		return err
	}
	o.token = hub.NewToken(demoToken)
	demo := fakehub.NewDemo(demoSeed, demoUsers, demoToken, time.Now())
	served := &http.Server{
		Handler: demo, ReadHeaderTimeout: time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = served.Serve(listener) }() // it ends with the Close below
	go func() {
		change := time.NewTicker(demoChange)
		defer change.Stop()
		for {
			select {
			case now := <-change.C:
				log.Info("the made-up hub changed", "what", demo.Change(now))
			case <-ctx.Done():
				_ = served.Close()
				return
			}
		}
	}()
	return nil
}
