package quota

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// clock is a settable clock.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time      { return time.Unix(0, c.at.Load()) }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

var subject = Subject{Group: "group", ID: "0198-key"}

func start(t *testing.T, db *sqldb.DB, c *clock) (l *Ledger, stop func()) {
	t.Helper()
	l, err := New(db, Options{Window: time.Hour, Now: c.now, Log: slog.New(slog.DiscardHandler), Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return l, stop
}

// call is one request that counts.
func call(t *testing.T, l *Ledger, limit int64) bool {
	t.Helper()
	c, err := l.Take(t.Context(), subject, Limit{Calls: limit})
	if err != nil && errs.KindOf(err) != errs.KindRateLimited {
		t.Errorf("take: %v", err)
	}
	if err != nil {
		c.Settle(429)
		return false
	}
	c.Settle(200)
	return true
}

func parallel(t *testing.T, l *Ledger, clients, calls int, limit int64) int64 {
	var ok atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range calls {
				if call(t, l, limit) {
					ok.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return ok.Load()
}

func TestParallelCallsAreCountedExactly(t *testing.T) {
	for round := range 20 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			l, _ := start(t, sqldbtest.Open(t, sqldb.Accounts), newClock())
			limit := int64(100 + 37*round)
			if got := parallel(t, l, 64, int(2*limit)/64+1, limit); got != limit {
				t.Fatalf("%d of %d calls succeeded, want exactly %d", got, 64*(2*limit/64+1), limit)
			}
		})
	}
}

func TestRemainingCountsDownWithoutAJump(t *testing.T) {
	l, _ := start(t, sqldbtest.Open(t, sqldb.Accounts), newClock())
	for want := int64(199); want >= 0; want-- {
		c, err := l.Take(t.Context(), subject, Limit{Calls: 200})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Settle(200); got.Remaining != want || got.Limit != 200 {
			t.Fatalf("got %+v, want remaining %d", got, want)
		}
	}
	c, err := l.Take(t.Context(), subject, Limit{Calls: 200})
	if errs.KindOf(err) != errs.KindRateLimited || c.Settle(429).Remaining != 0 {
		t.Fatalf("after the last credit: %v", err)
	}
}

func TestACountSurvivesAnOrderlyRestart(t *testing.T) {
	db, c := sqldbtest.Open(t, sqldb.Accounts), newClock()
	l, stop := start(t, db, c)
	if got := parallel(t, l, 8, 50, 1000); got != 400 {
		t.Fatal(got)
	}
	stop()
	l, _ = start(t, db, c)
	if got := parallel(t, l, 8, 200, 1000); got != 600 {
		t.Fatalf("%d calls after the restart, want the 600 that were left", got)
	}
}

func TestACrashLosesAtMostOneSurplus(t *testing.T) {
	db, c := sqldbtest.Open(t, sqldb.Accounts), newClock()
	l, _ := start(t, db, c)
	before := parallel(t, l, 4, 100, 1000)
	m := l.meter(subject)
	m.mu.Lock()
	surplus := m.credits
	m.mu.Unlock()
	// The first ledger is left as it stands, as a kill would; a new one begins from the store.
	l2, _ := start(t, db, c)
	after := parallel(t, l2, 8, 200, 1000)
	if before+after > 1000 || before+after < 1000-surplus {
		t.Fatalf("%d + %d calls in one window of 1000 with a surplus of %d lost", before, after, surplus)
	}
}

func TestAnswersThatDontCountGiveTheirCreditBack(t *testing.T) {
	l, _ := start(t, sqldbtest.Open(t, sqldb.Accounts), newClock())
	for _, status := range []int{401, 304, 429, 500, 503} {
		c, err := l.Take(t.Context(), subject, Limit{Calls: 1})
		if err != nil {
			t.Fatalf("before %d: %v", status, err)
		}
		if got := c.Settle(status); got.Remaining != 1 {
			t.Errorf("status %d leaves %d, want 1", status, got.Remaining)
		}
	}
	for _, status := range []int{403} {
		c, err := l.Take(t.Context(), subject, Limit{Calls: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Settle(status); got.Remaining != 0 {
			t.Errorf("status %d leaves %d, want 0", status, got.Remaining)
		}
	}
}

func TestAChangedLimitKeepsTheCount(t *testing.T) {
	l, _ := start(t, sqldbtest.Open(t, sqldb.Accounts), newClock())
	if got := parallel(t, l, 4, 50, 1000); got != 200 {
		t.Fatal(got)
	}
	l.Forget(subject)
	if got := parallel(t, l, 4, 50, 250); got != 50 {
		t.Fatalf("%d more calls under the lowered limit, want 50", got)
	}
	l.Forget(subject)
	if got := parallel(t, l, 4, 100, 300); got != 50 {
		t.Fatalf("%d more calls under the raised limit, want 50", got)
	}
	l.Forget(subject)
	c, err := l.Take(t.Context(), subject, Limit{Calls: 10})
	if errs.KindOf(err) != errs.KindRateLimited || c.Settle(429).Remaining != 0 {
		t.Fatalf("under a limit below the count: %v", err)
	}
}

func TestANewWindowBeginsAtTheReset(t *testing.T) {
	c := newClock()
	l, _ := start(t, sqldbtest.Open(t, sqldb.Accounts), c)
	charge, err := l.Take(t.Context(), subject, Limit{Calls: 2})
	if err != nil {
		t.Fatal(err)
	}
	reset := charge.Settle(200).Reset
	call(t, l, 2)
	c.add(time.Unix(reset, 0).Sub(c.now()) - time.Second)
	if call(t, l, 2) {
		t.Fatal("a third call was let in a second before the reset")
	}
	c.add(time.Second)
	if !call(t, l, 2) {
		t.Fatal("the first call of the new window was refused")
	}
}

func TestRetryAfterIsNotBeforeTheReset(t *testing.T) {
	c := newClock()
	l, _ := start(t, sqldbtest.Open(t, sqldb.Accounts), c)
	call(t, l, 1)
	charge, err := l.Take(t.Context(), subject, Limit{Calls: 1})
	e, _ := err.(*errs.Error)
	if e == nil || c.now().Add(e.RetryAfter).Unix() < charge.Settle(429).Reset {
		t.Fatalf("retry after %+v", e)
	}
}

func TestAFullDiskCountsOnInMemoryAndIsWrittenLater(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "its size can be capped")
	db, c := sqldbtest.Open(t, sqldb.Accounts), newClock()
	l, stop := start(t, db, c)
	if got := parallel(t, l, 4, 25, 500); got != 100 {
		t.Fatal(got)
	}
	if err := db.LimitPages(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	filler(t, db)
	if got := parallel(t, l, 4, 50, 500); got != 200 {
		t.Fatalf("%d calls while the disk is full, want 200", got)
	}
	if err := db.LimitPages(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	c.add(time.Second)
	stop()
	l, _ = start(t, db, c)
	if got := parallel(t, l, 8, 100, 500); got != 200 {
		t.Fatalf("%d calls after the disk had room again, want the 200 left", got)
	}
}

// filler makes later writes need new pages.
func filler(t *testing.T, db *sqldb.DB) {
	t.Helper()
	for i := range 200 {
		_, err := db.Exec(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ($1, $2, 0)`, fmt.Sprint(i), fmt.Sprintf("%0512d", i))
		if err != nil {
			if !sqldb.IsFull(err) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the store never became full")
}

func TestAddressesAreCountedPerNetwork(t *testing.T) {
	c := newClock()
	a := NewAddresses(2, time.Hour, c.now)
	for i, tc := range []struct {
		address string
		ok      bool
	}{
		{"192.0.2.1", true}, {"::ffff:192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8:0:0:ffff::3", false}, {"2001:db8:0:1::1", true},
	} {
		if _, err := a.Take(tc.address); (err == nil) != tc.ok {
			t.Errorf("%d %s: %v", i, tc.address, err)
		}
	}
	c.add(time.Hour)
	if _, err := a.Take("192.0.2.1"); err != nil {
		t.Errorf("next window: %v", err)
	}
	if charge, err := NewAddresses(0, time.Hour, c.now).Take("192.0.2.1"); charge != nil || err != nil {
		t.Errorf("turned off: %v %v", charge, err)
	}
}

func BenchmarkTakeWarm(b *testing.B) {
	l, err := New(sqldbtest.Open(b, sqldb.Accounts), Options{Window: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	m := l.meter(subject)
	m.window, m.limit, m.used, m.credits = m.windowAt(time.Now()), 1<<40, 1<<40, 1<<40
	b.ReportAllocs()
	for b.Loop() {
		c, err := l.Take(b.Context(), subject, Limit{Calls: 1 << 40})
		if err != nil {
			b.Fatal(err)
		}
		c.Settle(200)
	}
}

// A call that waits is answered with the credit that came back meanwhile, though the store can't be asked.
func TestACreditThatCameBackServesAWaitingCallWithoutTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db, other := openModelStore(t, path), openModelStore(t, path)
	if _, err := db.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	l, err := New(db, Options{Window: time.Hour, Now: newClock().now, Log: slog.New(slog.DiscardHandler), Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	take := func() <-chan *Charge {
		out := make(chan *Charge, 1)
		go func() {
			if c, err := l.Take(t.Context(), subject, Limit{Calls: 2}); err == nil {
				out <- c
			}
			close(out)
		}()
		for l.meter(subject).waits() == 0 {
			runtime.Gosched()
		}
		return out
	}
	first := take()
	l.serve(t.Context())
	held := <-first
	second := take()
	held.Settle(304)
	err = other.Transact(t.Context(), func(*sqldb.DB) error { l.serve(t.Context()); return nil })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-second:
		if c == nil {
			t.Error("the call was turned away")
		}
	case <-time.After(time.Second):
		t.Fatal("the call hangs")
	}
}

// A program that asks for what has not changed is told 304 and pays nothing; it is used all the same.
func TestLastUseIsKnownThoughNothingCounted(t *testing.T) {
	db, c := sqldbtest.Open(t, sqldb.Accounts), newClock()
	l, stop := start(t, db, c)
	for range 3 {
		charge, err := l.Take(t.Context(), subject, Limit{Calls: 10})
		if err != nil {
			t.Fatal(err)
		}
		charge.Settle(304)
		c.add(10 * time.Second)
	}
	call(t, l, 0) // refused, which is no use
	stop()
	used, err := LastUsed(t.Context(), db.Tenant(subject.Group), subject.ID, "another")
	if want := c.now().Add(-10 * time.Second); err != nil || !used[subject.ID].Equal(want) || len(used) != 1 {
		t.Errorf("last used %v, want %v (%v)", used, want, err)
	}
}

func TestOldWindowsAreForgottenButForTheLatest(t *testing.T) {
	db, c := sqldbtest.Open(t, sqldb.Accounts), newClock()
	l, stop := start(t, db, c)
	begin := c.now()
	for range 5 {
		call(t, l, 10)
		c.add(time.Hour)
	}
	stop()
	windows := func() (n int) {
		err := db.Tenant(subject.Group).QueryRow(t.Context(), `SELECT count(*) FROM quota WHERE dealer_group_id = $1`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, step := range []struct {
		before time.Time
		want   int
	}{{begin.Add(-time.Hour), 5}, {begin.Add(4 * time.Hour), 2}, {begin.Add(1000 * time.Hour), 1}} {
		if err := l.Prune(t.Context(), subject.Group, step.before); err != nil {
			t.Fatal(err)
		}
		if got := windows(); got < step.want || got > step.want+1 && step.want > 1 {
			t.Errorf("%d windows are left after %v, want %d", got, step.before.Sub(begin), step.want)
		}
	}
	used, err := LastUsed(t.Context(), db.Tenant(subject.Group), subject.ID)
	if err != nil || !used[subject.ID].Equal(begin.Add(4*time.Hour)) {
		t.Errorf("last used %v %v", used, err)
	}
}

// A request that was held up since before a change of the limit takes nobody back to the old one.
func TestALateCallerDoesNotBringAnOldLimitBack(t *testing.T) {
	l, err := New(sqldbtest.Open(t, sqldb.Accounts), Options{Window: time.Hour, Now: newClock().now, Log: slog.New(slog.DiscardHandler), Sole: true})
	if err != nil {
		t.Fatal(err)
	}
	old, lowered := Limit{Calls: 1000, AsOf: 7}, Limit{Calls: 2, AsOf: 8}
	var let atomic.Int64
	var wg sync.WaitGroup
	for i, limit := range []Limit{lowered, lowered, lowered, lowered, old} {
		wg.Go(func() {
			if _, err := l.Take(t.Context(), subject, limit); err == nil {
				let.Add(1)
			}
		})
		for l.meter(subject).waits() <= i {
			runtime.Gosched()
		}
	}
	l.serve(t.Context())
	wg.Wait()
	if let.Load() != 2 {
		t.Errorf("%d calls let in under a limit of 2", let.Load())
	}
	l.ForgetAll()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ := l.Take(ctx, subject, Limit{Calls: 3, AsOf: 1})
	if c.Settle(429).Limit != 3 {
		t.Error("after everything was forgotten the number of the change log counts no more")
	}
}

// The statement grants what entry.grant says, on which the replicas' model rests.
func TestTheStatementGrantsAsTheModelDoes(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	store, random := &sqlStore{db: db}, rand.New(rand.NewPCG(1, 2))
	store.connect(t.Context())
	for i := range 60 {
		s := Subject{Group: "group", ID: fmt.Sprint(i)}
		model := &shop{rows: map[rowKey]*row{}}
		for range 12 {
			e := entry{subject: s, limit: 1 + random.Int64N(40), need: random.Int64N(6), surplus: random.Int64N(12), share: 1 + random.Int64N(8), spent: random.Int64N(3)}
			if used := model.row(s.ID, 0).used; used > 0 && random.IntN(3) == 0 {
				e.used = -random.Int64N(used + 1)
			}
			want := e
			model.apply(&want)
			got := []entry{e}
			if err := store.apply(t.Context(), got); err != nil {
				t.Fatal(err)
			}
			if got[0] != want {
				t.Fatalf("got %+v\nwant %+v", got[0], want)
			}
			if random.IntN(4) > 0 {
				continue
			}
			n, err := store.callIn(t.Context(), s, 0, time.Now())
			again, _ := store.callIn(t.Context(), s, 0, time.Now())
			if err != nil || n == 0 || again != n {
				t.Fatalf("called in by %d and %d: %v", n, again, err)
			}
			model.row(s.ID, 0).calledIn = n
		}
	}
}

// cut ends the connection under some statements.
type cut struct {
	store
	left int
}

func (c *cut) apply(ctx context.Context, entries []entry) error {
	if len(entries) > 0 && c.left > 0 {
		c.left--
		return errLost
	}
	return c.store.apply(ctx, entries)
}

// TestACallOutlivesACutConnection but not a store that stays away.
func TestACallOutlivesACutConnection(t *testing.T) {
	for cuts, lets := range []bool{true, true, false} {
		l, err := New(sqldbtest.Open(t, sqldb.Accounts), Options{Window: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l.store = &cut{l.store, cuts}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = l.Run(ctx) })
		_, err = l.Take(t.Context(), subject, Limit{Calls: 10})
		if lets != (err == nil) || !lets && errs.KindOf(err) != errs.KindUnavailable {
			t.Errorf("cut %d times: %v", cuts, err)
		}
		cancel()
		running.Wait()
	}
}
