package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// callers send requests to a server again and again, which are to be answered well, or with 503 while the database is
// away; above all never with 401.
type callers struct {
	t    *testing.T
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	answers []answer
}

// answer is one that a caller got.
type answer struct {
	s     *server
	what  string
	good  bool // else 503
	begun time.Time
	took  time.Duration
}

func (a answer) end() time.Time { return a.begun.Add(a.took) }

func newCallers(t *testing.T) *callers { return &callers{t: t, stop: make(chan struct{})} }

// send has a caller of its own send one kind of request, whose good answer has the given status.
func (c *callers) send(s *server, what string, status int, method, path, body string, headers ...string) {
	c.wg.Go(func() {
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			begun := time.Now()
			r, err := s.call(method, path, body, headers...)
			if err != nil {
				c.t.Errorf("%s: %v", what, err)
				return
			}
			if r.StatusCode != status && (r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || r.text("code") != "unavailable") {
				c.t.Errorf("%s: %d %v %s", what, r.StatusCode, r.Header, r.body)
			}
			c.mu.Lock()
			c.answers = append(c.answers, answer{s, what, r.StatusCode == status, begun, time.Since(begun)})
			c.mu.Unlock()
		}
	})
}

// end returns all answers.
func (c *callers) end() []answer {
	close(c.stop)
	c.wg.Wait()
	return c.answers
}

// usual sends what people and programs do most, and what needs nothing but to know the caller.
func (c *callers) usual(s *server, key, admin string) {
	c.send(s, "the inventory by key", 200, "GET", "/api/v1/inventory?limit=5", "", key)
	c.send(s, "who am I by session", 200, "GET", "/api/v1/auth/me", "", admin)
	c.send(s, "a fault by key", 422, "POST", "/api/v1/inventory", "{}", key)
}

// kindsOfCalls is how many of them usual sends to each server.
const kindsOfCalls = 3

// goodWithin tells how long each server took for a first good answer to a request it has to write for.
func goodWithin(t *testing.T, servers []*server, key string, limit time.Duration) (longest time.Duration) {
	t.Helper()
	begun := time.Now()
	for i, s := range servers {
		eventually(t, "a server writes again", limit+10*time.Second, func() bool {
			r, err := s.call("POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"1.00"}`, vinOf("0FT", i)), key)
			if err != nil || r.StatusCode != 503 && r.StatusCode != 200 && r.StatusCode != 201 {
				t.Fatalf("%v %d %s", err, r.StatusCode, r.body)
			}
			return r.StatusCode != 503
		})
	}
	if longest = time.Since(begun); longest > limit {
		t.Errorf("%v after the database was back all servers wrote again, want %v at most", longest, limit)
	}
	return longest
}

// backWithin is how soon after PostgreSQL's return a server gives a first good answer.
const backWithin = 2 * time.Second

// TestPostgreSQLKilled kills PostgreSQL under three servers at work, again and again. What was acknowledged is there, who
// was let in is let in, files are processed, and nobody has to do anything.
func TestPostgreSQLKilled(t *testing.T) {
	c := newCluster(t)
	servers := c.databases().serve(t, 3, "--session-rate-per-hour", "1000000")
	admin := servers[0].login()
	key := servers[0].feedAndInventoryKey(admin)
	source := servers[0].source(key, servers[0].dealer(key, "Main Street"), "Nightly")
	const rows = 300
	writing := &writers{acked: map[string]int{}, sent: map[string]int{}, stop: make(chan struct{}), again: true}
	calls := newCallers(t)
	for i, s := range servers {
		writing.write(t, s, key, fmt.Sprintf("%dFT", i+1), 2)
		calls.usual(s, key, admin)
	}
	taken := map[string]int{} // file → price, of those the sender was told are received
	for round := range rounds(2, 20) {
		name := fmt.Sprintf("stock-%d.csv", round)
		r, err := source.on(servers[round%3]).upload(name, strings.NewReader(feedText("A", rows, 10_000+round, "x")))
		if err != nil || r.StatusCode != 202 {
			t.Fatalf("%v %s", err, r.body)
		}
		taken[name] = 10_000 + round
		time.Sleep(rand.N(time.Second))
		how := []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL}[round%2]
		c.kill(how)
		time.Sleep(rand.N(1500 * time.Millisecond))
		c.start()
		took := goodWithin(t, servers, key, 10*time.Second) // under load; TestPostgreSQLAway holds them to backWithin
		t.Logf("round %d, %s: all three write again %v after its return", round, how, ms(took))
	}
	source.finished(len(taken), time.Minute)
	writing.end()
	answers := calls.end()
	for name := range taken {
		if logs := source.named(name); len(logs) != 1 || logs[0].text("status") != "completed" || logs[0].count("records_total") != rows {
			t.Errorf("%s: %v", name, logs)
		}
	}
	refused := 0
	for _, a := range answers {
		if !a.good {
			refused++
		}
	}
	t.Logf("%d writes acknowledged, %d refused; %d reads answered, %d of them refused", len(writing.acked), writing.refused.Load(), len(answers), refused)
	found := inventoryOfAll(t, servers[0], key)
	writing.check(t, found)
	if n := checkStores(t, servers[0].data); n != len(found) {
		t.Errorf("%d rows, %d shown", n, len(found))
	}
	for _, s := range servers {
		s.stop()
		if contains(s.logged(), "panic") {
			t.Errorf("log: %s", s.logged())
		}
	}
}

// feedAndInventoryKey makes a key for all that tests do.
func (s *server) feedAndInventoryKey(admin string) string {
	return s.key(admin, 1_000_000, "inventory:read", "inventory:write", "dealers:read", "dealers:write", "integrations:read", "integrations:write")
}

// TestPostgreSQLAway ends PostgreSQL for longer than what servers know of callers may be used.
func TestPostgreSQLAway(t *testing.T) {
	c := newCluster(t)
	servers := c.databases().serve(t, 3, "--session-rate-per-hour", "1000000")
	login := fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword)
	first := servers[0].must(200, "POST", "/api/v1/auth/login", login)
	admin := "Authorization: Bearer " + first.text("token")
	key := servers[0].feedAndInventoryKey(admin)
	source := servers[0].source(key, servers[0].dealer(key, "Main Street"), "Nightly")
	calls := newCallers(t)
	for _, s := range servers {
		calls.usual(s, key, admin)
	}
	time.Sleep(500 * time.Millisecond)
	c.kill(syscall.SIGQUIT)
	left := time.Now()
	time.Sleep(4 * time.Second)
	for _, s := range servers {
		if r, err := s.call("GET", "/healthz", ""); err != nil || r.StatusCode != 200 {
			t.Errorf("/healthz: %v %v", r.Response, err)
		}
		for path, body := range map[string]string{"/api/v1/auth/login": login, "/api/v1/auth/refresh": fmt.Sprintf(`{"refreshToken":%q}`, first.text("refreshToken"))} {
			if r := s.must(503, "POST", path, body); r.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %v", path, r.Header)
			}
		}
		if r := s.must(503, "GET", "/readyz", ""); r.Header.Get("Retry-After") == "" {
			t.Errorf("/readyz: %v", r.Header)
		}
		on := *source // a login is no wrong one for want of a database
		on.s = s
		if r, err := on.upload("away.csv", strings.NewReader(feedText("A", 5, 1, "x"))); err != nil || r.StatusCode != 503 {
			t.Errorf("an upload: %v %d %s", err, r.StatusCode, r.body)
		}
	}
	time.Sleep(2 * time.Second)
	returns := time.Now()
	c.start()
	back := time.Now()
	good := goodWithin(t, servers, key, backWithin)
	time.Sleep(500 * time.Millisecond)
	checkAway(t, calls.end(), len(servers), left, returns, back)
	t.Logf("all three write again %v after its return", ms(good))
	for i, s := range servers {
		s.login()
		on := source.on(s)
		if err := on.dropper().put("back.csv", feedText("A", 50, 2+i, "x")); err != nil {
			t.Error(err)
		}
		on.finished(1+i, time.Minute)
	}
	if r := servers[1].must(200, "POST", "/api/v1/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, first.text("refreshToken"))); r.text("token") == "" {
		t.Errorf("%s", r.body)
	}
	for _, s := range servers {
		s.stop()
	}
}

// checkAway holds the answers of a time without a database against what is promised: the cached authority counts for two
// seconds, then all is refused, quickly, until it is back.
func checkAway(t *testing.T, answers []answer, servers int, left, returns, back time.Time) {
	t.Helper()
	const authority = 2 * time.Second
	var cached int
	var lastCached, slowest, longest time.Duration
	first := map[string]time.Duration{} // caller → when it got a good answer again
	for _, a := range answers {
		switch id := a.s.url + ", " + a.what; {
		case a.begun.After(back):
			if a.good && first[id] == 0 {
				first[id] = a.end().Sub(back)
				longest = max(longest, first[id])
			}
		case a.begun.Before(left) || a.end().After(returns):
		case a.good:
			cached++
			lastCached = max(lastCached, a.begun.Sub(left))
		default:
			slowest = max(slowest, a.took)
		}
	}
	if cached == 0 || lastCached > authority {
		t.Errorf("%d callers were let in while the database was away, the last %v after it went; want some, for %v", cached, lastCached, authority)
	}
	if slowest > time.Second {
		t.Errorf("a refusal took %v", slowest)
	}
	if len(first) != servers*kindsOfCalls || longest > backWithin {
		t.Errorf("%d of %d callers got a good answer again, the last %v after its return", len(first), servers*kindsOfCalls, longest)
	}
	t.Logf("%d let in from memory, for %v; the slowest refusal %v; first good answers at most %v after its return", cached, ms(lastCached), ms(slowest), ms(longest))
}
