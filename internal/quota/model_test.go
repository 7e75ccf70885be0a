package quota

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
)

// TestModel holds one ledger, under any order of events, against what the limit promises. The store's answers
// are steps of their own, so that every other event can come between question and answer.
func TestModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	db, other := openModelStore(t, path), openModelStore(t, path)
	if _, err := db.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(2 * time.Second)
	if os.Getenv("CARFLUENCE_SOAK") != "" {
		end = time.Now().Add(5 * time.Minute)
	}
	run := 0
	for time.Now().Before(end) && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			run++
			m := &model{T: rt, db: db, other: other, clock: newClock(), subject: Subject{"group", "subject-" + strconv.Itoa(run)}, count: map[int64]int64{}, lossy: map[int64]bool{}}
			m.limit.Calls = rapid.Int64Range(1, 12).Draw(rt, "limit")
			m.before = m.limit
			m.start()
			defer m.heal()
			events := map[string]func(*rapid.T){
				"calls": m.calls, "ask": m.ask, "answer": m.answer, "settle": m.settle, "finish": m.finish, "leave": m.leave,
				"change limit": m.changeLimit, "pass time": m.passTime, "restart": m.restart, "": m.check,
				"disk full": m.fill, "store well": func(*rapid.T) { m.heal() },
			}
			if rapid.Bool().Draw(rt, "faults") { // that may cost credits
				events["store busy"], events["crash"] = m.block, m.crash
			}
			rt.Repeat(events)
			m.drain()
		})
	}
	t.Logf("%d histories", run)
}

func openModelStore(t *testing.T, path string) *sqldb.DB {
	db, err := sqldb.OpenSQLite(t.Context(), path, sqldb.Options{BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// model is a ledger with one subject, and what was promised to it.
type model struct {
	*rapid.T
	db, other *sqldb.DB
	clock     *clock
	subject   Subject
	ledger    *Ledger

	limit   Limit
	before  Limit           // the one before
	count   map[int64]int64 // by window: calls let in and not given back
	open    []*modelCall    // waiting for the store
	under   []*Charge       // let in, not answered yet
	lossy   map[int64]bool  // by window: credits may have been lost, by a crash or a write with an unknown outcome
	seen    State           // of the last call that was alone
	full    bool
	unblock func() // ends the other process's transaction
	asked   []entry
}

// modelCall is one call on its way, and the limits in force meanwhile.
type modelCall struct {
	cancel      context.CancelFunc
	least, most int64
	alone       bool
	done        chan struct{}
	charge      *Charge
	err         error
}

func (m *model) start() {
	l, err := New(m.db, Options{Window: time.Hour, Now: m.clock.now, Log: slog.New(slog.DiscardHandler), Sole: true})
	if err != nil {
		m.Fatal(err)
	}
	m.ledger, m.seen = l, State{}
	l.connect(context.Background())
}

func (m *model) calls(t *rapid.T) {
	n := rapid.IntRange(1, 4).Draw(t, "calls")
	late := rapid.IntRange(0, 9).Draw(t, "late") == 0 // held up since before the last change
	for range n {
		ctx, cancel := context.WithCancel(context.Background())
		limit, alone := m.limit, n == 1 && len(m.open) == 0
		c := &modelCall{cancel: cancel, least: limit.Calls, most: limit.Calls, alone: alone, done: make(chan struct{})}
		if late {
			limit, c.alone = m.before, false
			c.least, c.most = min(c.least, limit.Calls), max(c.most, limit.Calls)
		}
		m.open = append(m.open, c)
		go func() {
			c.charge, c.err = m.ledger.Take(ctx, m.subject, limit)
			close(c.done)
		}()
		m.collect()
	}
}

// collect waits until every call has its outcome or waits for the store, and judges the outcomes.
func (m *model) collect() {
	var judged []*modelCall
	for {
		rest := m.open[:0:0]
		for _, c := range m.open {
			select {
			case <-c.done:
				judged = append(judged, c)
			default:
				rest = append(rest, c)
			}
		}
		m.open = rest
		if m.waiting() == len(m.open) {
			break
		}
		runtime.Gosched()
	}
	for _, c := range judged {
		if c.err == nil {
			m.count[c.charge.state.window]++
			m.under = append(m.under, c.charge)
		}
	}
	for _, c := range judged {
		c.alone = c.alone && len(judged) == 1
		m.judge(c)
	}
}

func (m *model) waiting() int { return m.ledger.meter(m.subject).waits() }

// waits is how many calls wait for the store.
func (m *Meter) waits() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.waiting {
		if !w.gone {
			n++
		}
	}
	return n
}

func (m *model) judge(c *modelCall) {
	defer c.cancel()
	s := c.charge.state
	count := m.count[s.window]
	switch {
	case c.err == nil && count > c.most:
		m.Fatalf("%d calls let in under a limit of %d", count, c.most)
	case errs.KindOf(c.err) == errs.KindRateLimited && count < c.least && !m.lossy[s.window]:
		m.Fatalf("a call was refused though only %d of %d had been let in", count, c.least)
	case c.err != nil && errs.KindOf(c.err) != errs.KindRateLimited && errs.KindOf(c.err) != errs.KindUnavailable:
		m.Fatal(c.err)
	}
	if !c.alone || len(m.open) > 0 || errs.KindOf(c.err) == errs.KindUnavailable {
		m.seen = State{}
		return
	}
	if want := max(0, s.Limit-count); s.Remaining > want || s.Remaining < want && !m.lossy[s.window] {
		m.Fatalf("%d remaining of %d after %d calls", s.Remaining, s.Limit, count)
	}
	if m.seen.Limit == s.Limit && m.seen.window == s.window && s.Remaining > m.seen.Remaining {
		m.Fatalf("remaining rose from %d to %d", m.seen.Remaining, s.Remaining)
	}
	m.seen = s
}

// mayLose notes that a write fails now for another reason than a full disk.
func (m *model) mayLose() {
	if m.unblock != nil {
		m.lossy[m.window()] = true
	}
}

func (m *model) window() int64 { return m.ledger.meter(m.subject).windowAt(m.clock.now()) }

// ask puts the questions of the calls that wait; other events may come before the answer.
func (m *model) ask(t *rapid.T) {
	if len(m.asked) > 0 {
		t.Skip()
	}
	m.asked = m.ledger.questions()
}

func (m *model) answer(*rapid.T) {
	m.mayLose()
	if len(m.asked) == 0 {
		m.asked = m.ledger.questions()
	}
	_ = m.ledger.write(context.Background(), m.asked)
	m.asked = nil
	m.collect()
}

func (m *model) settle(t *rapid.T) {
	if len(m.asked) > 0 {
		m.answer(t)
	}
	m.mayLose()
	_ = m.ledger.settle(context.Background(), false)
	m.collect()
}

func (m *model) finish(t *rapid.T) {
	if len(m.under) == 0 {
		t.Skip()
	}
	i := rapid.IntRange(0, len(m.under)-1).Draw(t, "call")
	c := m.under[i]
	m.under = append(m.under[:i:i], m.under[i+1:]...)
	if rapid.Bool().Draw(t, "counts") {
		c.Settle(200)
		return
	}
	c.Settle(304)
	m.count[c.state.window]--
	m.seen = State{}
}

func (m *model) leave(t *rapid.T) {
	if len(m.open) == 0 {
		t.Skip()
	}
	c := m.open[rapid.IntRange(0, len(m.open)-1).Draw(t, "call")]
	c.cancel()
	<-c.done
	m.seen = State{}
	m.collect()
}

// changeLimit does what the authority does when a key was changed; sometimes only its name was.
func (m *model) changeLimit(t *rapid.T) {
	m.before = m.limit
	m.limit.AsOf++
	if rapid.Bool().Draw(t, "other limit") {
		m.limit.Calls = rapid.Int64Range(1, 12).Draw(t, "limit")
	}
	for _, c := range m.open {
		c.least, c.most = min(c.least, m.limit.Calls), max(c.most, m.limit.Calls)
	}
	m.ledger.Forget(m.subject)
}

func (m *model) passTime(t *rapid.T) {
	reset := time.Unix(m.ledger.meter(m.subject).reset(), 0).Sub(m.clock.now())
	m.clock.add(rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, 6 * time.Second, 31 * time.Second, 61 * time.Second, max(0, reset)}).Draw(t, "for"))
}

// fill makes writes fail as on a full disk; reads go on.
func (m *model) fill(t *rapid.T) {
	if m.full || m.unblock != nil {
		t.Skip()
	}
	m.readOnly("ON")
	m.full = true
}

func (m *model) readOnly(state string) {
	if _, err := m.db.Exec(context.Background(), "PRAGMA query_only = "+state); err != nil {
		m.Fatal(err)
	}
}

// block makes writes fail as when another process writes for too long.
func (m *model) block(t *rapid.T) {
	if m.full || m.unblock != nil {
		t.Skip()
	}
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = m.other.Transact(context.Background(), func(*sqldb.DB) error { close(held); <-release; return nil })
	}()
	<-held
	m.unblock = func() { close(release); <-ended }
}

func (m *model) heal() {
	if m.full {
		m.readOnly("OFF")
		m.full = false
	}
	if m.unblock != nil {
		m.unblock()
		m.unblock = nil
	}
}

// crash leaves the ledger as it stands. With counts that are not written a crash is allowed to be inexact.
func (m *model) crash(t *rapid.T) {
	if m.indebted() {
		t.Skip()
	}
	m.abandon()
	m.under, m.asked, m.lossy[m.window()] = nil, nil, true
	m.start()
}

func (m *model) indebted() bool {
	meter := m.ledger.meter(m.subject)
	meter.mu.Lock()
	defer meter.mu.Unlock()
	for _, e := range m.ledger.owed {
		if e.used > 0 {
			return true
		}
	}
	for _, e := range m.asked {
		if e.used > 0 {
			return true
		}
	}
	return meter.unwritten > 0
}

func (m *model) abandon() {
	for _, c := range m.open {
		c.cancel()
		<-c.done
	}
	m.open = nil
}

// restart ends the ledger in order, as Run does.
func (m *model) restart(t *rapid.T) {
	if m.full {
		t.Skip()
	}
	m.answer(t)
	m.answer(t)
	for _, c := range m.under {
		c.Settle(200)
	}
	m.under = nil
	m.mayLose()
	_ = m.ledger.settle(context.Background(), true)
	m.collect()
	if m.indebted() {
		t.Skip()
	}
	m.abandon()
	m.start()
}

// drain holds that with a store that is well no call waits for ever.
func (m *model) drain() {
	m.heal()
	for range 4 {
		m.answer(nil)
	}
	if len(m.open) > 0 {
		m.Fatalf("%d calls hang", len(m.open))
	}
}

func (m *model) check(t *rapid.T) {
	meter := m.ledger.meter(m.subject)
	meter.mu.Lock()
	defer meter.mu.Unlock()
	if meter.credits < 0 {
		t.Fatalf("%d credits in hand", meter.credits)
	}
}
