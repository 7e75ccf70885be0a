package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// The times of the protocol. Each is measured on one process's clock, so clocks need not agree.
const (
	// Term is how long after a beat was sent what is known may be used without another.
	Term = 2 * time.Second
	// Outwait is longer than any lease granted before a change was committed.
	Outwait = Term + 100*time.Millisecond

	beatEvery = 500 * time.Millisecond
	// beatsApart bounds the beats that notices cause.
	beatsApart = 20 * time.Millisecond
	// beatTimeout: a beat answered later than this would grant nothing.
	beatTimeout = Term
	// goneAfter is how long a replica's row stays unchanged before another takes it out.
	goneAfter = 10 * time.Second
	// beatsInARow: register, follow, report, and once more.
	beatsInARow = 4
)

// Holder holds what is known under the lease.
type Holder interface {
	// Forget drops everything. Credits in hand are lost, not returned: the store may be another one.
	Forget()
	// Apply puts changes in force: what they touch is dropped, or everything, when not all changes are known.
	Apply(ctx context.Context, changes []Change, all bool) error
	// Unsettled is the number of the first applied change for which something is still to be written to the store,
	// 0 for none.
	Unsettled() int64
}

// Options of a replica.
type Options struct {
	// Shared says that other replicas may work on the same store. Without it nobody is registered, a beat only
	// reads, and a change is in force when it is applied here.
	Shared bool
	Now    func() time.Time // with its monotonic reading
	Log    *slog.Logger
	// Notify is called after a change was committed, to tell other replicas; nil for not at all. A notice that is
	// lost costs time, at most until the next beat.
	Notify func(context.Context)
	// Wait is how the replica waits; nil for the clock's own way.
	Wait Wait
}

// Replica is this process among those that share a store.
type Replica struct {
	store Store
	opt   Options
	wake  chan struct{}
	count atomic.Int64 // of replicas, by the last beat
	beats flight[struct{}]
	polls flight[[]Row]

	apply   sync.RWMutex // held for writing while changes are applied
	holder  Holder
	applied atomic.Int64
	era     atomic.Int64 // counts what was applied or forgotten, twice each
	fresh   atomic.Pointer[time.Time]
	clock   atomic.Pointer[clock] // nil while alone
	loads   atomic.Int64
	stopped atomic.Bool

	// Only the beat that is under way uses these, and Stop, after the last.
	id      string   // "" while not registered
	earlier []string // rows of ours that may still stand in the store
	others  map[string]sighting
}

// sighting is when another replica's row was first seen as it is.
type sighting struct {
	beats int64
	since time.Time
}

// New makes a replica on a store. Give it its Holder before the first beat.
func New(store Store, o Options) *Replica {
	if o.Wait == nil {
		o.Wait = wait
	}
	r := &Replica{store: store, opt: o, wake: make(chan struct{}, 1), others: map[string]sighting{}}
	r.beats.wait, r.polls.wait = o.Wait, o.Wait
	r.count.Store(1)
	return r
}

// Hold names what is held under the lease.
func (r *Replica) Hold(h Holder) { r.holder = h }

// StoreNow is the time by the store's clock, which all replicas share: at most half a round trip off.
func (r *Replica) StoreNow() time.Time {
	if c := r.clock.Load(); c != nil {
		return c.now(r.opt.Now())
	}
	return r.opt.Now()
}

// Shared tells whether there may be other replicas.
func (r *Replica) Shared() bool { return r.opt.Shared }

// Count is how many replicas were registered at the last beat, at least 1.
func (r *Replica) Count() int64 { return r.count.Load() }

// Applied is the number of the last change that is in force here.
func (r *Replica) Applied() int64 { return r.applied.Load() }

// Era changes before any record is dropped, and again after: what Get returned is what it would return now, when the
// era from before has not changed.
func (r *Replica) Era() int64 { return r.era.Load() }

// Loads is how many records were read from the store so far; what is in memory costs none.
func (r *Replica) Loads() int64 { return r.loads.Load() }

// Wake makes Run beat soon: there may be news, or something to report.
func (r *Replica) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run beats until ctx ends.
func (r *Replica) Run(ctx context.Context) error {
	for {
		if err := r.Beat(ctx); err != nil && ctx.Err() == nil {
			r.opt.Log.Warn("authority not read; cached records end with their lease", "error", err)
		}
		r.opt.Wait(ctx, nil, beatsApart)
		r.opt.Wait(ctx, r.wake, beatEvery-beatsApart)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// Stop takes this replica out in order: nobody waits for it from now on, and it lets nobody in. What it owes the
// store has to be written before.
func (r *Replica) Stop(ctx context.Context) error {
	if !r.opt.Shared {
		return nil
	}
	defer r.store.Close()
	_, err := r.beats.own(ctx, func() (none struct{}, err error) {
		r.stopped.Store(true)
		r.drop()
		if r.id == "" {
			return none, nil
		}
		if err := r.store.Remove(ctx, r.id, nil); err != nil {
			return none, fmt.Errorf("leave the other replicas: %w", err)
		}
		r.id = ""
		return none, nil
	})
	return err
}

// Fresh tells whether the lease lasts. It compares both clocks: the monotonic one ignores steps of the wall clock,
// the wall clock runs on while the machine sleeps.
func (r *Replica) Fresh() bool {
	sent := r.fresh.Load()
	if sent == nil {
		return false
	}
	now := r.opt.Now()
	return now.Sub(*sent) < Term && now.Round(0).Sub(sent.Round(0)) < Term
}

// Age is how long ago the last good beat was sent; at Term credentials need another before they count.
func (r *Replica) Age() time.Duration {
	sent := r.fresh.Load()
	if sent == nil {
		return Term
	}
	return r.opt.Now().Sub(*sent)
}

// Refresh beats when the lease has run out; without the store there is no answer, and no false 401.
func (r *Replica) Refresh(ctx context.Context) error {
	if r.Fresh() {
		return nil
	}
	if err := r.Beat(ctx); err != nil {
		return unverifiable(err)
	}
	return nil
}

var errStopped = errors.New("this replica has stopped")

// Beat reads what has changed, puts it in force, and reports it. Who asks while another's beat is under way has
// what comes of the next.
func (r *Replica) Beat(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := r.beats.do(ctx, func() (struct{}, error) {
		// One caller's hanging up must not fail a beat others wait for.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
		defer cancel()
		return struct{}{}, r.follow(ctx)
	})
	return err
}

// follow beats until all that is in force here is reported.
func (r *Replica) follow(ctx context.Context) error {
	if !r.opt.Shared {
		return r.read(ctx)
	}
	for range beatsInARow {
		if more, err := r.beat(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// read is the beat of a replica that is alone.
func (r *Replica) read(ctx context.Context) error {
	sent := r.opt.Now()
	n, err := r.store.Number(ctx)
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	if n != r.applied.Load() {
		if err := r.catchUp(ctx, n); err != nil {
			return err
		}
	}
	r.fresh.Store(&sent)
	return nil
}

// beat is one round trip, with those that news take. There is more to do when it was not a report of all that is
// in force here.
func (r *Replica) beat(ctx context.Context) (more bool, err error) {
	if r.stopped.Load() {
		return false, errStopped
	}
	if r.id == "" {
		return true, r.register(ctx)
	}
	seen, sent := r.Seen(), r.opt.Now()
	p, err := r.store.Beat(ctx, r.id, seen)
	received := r.opt.Now()
	if err != nil || p.N < r.applied.Load() {
		r.id, r.earlier = "", append(r.earlier, r.id)
	}
	switch {
	case err != nil && !notRegistered(err):
		return false, fmt.Errorf("beat: %w", err)
	case r.id == "":
		return true, nil
	}
	r.clock.Store(r.clock.Load().set(sent, received, p.At))
	if p.N > r.applied.Load() {
		if err := r.catchUp(ctx, p.N); err != nil {
			return false, err
		}
	}
	r.fresh.Store(&sent)
	r.observe(ctx, p.Roster)
	return r.Seen() > seen, nil
}

// register begins with nothing in hand. That comes first: once the row is there, it confirms what was changed
// before it. While the store is away, what is in hand is good for the rest of its lease.
func (r *Replica) register(ctx context.Context) error {
	if _, err := r.store.Number(ctx); err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	r.drop()
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	name := id.String()
	n, err := r.store.Register(ctx, name, r.earlier, r.opt.Now())
	if err != nil {
		r.earlier = append(r.earlier, name)
		return fmt.Errorf("register this replica: %w", err)
	}
	r.earlier = []string{name}
	if err := r.put(ctx, nil, true, n); err != nil {
		return err
	}
	r.id, r.earlier = name, nil
	return nil
}

func (r *Replica) drop() {
	r.fresh.Store(nil)
	r.apply.Lock()
	defer r.apply.Unlock()
	r.era.Add(1)
	r.holder.Forget()
	r.era.Add(1)
}

// catchUp applies the changes up to n. A gap (old changes are pruned) or a number that fell (a restored backup)
// drops everything.
func (r *Replica) catchUp(ctx context.Context, n int64) error {
	applied := r.applied.Load()
	changes, err := r.store.Changes(ctx, applied, n)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	whole := n > applied && int64(len(changes)) == n-applied
	return r.put(ctx, changes, !whole, n)
}

func (r *Replica) put(ctx context.Context, changes []Change, all bool, n int64) error {
	r.apply.Lock()
	defer r.apply.Unlock()
	r.era.Add(1)
	err := r.holder.Apply(ctx, changes, all)
	r.era.Add(1)
	if err != nil {
		return err
	}
	r.applied.Store(n)
	return nil
}

// Seen is what this replica may report: all that is applied, up to what still has to be written for it.
func (r *Replica) Seen() int64 {
	n := r.applied.Load() // before the other, which is raised first
	if u := r.holder.Unsettled(); u > 0 {
		n = min(n, u-1)
	}
	return n
}

// observe counts the replicas, and takes out those that have not beaten for long. They find their row gone and
// hold nothing by then.
func (r *Replica) observe(ctx context.Context, roster []Row) {
	r.count.Store(max(1, int64(len(roster))))
	now := r.opt.Now()
	before := r.others
	r.others = make(map[string]sighting, len(roster))
	for _, row := range roster {
		if row.ID == r.id {
			continue
		}
		s, known := before[row.ID]
		if !known || s.beats != row.Beats {
			s = sighting{row.Beats, now}
		}
		r.others[row.ID] = s
		if now.Sub(s.since) < goneAfter {
			continue
		}
		if err := r.store.Remove(ctx, row.ID, &row.Beats); err != nil {
			r.opt.Log.Warn("a replica that is gone was not taken out", "replica", row.ID, "error", err)
			continue
		}
		r.opt.Log.Info("a replica that is gone was taken out", "replica", row.ID)
	}
}
