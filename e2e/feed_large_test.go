package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestALargeFeed takes a large file by HTTP (20,000 rows in every run, a million in a soak) while people log in and
// read. Memory does not grow with the file, and reading stays quick.
func TestALargeFeed(t *testing.T) {
	rows := rounds(20_000, 1_000_000)
	dir := t.TempDir()
	path := filepath.Join(dir, "large.csv")
	writeLargeFeed(t, path, rows)
	s := serve(t, t.TempDir())
	key := s.feedKey()
	dealer := s.dealer(key, "Large Motors")
	before := s.source(key, dealer, "what is there before")
	if err := before.dropper().put("stock.csv", feedText("B00", 5000, 25_000, "One owner.")); err != nil {
		t.Fatal(err)
	}
	before.finished(1, 60*time.Second)
	before.lists(5000)
	x := s.source(key, dealer, "large")

	const windows = 5
	window := time.Duration(rounds(400, 8000)) * time.Millisecond
	var quiet, busy [windows]time.Duration
	people := newPeople(t, s, key)
	for i := range windows {
		quiet[i] = people.read(window)
	}
	start := s.peak()
	begun := time.Now()
	type answer struct {
		reply
		err error
	}
	sent := make(chan answer, 1)
	go func() {
		f, err := os.Open(path)
		if err != nil {
			sent <- answer{err: err}
			return
		}
		defer f.Close()
		r, err := x.upload("large.csv", f)
		sent <- answer{r, err}
	}()
	running := func() bool {
		logs := x.logs()
		return len(logs) == 0 || logs[0].text("status") == "queued" || logs[0].text("status") == "running"
	}
	n := 0
	for ; n < windows && running(); n++ {
		busy[n] = people.read(window)
	}
	r := <-sent
	if r.err != nil || r.StatusCode != 202 {
		t.Fatalf("%v %s", r.err, r.body)
	}
	received := r.text("log.received_at")
	l := x.finished(1, 10*time.Minute)[0]
	took := time.Since(begun)
	people.end()
	if l.text("status") != "completed" || l.count("records_created") != rows {
		t.Fatalf("%v", l)
	}
	x.lists(rows)
	peak := s.peak()
	var ratios []float64
	for i := range n {
		ratios = append(ratios, float64(busy[i])/float64(quiet[i]))
	}
	slices.Sort(ratios)
	t.Logf("%d rows in %s, of which %d ms processing (received at %s): %.0f rows/s", rows, ms(took), l.count("duration_ms"), received, float64(rows)/took.Seconds())
	t.Logf("at most %d MiB resident, %d before the file", peak>>20, start>>20)
	t.Logf("GET /inventory p99 quiet %v, meanwhile %v, ratios %.1f; %d logins and %d key checks meanwhile", quiet, busy[:n], ratios, people.logins.Load(), people.checks.Load())
	limit := int64(rounds(400_000_000, 600_000_000)) // with the index of a million vehicles
	if peak > limit {
		t.Errorf("%d bytes resident, want at most %d", peak, limit)
	}
	if !soak() {
		return
	}
	if n < windows {
		t.Errorf("the file was done after %d of %d windows", n, windows)
	} else if median := ratios[windows/2]; median > 5 {
		t.Errorf("the p99 of GET /inventory was %.1f times its quiet value, want at most 5", median)
	}

	// The same file again takes no second reading.
	begun = time.Now()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r, err := x.upload("large.csv", f); err != nil || r.StatusCode != 202 {
		t.Fatalf("%v %s", err, r.body)
	}
	l = x.finished(2, 10*time.Minute)[0]
	t.Logf("the same file again in %s; at most %d MiB resident", ms(time.Since(begun)), s.peak()>>20)
	if l.count("records_updated") != rows || s.peak() > limit {
		t.Errorf("%v, %d bytes resident", l, s.peak())
	}
}

// peak is the most memory the server has held so far, in bytes.
func (s *server) peak() (bytes int64) {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Skipf("LEFT OUT: memory is read from /proc, on Linux: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	s.t.Fatal("no VmHWM")
	return 0
}

// people use the server: one logs in again and again, one checks a key, some read pages when told to.
type people struct {
	t      *testing.T
	s      *server
	key    string
	stop   chan struct{}
	wg     sync.WaitGroup
	logins atomic.Int64
	checks atomic.Int64
}

func newPeople(t *testing.T, s *server, key string) *people {
	p := &people{t: t, s: s, key: key, stop: make(chan struct{})}
	admin := s.login()
	p.every(500*time.Millisecond, &p.logins, func() (reply, error) {
		return s.call("POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword))
	})
	p.every(50*time.Millisecond, &p.checks, func() (reply, error) { return s.call("GET", "/api/v1/dealers", "", key) })
	p.every(200*time.Millisecond, &p.checks, func() (reply, error) { return s.call("GET", "/api/v1/auth/me", "", admin) })
	return p
}

// every does something at an interval, which has to be answered well.
func (p *people) every(interval time.Duration, done *atomic.Int64, do func() (reply, error)) {
	p.wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
			if r, err := do(); err != nil || r.StatusCode != 200 {
				p.t.Errorf("meanwhile: %v %s", err, r.body)
				return
			}
			done.Add(1)
		}
	})
}

func (p *people) end() {
	close(p.stop)
	p.wg.Wait()
}

// read has two people read pages for a while, fifty a second each, and returns the p99 of the answers' times.
func (p *people) read(window time.Duration) (p99 time.Duration) {
	p.t.Helper()
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for end := time.Now().Add(window); time.Now().Before(end); <-tick.C {
				begun := time.Now()
				r, err := p.s.call("GET", fmt.Sprintf("/api/v1/inventory?limit=50&offset=%d", 50*rand.IntN(100)), "", p.key)
				if err != nil || r.StatusCode != 200 {
					p.t.Errorf("meanwhile: %v %s", err, r.body)
					return
				}
				mu.Lock()
				all = append(all, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}
