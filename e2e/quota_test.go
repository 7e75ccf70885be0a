package e2e

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// spend sends calls from many clients at once and counts the answers 200 and 429.
func spend(t *testing.T, s *server, key string, clients, calls int) (ok, refused int64) {
	var good, over atomic.Int64
	var left atomic.Int64
	left.Store(int64(calls))
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				r, err := s.call("GET", "/api/v1/inventory?limit=1", "", key)
				switch {
				case err != nil: // the server was killed; whether it counted is unknown
				case r.StatusCode == 200:
					good.Add(1)
				case r.StatusCode == 429:
					over.Add(1)
				default:
					t.Errorf("%d %s", r.StatusCode, r.body)
				}
			}
		})
	}
	wg.Wait()
	return good.Load(), over.Load()
}

// freshKey makes a key whose window is not about to end.
func freshKey(t *testing.T, s *server, admin string, limit int) string {
	t.Helper()
	for range 20 {
		key := s.key(admin, limit, "inventory:read", "dealers:read")
		probe := s.must(404, "GET", "/api/v1/dealers/none", "", key) // counts: 404 is an answer
		reset, _ := strconv.ParseInt(probe.Header.Get("X-RateLimit-Reset"), 10, 64)
		if time.Until(time.Unix(reset, 0)) > time.Minute {
			return key
		}
	}
	t.Fatal("no key with a minute left in its window")
	return ""
}

func TestQuotaIsExactUnderParallelCalls(t *testing.T) {
	s := serve(t, t.TempDir(), "--session-rate-per-hour", "100000")
	admin := s.login()
	for round := range rounds(5, 100) {
		const limit = 300
		key := freshKey(t, s, admin, limit) // has spent one
		ok, refused := spend(t, s, key, 64, 2*limit)
		if ok != limit-1 || refused != limit+1 {
			t.Fatalf("round %d: %d of %d calls succeeded and %d were refused, want exactly %d and %d", round, ok, 2*limit, refused, limit-1, limit+1)
		}
	}
}

func TestQuotaAfterAKillIsNeverMoreAndAtMostASurplusFewer(t *testing.T) {
	data := t.TempDir()
	for round := range rounds(2, 20) {
		s := serve(t, data)
		const limit = 400
		key := freshKey(t, s, s.login(), limit)
		var before int64
		done := make(chan struct{})
		go func() { defer close(done); before, _ = spend(t, s, key, 16, 200) }()
		time.Sleep(time.Duration(10+round*7%60) * time.Millisecond)
		s.kill()
		<-done
		s = serve(t, data)
		after, _ := spend(t, s, key, 16, 2*limit)
		// Calls under way at the kill were counted and their answers lost: at most one per client.
		if total := before + after + 1; total > limit || total < limit-limit/4-16 {
			t.Fatalf("round %d: %d + %d + 1 calls in a window of %d", round, before, after, limit)
		}
		s.kill()
	}
}

func TestQuotaSurvivesAnOrderlyRestartExactly(t *testing.T) {
	data := t.TempDir()
	s := serve(t, data)
	const limit = 100
	key := freshKey(t, s, s.login(), limit)
	if ok, _ := spend(t, s, key, 8, 59); ok != 59 {
		t.Fatal(ok)
	}
	s.stop()
	s = serve(t, data)
	if ok, _ := spend(t, s, key, 8, limit); ok != limit-60 {
		t.Fatalf("%d calls after the restart, want the %d that were left", ok, limit-60)
	}
}

func TestWindowsEnd(t *testing.T) {
	s := serve(t, t.TempDir(), "--quota-window", "2s")
	key := s.key(s.login(), 3, "inventory:read")
	seen := map[string]int{}
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		r, err := s.call("GET", "/api/v1/inventory?limit=1", "", key)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode == 200 {
			seen[r.Header.Get("X-RateLimit-Reset")]++
		}
	}
	if len(seen) < 2 {
		t.Fatalf("windows %v", seen)
	}
	for reset, n := range seen {
		if n > 3 {
			t.Errorf("%d calls in the window that ends at %s", n, reset)
		}
	}
}
