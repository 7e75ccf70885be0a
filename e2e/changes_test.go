package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitForChanges calls in the background.
func (s *server) waitForChanges(since, key string) <-chan reply {
	done := make(chan reply, 1)
	go func() {
		r, err := s.call("GET", "/api/v1/inventory/changes?wait=60&since="+since, "", key)
		if err != nil {
			s.t.Error(err)
		}
		done <- r
	}()
	return done
}

// within is the answer, if it comes in time.
func within(t *testing.T, limit time.Duration, done <-chan reply) reply {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(limit):
		t.Fatalf("no answer within %s", limit)
		return reply{}
	}
}

// TestWhoWaitsForChanges hears of them at once, is shown nothing once its key is revoked, and holds up no shutdown.
func TestWhoWaitsForChanges(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), "--drain", "100ms", "--waiting-max", "2")
	admin := s.login()
	key := s.key(admin, 100, "inventory:read", "inventory:write")
	post := func(n int) {
		s.must(201, "POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"1.00"}`, vinOf("5FT", n)), key)
	}
	next := s.must(200, "GET", "/api/v1/inventory/changes", "", key).text("next")

	waits := s.waitForChanges(next, key)
	time.Sleep(300 * time.Millisecond)
	post(1)
	r := within(t, 5*time.Second, waits)
	if r.StatusCode != 200 || !strings.Contains(string(r.body), vinOf("5FT", 1)) {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	next = r.text("next")

	revoked := s.key(admin, 100, "inventory:read")
	waits = s.waitForChanges(next, revoked)
	time.Sleep(300 * time.Millisecond)
	for _, k := range s.must(200, "GET", "/api/v1/api-keys", "", admin).json("apiKeys").([]any) {
		if k := k.(map[string]any); fmt.Sprint(k["scopes"]) == "[inventory:read]" {
			s.must(204, "DELETE", "/api/v1/api-keys/"+k["id"].(string), "", admin)
		}
	}
	post(2)
	if r := within(t, 5*time.Second, waits); r.StatusCode != 401 || strings.Contains(string(r.body), vinOf("5FT", 2)) {
		t.Errorf("a revoked key is answered %d %s", r.StatusCode, r.body)
	}

	next = s.must(200, "GET", "/api/v1/inventory/changes?since="+next, "", key).text("next")
	first, another := s.waitForChanges(next, key), s.waitForChanges(next, key)
	time.Sleep(300 * time.Millisecond)
	s.must(503, "GET", "/api/v1/inventory/changes?wait=60&since="+next, "", key)
	began := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	for _, waits := range []<-chan reply{first, another} {
		var got struct {
			Changes []any
			Next    string
			More    bool
		}
		r := within(t, 5*time.Second, waits)
		if err := json.Unmarshal(r.body, &got); err != nil || r.StatusCode != 200 || len(got.Changes) != 0 || got.Next != next || got.More {
			t.Errorf("%d %s %v", r.StatusCode, r.body, err)
		}
	}
	s.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the server took %s to stop", took)
	}
}
