package app

import (
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Lines of requests wait for others, since each write costs a request a tenth of its time: until lateBy has passed,
// or enough bytes are there. All other lines, and those of failures, are written at once, with what waits before them.
const (
	lateBy = 100 * time.Millisecond
	enough = 32 << 10
)

// NewLog is a server's log, in JSON lines. flush writes what waits; call it at the end.
func NewLog(w io.Writer, level slog.Level) (log *slog.Logger, flush func()) {
	out := &lines{w: w}
	out.timer = time.AfterFunc(time.Hour, out.flush)
	out.timer.Stop()
	return slog.New(&handler{slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}), out}), out.flush
}

// handler is slog's, which also lets a line wait.
type handler struct {
	*slog.JSONHandler
	out *lines
}

// lines are on their way to w, in order.
type lines struct {
	w     io.Writer
	timer *time.Timer

	writing sync.Mutex // one write at a time; taken before the other
	mu      sync.Mutex
	waiting []byte
	spare   []byte
}

// Write implements io.Writer for lines that don't wait.
func (l *lines) Write(line []byte) (int, error) {
	l.add(line)
	l.flush()
	return len(line), nil
}

// later writes a line soon. Who brings it writes for others when there is enough: a reader that does not keep up
// holds requests up, as it always did, and nothing is lost.
func (l *lines) later(line []byte) {
	switch had, has := l.add(line); {
	case has >= enough:
		l.flush()
	case had == 0:
		l.timer.Reset(lateBy)
	}
}

func (l *lines) add(line []byte) (had, has int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had = len(l.waiting)
	l.waiting = append(l.waiting, line...)
	return had, len(l.waiting)
}

func (l *lines) flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	text := l.waiting
	l.waiting = l.spare[:0]
	l.mu.Unlock()
	if len(text) > 0 {
		_, _ = l.w.Write(text) // there is nowhere left to tell it
	}
	if l.spare = text; cap(text) > 4*enough {
		l.spare = nil
	}
}

// answered is what the log says of a request.
type answered struct {
	id, method, route, path, ip, actor, code string // the last two "" for none
	status, bytes                            int
	took                                     time.Duration
}

// plain tells that all texts stand in JSON as they are.
func (a *answered) plain() bool {
	return plainText(a.id) && plainText(a.method) && plainText(a.route) && plainText(a.path) && plainText(a.ip) && plainText(a.actor) && plainText(a.code)
}

func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendTo writes the line as slog's JSONHandler does.
func (a *answered) appendTo(b []byte, now time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, now)
	b = append(b, `","level":"INFO","msg":"request","request_id":"`...)
	b = append(b, a.id...)
	b = append(b, `","method":"`...)
	b = append(b, a.method...)
	b = append(b, `","route":"`...)
	b = append(b, a.route...)
	b = append(b, `","path":"`...)
	b = append(b, a.path...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(a.status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(a.bytes), 10)
	b = append(b, `,"us":`...)
	b = strconv.AppendInt(b, a.took.Microseconds(), 10)
	b = append(b, `,"ip":"`...)
	b = append(b, a.ip...)
	if a.actor != "" {
		b = append(b, `","actor":"`...)
		b = append(b, a.actor...)
	}
	if a.code != "" {
		b = append(b, `","code":"`...)
		b = append(b, a.code...)
	}
	return append(b, "\"}\n"...)
}

// second is what the lines of a second begin and end their time with: to format it takes longer than the rest of the line.
type second struct {
	unix       int64
	in         *time.Location
	text, zone string
}

var lastSecond atomic.Pointer[second]

// appendTime appends a time as time.RFC3339Nano has it.
func appendTime(b []byte, t time.Time) []byte {
	s := lastSecond.Load()
	if s == nil || s.unix != t.Unix() || s.in != t.Location() {
		s = &second{t.Unix(), t.Location(), t.Format("2006-01-02T15:04:05"), t.Format("Z07:00")}
		lastSecond.Store(s)
	}
	b = append(b, s.text...)
	if n := t.Nanosecond(); n > 0 {
		b = append(b, '.')
		for unit := 100_000_000; n > 0; unit /= 10 {
			b = append(b, byte('0'+n/unit))
			n %= unit
		}
	}
	return append(b, s.zone...)
}

// attrs are the same for slog.
func (a *answered) attrs() []slog.Attr {
	list := make([]slog.Attr, 0, 12)
	list = append(list, slog.String("request_id", a.id), slog.String("method", a.method), slog.String("route", a.route),
		slog.String("path", a.path), slog.Int("status", a.status), slog.Int("bytes", a.bytes),
		slog.Int64("us", a.took.Microseconds()), slog.String("ip", a.ip))
	if a.actor != "" {
		list = append(list, slog.String("actor", a.actor))
	}
	if a.code != "" {
		list = append(list, slog.String("code", a.code))
	}
	return list
}
