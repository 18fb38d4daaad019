package main

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// logFormat is the format of the log.
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

// toolkitLogger returns a logger for exporter-toolkit. It drops messages below warnings, because the exporter logs the
// same itself. It hides quoted values, because YAML's errors quote the configuration file, which may contain passwords.
func (o *logOptions) toolkitLogger(w io.Writer, redact func(string) string) *slog.Logger {
	warnings := logOptions{logLevel{max(o.level.level, slog.LevelWarn)}, o.format}
	return warnings.logger(w, func(text string) string { return redact(hideValues(text)) })
}

// logLevel is the value of a flag that takes the name of a level in any case.
type logLevel struct{ level slog.Level }

func (l *logLevel) String() string { return strings.ToLower(l.level.String()) }

// Set sets the level.
func (l *logLevel) Set(text string) error {
	level, ok := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		"warning": slog.LevelWarn, "critical": slog.LevelError, // in the Python exporter
	}[strings.ToLower(text)]
	if !ok {
		return errors.New("it must be one of: debug, info, warn, error")
	}
	l.level = level
	return nil
}

// Type returns what the help shows as the value.
func (l *logLevel) Type() string { return "debug|info|warn|error" }

// changes logs when something fails, fails for another reason, or works again. It logs repeated failures at debug
// level.
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
