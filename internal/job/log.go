package job

import (
	"context"
	"log/slog"
	"strings"
)

// riverLog is River's view of the log: its errors are kept, all else is debugging. Package job itself reports
// what became of a job.
func riverLog(log *slog.Logger) *slog.Logger { return slog.New(quiet{log.Handler()}) }

type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h quiet) Enabled(ctx context.Context, level slog.Level) bool {
	if level < slog.LevelError {
		level = slog.LevelDebug
	}
	return h.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError && !passes(r) {
		return h.Handler.Handle(ctx, r)
	}
	if r.Level = slog.LevelDebug; !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h quiet) WithGroup(name string) slog.Handler { return quiet{h.Handler.WithGroup(name)} }

// passes tells that an error is only the wait for a store that somebody else writes to, or that is closing.
// River tries again by itself.
func passes(r slog.Record) bool {
	if strings.HasSuffix(r.Message, "giving up") { // says so after each error it says too
		return true
	}
	found := false
	r.Attrs(func(a slog.Attr) bool {
		text := a.Value.String()
		for _, sign := range []string{"SQLITE_BUSY", "database is locked", "deadline exceeded", "timed out", "database is closed", "closed pool", "lock timeout", "context canceled"} {
			found = found || strings.Contains(text, sign)
		}
		return !found
	})
	return found
}
