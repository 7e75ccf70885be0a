package quota

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Options of a ledger.
type Options struct {
	Window time.Duration    // whole seconds
	Now    func() time.Time // the store's clock
	Log    *slog.Logger
	// Sole says that this replica is the only one. Then a count that can't be written (full disk) goes on
	// in memory and is written later; a crash meanwhile is the one documented inexactness.
	Sole bool
	// Replicas is how many replicas share the store; 1 when nil.
	Replicas func() int64
}

// Settlement interval, how long unused credits stay in hand, and when an idle meter is forgotten.
const (
	settleEvery = 500 * time.Millisecond
	idleReturn  = time.Minute
	idleForget  = 10 * time.Minute
	// maxBatch bounds the rows written in one transaction.
	maxBatch = 500
	// endTries is how often the last settlement is tried, a settleEvery apart.
	endTries = 4
)

// Ledger hands out credits. One goroutine (Run) speaks to the store, so that calls waiting for credits of
// different subjects share a transaction and its sync to disk.
type Ledger struct {
	db      *sqldb.DB
	opt     Options
	seconds int64

	meters sync.Map // Subject → *Meter
	wake   chan struct{}

	mu     sync.Mutex
	asking map[*Meter]bool
	owed   []entry // settlements of windows that are over
}

// entry is one row's change: used and spent are added, want credits are taken as far as the limit allows.
type entry struct {
	meter   *Meter
	subject Subject
	window  int64
	limit   int64
	used    int64 // handed out in memory before, less what is returned
	spent   int64
	want    int64
	at      time.Time

	// The outcome: credits granted, what the store has as used, and whether the entry is still to be written.
	granted, stored int64
	later           bool
}

// New makes a ledger on the accounts store; Run must be running for calls to get credits.
func New(db *sqldb.DB, o Options) (*Ledger, error) {
	if o.Window < time.Second || o.Window%time.Second != 0 {
		return nil, fmt.Errorf("quota: the window is %s, it must be whole seconds", o.Window)
	}
	if o.Replicas == nil {
		o.Replicas = func() int64 { return 1 }
	}
	return &Ledger{db: db, opt: o, seconds: int64(o.Window / time.Second), wake: make(chan struct{}, 1), asking: map[*Meter]bool{}}, nil
}

// Take spends one credit of the subject under the limit. Without one left the error is rate_limited with
// the time to wait; without an answer from the store it is unavailable. Settle the charge in every case.
func (l *Ledger) Take(ctx context.Context, s Subject, limit Limit) (*Charge, error) {
	for {
		m := l.meter(s)
		state, ok, err := m.take(ctx, limit, l.opt.Now())
		if !ok {
			continue
		}
		return &Charge{meter: m, state: state, held: err == nil}, err
	}
}

func (l *Ledger) meter(s Subject) *Meter {
	if m, ok := l.meters.Load(s); ok {
		return m.(*Meter)
	}
	fresh := &Meter{ledger: l, subject: s, offset: offsetOf(s, l.seconds)}
	m, _ := l.meters.LoadOrStore(s, fresh)
	return m.(*Meter)
}

// Forget returns the subject's credits in hand and forgets refusals: its limit or state has changed.
func (l *Ledger) Forget(s Subject) {
	if m, ok := l.meters.Load(s); ok {
		m := m.(*Meter)
		m.mu.Lock()
		m.handBack()
		m.refused = time.Time{}
		m.mu.Unlock()
	}
}

// ForgetAll is for when nothing read so far can be relied on, as under a database that was restored.
func (l *Ledger) ForgetAll() {
	l.meters.Range(func(key, value any) bool {
		m := value.(*Meter)
		m.mu.Lock()
		m.asOf = 0
		m.mu.Unlock()
		l.Forget(key.(Subject))
		return true
	})
}

// Charge is one credit in use.
type Charge struct {
	meter *Meter
	state State
	held  bool
}

// Settle implements rest.Charge: 401, 304, 429 and our own 5xx don't count.
func (c *Charge) Settle(status int) rest.RateLimit {
	if c.held && (status == 401 || status == 304 || status == 429 || status >= 500) {
		c.held = false
		c.state = c.meter.refund(c.state)
	}
	return c.state.RateLimit
}

// Prune forgets a group's windows that ended before a time. Each subject's latest stays.
func (l *Ledger) Prune(ctx context.Context, group string, before time.Time) error {
	return prune(ctx, l.db.Tenant(group), floorDiv(before.Unix(), l.seconds)-1, before) // one less: windows have offsets
}

func (l *Ledger) ask(m *Meter) {
	l.mu.Lock()
	l.asking[m] = true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Ledger) owe(e entry) {
	l.mu.Lock()
	l.owed = append(l.owed, e)
	l.mu.Unlock()
}

// Run serves takes at once and settles every half second until ctx ends; then it settles what is spent,
// returns what is in hand, and returns.
func (l *Ledger) Run(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.wake:
			l.serve(context.WithoutCancel(ctx))
		case <-tick.C:
			_ = l.settle(context.WithoutCancel(ctx), false) // logged; what counts is tried again
		case <-ctx.Done():
			l.end(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (l *Ledger) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l.serve(ctx)
	for range endTries {
		if l.settle(ctx, true) == nil {
			return
		}
		time.Sleep(settleEvery)
	}
}

// serve answers the calls that wait.
func (l *Ledger) serve(ctx context.Context) {
	_ = l.write(ctx, l.questions()) // the calls have been told
}

// questions are what the store is asked for the calls that wait.
func (l *Ledger) questions() []entry {
	l.mu.Lock()
	asking := l.asking
	l.asking = map[*Meter]bool{}
	l.mu.Unlock()
	entries := make([]entry, 0, len(asking))
	for m := range asking {
		if e, ok := m.wanted(l.opt.Now(), l.opt.Replicas()); ok {
			entries = append(entries, e)
		}
	}
	return entries
}

// settle writes what was spent; when all is set, every credit in hand goes back too.
func (l *Ledger) settle(ctx context.Context, all bool) error {
	l.mu.Lock()
	entries := l.owed
	l.owed = nil
	l.mu.Unlock()
	now := l.opt.Now()
	l.meters.Range(func(key, value any) bool {
		m := value.(*Meter)
		if e, ok := m.settlement(now, all); ok {
			entries = append(entries, e)
		} else if m.forgettable(now) {
			l.meters.Delete(key)
		}
		return true
	})
	return l.write(ctx, entries)
}

// write sends entries to the store in id order, a bounded number per transaction, and tells each its outcome.
func (l *Ledger) write(ctx context.Context, entries []entry) (failed error) {
	slices.SortFunc(entries, func(a, b entry) int {
		return strings.Compare(a.subject.Group+a.subject.ID, b.subject.Group+b.subject.ID)
	})
	for batch := range slices.Chunk(entries, maxBatch) {
		err := apply(ctx, l.db, batch)
		if err != nil {
			failed = err
			l.opt.Log.Warn("quota not written", "rows", len(batch), "error", err)
		}
		if err != nil && sqldb.IsFull(err) && l.opt.Sole {
			l.writeLater(ctx, batch)
			continue
		}
		for i := range batch {
			batch[i].answer(err, l.opt.Now())
		}
	}
	return failed
}

// writeLater grants from what can be read and remembers what is to be written.
func (l *Ledger) writeLater(ctx context.Context, batch []entry) {
	for i := range batch {
		e := &batch[i]
		if e.meter == nil { // of a window that is over: try again with the next settlement
			l.owe(*e)
			continue
		}
		var err error
		if e.stored, err = usedIn(ctx, l.db.Tenant(e.subject.Group), e.subject.ID, e.window); err == nil {
			e.granted, e.later = max(0, min(e.want, e.limit-e.stored-e.used)), true
		}
		e.answer(err, l.opt.Now())
	}
}

// wanted is what the waiting calls need, plus a surplus: what was used here in the last minute, at most a
// fair part of what is left.
func (m *Meter) wanted(now time.Time, replicas int64) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	if len(m.waiting) == 0 {
		return entry{}, false
	}
	surplus := int64(0)
	if m.used > 0 {
		surplus = min(m.recent.sum(now), max(0, m.limit-m.used)/(4*replicas))
	}
	e := m.entry()
	e.want = max(0, int64(len(m.waiting))-m.credits) + surplus
	return e, true
}

// settlement is what is to be written without anybody waiting.
func (m *Meter) settlement(now time.Time, all bool) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	if (all || now.Sub(m.lastUsed) > idleReturn) && m.credits > 0 {
		m.handBack()
	}
	if m.spent == 0 && m.unwritten == 0 && !m.lastUsed.After(m.told) {
		return entry{}, false
	}
	return m.entry(), true
}

func (m *Meter) entry() entry {
	e := entry{meter: m, subject: m.subject, window: m.window, limit: m.limit, used: m.unwritten, spent: m.spent, at: m.lastUsed}
	m.spent, m.unwritten, m.told = 0, 0, m.lastUsed
	return e
}

func (m *Meter) forgettable(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped = m.credits == 0 && len(m.waiting) == 0 && m.spent == 0 && m.unwritten == 0 && now.Sub(m.lastUsed) > idleForget && !now.Before(m.refused)
	return m.dropped
}

// answer hands the store's verdict to the calls that wait. Returns that could not be written are not sent
// again, and credits handed out in memory are: whether the write happened is unknown, and a credit may be lost
// but never made.
func (e *entry) answer(err error, now time.Time) {
	m := e.meter
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.window != e.window {
		if e.later {
			m.ledger.owe(entry{subject: m.subject, window: e.window, limit: e.limit, used: e.used, spent: e.spent, at: e.at})
		}
		m.askAgain()
		return
	}
	exhausted := err == nil && e.granted < e.want && m.unwritten >= 0 // nothing came back since the question
	switch {
	case err != nil:
		m.unwritten += max(0, e.used)
	case e.later:
		m.spent += e.spent
		m.unwritten += e.used + e.granted
	}
	if err == nil {
		m.used = e.stored + m.unwritten
		m.credits += e.granted
	}
	if m.limit != e.limit { // asked before a change, answered after it
		m.handBack()
		m.askAgain()
		return
	}
	m.release(err, now, e.want > 0, exhausted)
}

func (m *Meter) askAgain() {
	if len(m.waiting) > 0 {
		m.ledger.ask(m)
	}
}

// release lets waiting calls go, in order, as far as credits reach. The rest is refused when the window is
// exhausted, told when the question for them failed, and asks again otherwise: it came after the question, or
// the question was a settlement's.
func (m *Meter) release(err error, now time.Time, asked, exhausted bool) {
	rest := m.waiting[:0]
	for _, w := range m.waiting {
		switch {
		case w.gone:
			continue
		case m.credits > 0:
			m.spend(now)
			w.granted = true
		case asked && err != nil:
			w.err = unavailable(err)
		case exhausted:
			m.refused = now.Add(refusalMemory)
		default:
			rest = append(rest, w)
			continue
		}
		w.state, w.settled = m.state(), true
		close(w.done)
	}
	m.waiting = rest
	m.askAgain()
}

func unavailable(err error) error {
	return errs.UnavailableFor(time.Second, "The quota can't be counted at the moment, so the call was not let in. Try again shortly.", err)
}
