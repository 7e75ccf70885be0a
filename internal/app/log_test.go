package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// written is what a log has written so far, by writes.
type written struct {
	mu     sync.Mutex
	writes []string
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, string(b))
	return len(b), nil
}

func (w *written) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.writes...)
}

func TestRequestsAreLoggedAsByTheLibrary(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 120000000, time.FixedZone("", 3600))
	for _, next := range []time.Duration{0, 1, 10_000, 879_989_999, 1, time.Second, 24 * time.Hour} {
		now = now.Add(next)
		for _, at := range []time.Time{now, now.UTC()} {
			if got, want := string(appendTime(nil, at)), at.Format(time.RFC3339Nano); got != want {
				t.Errorf("%s, not %s", got, want)
			}
		}
	}
	for _, a := range []answered{
		{id: "1", method: "GET", route: "GET /api/v1/inventory", path: "/api/v1/inventory", ip: "192.0.2.1", status: 200, bytes: 20670, took: 1234567},
		{id: "a.b-c_d", method: "PATCH", route: "none", path: "/~x/{y}?&<>", ip: "2001:db8::1", actor: "api_key:0199", code: "not_found", status: 404},
	} {
		var want bytes.Buffer
		r := slog.NewRecord(now, slog.LevelInfo, "request", 0)
		r.AddAttrs(a.attrs()...)
		if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := string(a.appendTo(nil, now)); !a.plain() || got != want.String() {
			t.Errorf("plain: %v\n%s%s", a.plain(), got, want.String())
		}
	}
	for _, path := range []string{`/"`, `/\`, "/\n", "/é", "/\x7f", "/\xff"} {
		if a := (answered{path: path}); a.plain() {
			t.Errorf("%q would be written as it is", path)
		}
	}
}

// Lines of requests may wait, but none is lost, in whichever order they come.
func TestLogLinesKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &written{}
		log, flush := NewLog(w, slog.LevelInfo)
		out := log.Handler().(*handler).out
		out.later([]byte("one\n"))
		out.later([]byte("two\n"))
		if len(w.all()) != 0 {
			t.Errorf("written at once: %q", w.all())
		}
		time.Sleep(lateBy)
		synctest.Wait()
		if got := w.all(); len(got) != 1 || got[0] != "one\ntwo\n" {
			t.Errorf("%q", got)
		}
		out.later([]byte("three\n"))
		log.With("n", 4).Warn("four")
		if got := w.all()[1:]; strings.Count(strings.Join(got, ""), "\n") != 2 || !strings.HasPrefix(got[0], "three\n{") || !strings.Contains(got[0], `"msg":"four","n":4}`) {
			t.Errorf("%q", got)
		}
		out.later([]byte("five\n"))
		flush()
		flush()
		if got := w.all()[2:]; len(got) != 1 || got[0] != "five\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestLogLinesOfManyAreAllWritten(t *testing.T) {
	w := &written{}
	log, flush := NewLog(w, slog.LevelInfo)
	out := log.Handler().(*handler).out
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				if line := fmt.Sprintf("%d %d %s", g, i, strings.Repeat("x", 100)); i%100 == 0 {
					log.Info(line)
				} else {
					out.later([]byte(line + "\n"))
				}
			}
		})
	}
	all.Wait()
	flush()
	next := map[int]int{}
	text := strings.Join(w.all(), "")
	for line := range strings.Lines(text) {
		var g, i int
		if _, text, found := strings.Cut(line, `"msg":"`); found {
			line = text
		}
		_, _ = fmt.Sscan(line, &g, &i)
		if next[g] != i {
			t.Fatalf("%d: %d after %d", g, i, next[g]-1)
		}
		next[g]++
	}
	if n := strings.Count(text, "\n"); n != 16000 || len(w.all()) > 1000 {
		t.Errorf("%d lines in %d writes", n, len(w.all()))
	}
}

// Whatever stands in an address, each request is one line of JSON with it.
func TestOddAddressesAreLogged(t *testing.T) {
	s, w := newServer(t), &written{}
	log, flush := NewLog(w, slog.LevelInfo)
	s.observer.log = log
	for _, target := range []string{"/plain", "/%22quoted%22", "/line%0Aend", "/%C3%A9", "/%FF"} {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	flush()
	text := strings.Join(w.all(), "")
	for _, path := range []string{`"/plain"`, `"/\"quoted\""`, `"/line\nend"`, `"/é"`, `"/?"`} {
		if !strings.Contains(text, `"route":"none","path":`+path+`,"status":404,`) {
			t.Errorf("no %s in\n%s", path, text)
		}
	}
	if strings.Count(text, "\n") != 5 {
		t.Errorf("%s", text)
	}
}
