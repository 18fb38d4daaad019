package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// logFormat is how lines are written.
type logFormat string

const (
	logfmtFormat logFormat = "logfmt"
	jsonFormat   logFormat = "json"
)

type logOptions struct {
	level  logLevel
	format logFormat
}

func (o *logOptions) addFlags(cmd *cobra.Command) {
	o.format = logfmtFormat
	cmd.Flags().Var(&o.level, "log.level", "lowest level to log")
	completeWords(cmd, "log.level", []string{"debug", "info", "warn", "error"})
	addChoice(cmd, &o.format, "log.format", "format of the log", logfmtFormat, jsonFormat)
	setHeading(cmd, "Logging")
}

// logger returns a logger that writes to w. Every text in a line goes through redact first.
func (o *logOptions) logger(w io.Writer, redact func(string) string) *slog.Logger {
	options := &slog.HandlerOptions{Level: o.level.level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if kind := a.Value.Kind(); kind != slog.KindString && kind != slog.KindAny {
			return a
		}
		return slog.String(a.Key, redact(a.Value.String()))
	}}
	if o.format == jsonFormat {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// toolkitHandler handles the log of exporter-toolkit. It drops messages below warnings, since the
// exporter logs the same itself. It hides what errors quote, because the toolkit rereads its
// configuration file, which may contain passwords, and errors of YAML quote it.
type toolkitHandler struct{ slog.Handler }

// Enabled reports whether messages of a level are logged.
func (h toolkitHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle logs a message.
func (h toolkitHandler) Handle(ctx context.Context, r slog.Record) error {
	safe := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" {
			a = slog.String(a.Key, hideValues(a.Value.String()))
		}
		safe.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, safe)
}

// logLevel is a flag. It takes the Python exporter's words too, in any case.
type logLevel struct{ level slog.Level }

func (l *logLevel) String() string { return strings.ToLower(l.level.String()) }

// Set takes a level's name.
func (l *logLevel) Set(text string) error {
	switch strings.ToLower(text) {
	case "debug":
		l.level = slog.LevelDebug
	case "info":
		l.level = slog.LevelInfo
	case "warn", "warning":
		l.level = slog.LevelWarn
	case "error", "critical":
		l.level = slog.LevelError
	default:
		return errors.New("it must be one of: debug, info, warn, error")
	}
	return nil
}

// Type is what the help shows in the value's place.
func (l *logLevel) Type() string { return "debug|info|warn|error" }

// changes logs when something fails, fails for another reason, or works again. Repeated
// failures are logged at debug level only.
type changes struct {
	log            *slog.Logger
	failed, mended string // messages

	mu   sync.Mutex
	last string // error, empty while it works
}

// report records the outcome of an attempt.
func (c *changes) report(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last
	c.last = ""
	if err != nil {
		c.last = err.Error()
	}
	switch {
	case c.last == before && err != nil:
		c.log.Debug(c.failed, "err", err)
	case err != nil:
		c.log.Warn(c.failed, "err", err)
	case before != "":
		c.log.Info(c.mended)
	}
}
