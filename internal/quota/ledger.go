package quota

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"carfluence/internal/lease"
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
	// Replica is this process among those that share the store; nil for the only one.
	Replica *lease.Replica
}

// Settlement interval, how long unused credits stay in hand, and when an idle meter is forgotten.
const (
	settleEvery = 500 * time.Millisecond
	idleReturn  = time.Minute
	idleForget  = 10 * time.Minute
	// maxBatch bounds the rows written in one transaction.
	maxBatch = 2000
	// endTries is how often the last settlement is tried, a settleEvery apart.
	endTries = 4
	// callTimeout bounds the transaction that calls credits in, and each other one that a store shared with other
	// replicas may leave unanswered.
	callTimeout = 2 * time.Second
)

// Hungry is the kind of a change that calls in what replicas hold of a subject's window.
const Hungry lease.Kind = "hungry"

// Ledger hands out credits. One goroutine (Run) speaks to the store, so that calls waiting for credits of
// different subjects share a transaction and its sync to disk.
type Ledger struct {
	db      *sqldb.DB
	store   store
	opt     Options
	seconds int64
	begin   func(func()) // in the background

	meters sync.Map // Subject → *Meter
	wake   chan struct{}
	era    atomic.Int64 // counts how often everything was forgotten
	takes  atomic.Int64

	mu     sync.Mutex
	asking map[*Meter]bool
	owed   []entry  // settlements of windows that are over
	called []recall // applied, and not answered to the store yet
}

// entry is one row's change: used and spent are added, then need credits and a surplus are taken as far as the limit
// allows.
type entry struct {
	meter   *Meter
	subject Subject
	window  int64
	limit   int64
	used    int64 // handed out in memory before, less what is returned
	spent   int64
	need    int64 // for calls that wait
	surplus int64
	share   int64 // at most 1/share of what is left is surplus
	at      time.Time
	era     int64

	// The outcome: credits granted, what the store has as used and spent, the change that called credits in, and
	// whether the entry is still to be written.
	granted, stored, storedSpent, calledIn int64
	later                                  bool
}

// grant is what a row gives that has so much used.
func (e *entry) grant(used int64, calledIn bool) int64 {
	left := max(0, e.limit-used-e.used)
	switch {
	case left <= e.need:
		return left
	case calledIn:
		return e.need
	}
	return e.need + min(e.surplus, (left-e.need)/e.share)
}

// first is what a new row gives.
func (e *entry) first() int64 { return e.grant(0, false) }

// recall is an applied change that called credits in.
type recall struct {
	n       int64
	subject Subject
}

// New makes a ledger on the accounts store; Run must be running for calls to get credits.
func New(db *sqldb.DB, o Options) (*Ledger, error) {
	if o.Window < time.Second || o.Window%time.Second != 0 {
		return nil, fmt.Errorf("quota: the window is %s, it must be whole seconds", o.Window)
	}
	return &Ledger{
		db: db, store: &sqlStore{db: db}, opt: o, seconds: int64(o.Window / time.Second), begin: func(f func()) { go f() },
		wake: make(chan struct{}, 1), asking: map[*Meter]bool{},
	}, nil
}

// shared tells whether other replicas may hold credits.
func (l *Ledger) shared() bool { return l.opt.Replica != nil && l.opt.Replica.Shared() }

// share is the inverse of what a replica takes of what is left, so that all together hold a quarter of it.
func (l *Ledger) share() int64 {
	if l.opt.Replica == nil {
		return 4
	}
	return 4 * l.opt.Replica.Count()
}

// Take spends one credit of the subject under the limit. Without one left the error is rate_limited with
// the time to wait; without an answer from the store it is unavailable. Settle the charge in every case.
func (l *Ledger) Take(ctx context.Context, s Subject, limit Limit) (*Charge, error) {
	c := new(Charge) // on the caller's stack, where it stays there
	err := l.take(ctx, s, limit, c)
	return c, err
}

func (l *Ledger) take(ctx context.Context, s Subject, limit Limit, c *Charge) error {
	for {
		m, now := l.meter(s), l.opt.Now()
		state, w, ok, err := m.take(limit, now)
		if !ok {
			continue
		}
		if w != nil {
			state, err = m.await(ctx, w, now)
		}
		c.meter, c.state, c.held = m, state, err == nil
		return err
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
		m.dropCall()
		m.mu.Unlock()
	}
}

// ForgetAll is for when nothing read so far can be relied on, as under a database that was restored. Credits in hand
// and on their way are lost: the store that counted them may be gone.
func (l *Ledger) ForgetAll() {
	l.era.Add(1)
	l.mu.Lock()
	l.called = nil
	for i := range l.owed {
		l.owed[i].used = max(0, l.owed[i].used)
	}
	l.mu.Unlock()
	l.meters.Range(func(_, value any) bool {
		m := value.(*Meter)
		m.mu.Lock()
		m.asOf, m.used, m.credits, m.unwritten = 0, 0, 0, max(0, m.unwritten)
		m.refused, m.calledIn, m.confirmed = time.Time{}, 0, 0
		m.dropCall()
		m.mu.Unlock()
		return true
	})
}

// CalledIn returns what is in hand of a subject and window, as an applied change asks. Until the store has it,
// Unsettled holds back the report that the change is in force here.
func (l *Ledger) CalledIn(c lease.Change) {
	s := Subject{c.Group, c.ID}
	if m, ok := l.meters.Load(s); ok {
		m := m.(*Meter)
		m.mu.Lock()
		if m.window == c.Window {
			m.callIn(c.N)
		}
		m.mu.Unlock()
	}
	l.mu.Lock()
	l.called = append(l.called, recall{c.N, s})
	l.mu.Unlock()
	l.rouse()
}

// Takes is how often calls have waited for the store so far; those of one subject that wait together are one.
func (l *Ledger) Takes() int64 { return l.takes.Load() }

// Unsettled is the number of the first change for which returns, or answers to takes, are still to come; 0 for none.
func (l *Ledger) Unsettled() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.called) == 0 {
		return 0
	}
	return l.called[0].n
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
	l.rouse()
}

func (l *Ledger) rouse() {
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
	defer l.store.close()
	l.serve(ctx)
	for range endTries {
		if l.settle(ctx, true) == nil {
			return
		}
		time.Sleep(settleEvery)
	}
}

// connect forgets everything when the connection was lost, as registering anew does.
func (l *Ledger) connect(ctx context.Context) {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	if l.store.connect(ctx) {
		l.ForgetAll()
	}
}

// bound limits what a store on a server may take to answer. An embedded one is waited for.
func (l *Ledger) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.shared() {
		return context.WithTimeout(ctx, callTimeout)
	}
	return ctx, func() {}
}

// serve answers the calls that wait, and returns what is called in.
func (l *Ledger) serve(ctx context.Context) {
	l.connect(ctx)
	era := l.era.Load()
	called, returns := l.returns()
	_ = l.write(ctx, append(returns, l.questions()...)) // the calls have been told
	if called > 0 {
		l.returned(called, era)
	}
}

// questions are what the store is asked for the calls that wait.
func (l *Ledger) questions() []entry {
	l.mu.Lock()
	asking := l.asking
	l.asking = map[*Meter]bool{}
	l.mu.Unlock()
	entries := make([]entry, 0, len(asking))
	for m := range asking {
		if e, ok := m.wanted(l.opt.Now()); ok {
			entries = append(entries, e)
			if e.need > 0 {
				l.takes.Add(1)
			}
		}
	}
	return entries
}

// returns are what is called in. Takes sent before are answered by now: one goroutine sends them all.
func (l *Ledger) returns() (called int, entries []entry) {
	l.mu.Lock()
	calls := slices.Clone(l.called)
	if len(calls) > 0 {
		entries, l.owed = l.owed, nil
	}
	l.mu.Unlock()
	for _, c := range calls {
		if m, ok := l.meters.Load(c.subject); ok {
			if e, ok := m.(*Meter).returns(l.opt.Now()); ok {
				entries = append(entries, e)
			}
		}
	}
	return len(calls), entries
}

// returned lets changes be reported whose returns the store has, or has failed to take: then they are lost.
func (l *Ledger) returned(called int, era int64) {
	l.mu.Lock()
	if l.era.Load() == era { // else they are forgotten, and those that stand there now are others
		l.called = l.called[called:]
	}
	l.mu.Unlock()
	if l.opt.Replica != nil {
		l.opt.Replica.Wake()
	}
}

// settle writes what was spent and refills; when all is set, every credit in hand goes back instead. Of more rows
// than go into one transaction those wait that were written last.
func (l *Ledger) settle(ctx context.Context, all bool) error {
	l.connect(ctx)
	l.mu.Lock()
	entries := l.owed
	l.owed = nil
	l.mu.Unlock()
	now := l.opt.Now()
	var due []*Meter
	l.meters.Range(func(key, value any) bool {
		m := value.(*Meter)
		if m.due(now, all) {
			due = append(due, m)
		} else if m.forgettable(now) {
			l.meters.Delete(key)
		}
		return true
	})
	if room := max(0, maxBatch-len(entries)); !all && len(due) > room {
		slices.SortFunc(due, func(a, b *Meter) int { return a.written.Compare(b.written) })
		due = due[:room]
	}
	for _, m := range due {
		if e, ok := m.settlement(now, all); ok {
			entries = append(entries, e)
		}
	}
	return l.write(ctx, entries)
}

// write sends entries to the store in id order, a bounded number per transaction, and tells each its outcome.
func (l *Ledger) write(ctx context.Context, entries []entry) (failed error) {
	slices.SortStableFunc(entries, func(a, b entry) int { // one order for all replicas; returns of a row before its take
		return cmp.Or(strings.Compare(a.subject.Group, b.subject.Group), strings.Compare(a.subject.ID, b.subject.ID), cmp.Compare(a.window, b.window))
	})
	l.disown(entries)
	for batch := range slices.Chunk(entries, maxBatch) {
		err := l.apply(ctx, batch)
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

func (l *Ledger) apply(ctx context.Context, batch []entry) error {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	return l.store.apply(ctx, batch)
}

// disown keeps credits from being returned that another store than this one may have counted.
func (l *Ledger) disown(entries []entry) {
	era := l.era.Load()
	for i := range entries {
		if e := &entries[i]; e.era != era {
			e.used = max(0, e.used)
		}
	}
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
		if e.stored, err = l.store.usedIn(ctx, e.subject, e.window); err == nil {
			e.granted, e.later = e.grant(e.stored, false), true
		}
		e.answer(err, l.opt.Now())
	}
}

// callIn has what other replicas hold of the meter's window returned, and then asks once more. n is the change that
// has called it in already, 0 for none.
func (l *Ledger) callIn(c *calling, n int64) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	var err error
	if n == 0 {
		n, err = l.store.callIn(ctx, c.meter.subject, c.window, l.opt.Now())
	}
	if err != nil {
		l.opt.Log.Warn("credits not called in", "error", err)
	} else {
		l.opt.Replica.Confirm(ctx, n)
	}
	c.done(n, err, l.opt.Now())
}
