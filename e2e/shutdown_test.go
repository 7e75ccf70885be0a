package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestShutdownUnderLoad sends writes, which no client library repeats by itself, from clients that keep their
// connections, and ends the server in the middle.
func TestShutdownUnderLoad(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data, "--drain", "1s")
	const limit = 1_000_000
	admin := s.login()
	key := s.key(admin, limit, "inventory:read", "inventory:write")
	var answered, busy atomic.Int64
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				r, err := s.call("POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"%d.00"}`, vinOf("5FT", c*1000+i%20), 10_000+i), key)
				switch {
				case errors.Is(err, syscall.ECONNREFUSED):
					return // the listener is closed; a balancer has looked elsewhere for a second
				case err != nil:
					t.Errorf("a request was dropped: %v", err)
					return
				case r.StatusCode == 503:
					busy.Add(1)
				case r.StatusCode != 200 && r.StatusCode != 201:
					t.Errorf("%d %s", r.StatusCode, r.body)
					return
				default:
					answered.Add(1)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	time.Sleep(700 * time.Millisecond)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(300 * time.Millisecond)
	ready, err := s.call("GET", "/readyz", "")
	if err != nil || ready.StatusCode != 503 {
		t.Errorf("/readyz while draining: %v %v", ready.Response, err)
	}
	if r, err := s.call("GET", "/healthz", ""); err != nil || r.StatusCode != 200 || !r.Close {
		t.Errorf("/healthz while draining: %v %v", r.Response, err)
	}
	wg.Wait()
	s.stop()
	if busy.Load() > 0 {
		t.Errorf("%d calls were answered 503", busy.Load())
	}
	if answered.Load() < 100 {
		t.Errorf("only %d calls were answered", answered.Load())
	}

	s = serve(t, data)
	r := s.must(200, "GET", "/api/v1/inventory?limit=1", "", key)
	left, _ := strconv.ParseInt(r.Header.Get("X-RateLimit-Remaining"), 10, 64)
	if want := limit - answered.Load() - 1; left != want {
		t.Errorf("%d credits are left, want %d: not all were settled", left, want)
	}
	if r := s.must(200, "GET", "/api/v1/auth/me", "", admin); r.text("user.email") != adminEmail {
		t.Errorf("the session did not survive: %s", r.body)
	}
}

// A request under way when the signal comes is answered, however slow its client is.
func TestShutdownWaitsForARequestUnderWay(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--drain", "100ms")
	key := s.key(s.login(), 1000, "inventory:write")
	c := dial(t, s)
	body := fmt.Sprintf(`{"vin":%q,"price":"1.00"}`, vinOf("5FT", 1))
	c.send("POST /api/v1/inventory HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", key, len(body), body[:10])
	time.Sleep(100 * time.Millisecond)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(time.Second)
	select {
	case <-s.done:
		t.Fatal("the server ended with a request under way")
	default:
	}
	c.send("%s", body[10:])
	if status := c.status(5 * time.Second); status != 201 {
		t.Errorf("the request under way got %d", status)
	}
	s.stop()
}

// A second signal, or one while the program starts, ends it too; never with a panic.
func TestSignalsAtAnyTime(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond} {
		data := unmade(t)
		cmd, out := start(t, data, "serve")
		time.Sleep(wait)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code == 2 && contains(out.String(), "panic") || contains(out.String(), "goroutine ") {
			t.Errorf("after %s: exit %d\n%s", wait, code, out)
		}
		s := serve(t, data) // whatever was made so far is taken up
		s.login()
		s.stop()
	}
}
