package quota

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
)

// Subject is what a limit belongs to: the id of a key or person within its dealer group.
type Subject struct{ Group, ID string }

// Limit is how many calls a subject has in a window, as of a number of the change log: a call that comes late
// with an older one does not bring it back.
type Limit struct{ Calls, AsOf int64 }

// How long a refusal is believed without asking the store again.
const refusalMemory = 5 * time.Second

// Meter is the counter of one subject on this replica.
type Meter struct {
	ledger  *Ledger
	subject Subject
	offset  int64 // seconds; spreads the resets of different subjects

	mu      sync.Mutex
	dropped bool // no longer in the ledger's map
	window  int64
	limit   int64
	asOf    int64 // the change log's number when limit was read
	used    int64 // what the store had handed out in this window when it last answered
	credits int64 // of these, in hand here
	refused time.Time
	waiting []*waiter

	calledIn  int64    // the change that called in what replicas hold of this window, 0 for none
	confirmed int64    // the one by which all have returned it
	calling   *calling // while calls wait for that

	spent     int64 // since the last settlement
	unwritten int64 // handed out in memory while the store could not be written, less what is to be returned
	lastUsed  time.Time
	told      time.Time // lastUsed as the store was last told
	written   time.Time // when what there was to settle was last sent
	recent    rate
}

// calling is under way while calls wait for what other replicas hold.
type calling struct {
	meter  *Meter
	window int64
}

// waiter is a call that waits for the store. Its fields belong to the meter's mutex; done is closed when
// outcome is final.
type waiter struct {
	done    chan struct{}
	settled bool
	granted bool
	gone    bool // the call gave up waiting
	again   bool // its question was lost once
	state   State
	err     error
}

// State is where a subject stands in its window.
type State struct {
	rest.RateLimit
	window, era int64
}

func offsetOf(s Subject, window int64) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.ID))
	return int64(h.Sum64()>>1) % window
}

// windowAt is the number of the window an instant belongs to; windows are aligned to the subject's offset.
func (m *Meter) windowAt(now time.Time) int64 {
	return floorDiv(now.Unix()-m.offset, m.ledger.seconds)
}

func (m *Meter) reset() int64 { return (m.window+1)*m.ledger.seconds + m.offset }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

func (m *Meter) state() State {
	left := max(0, m.limit-(m.used-m.credits))
	return State{RateLimit: rest.RateLimit{Limit: m.limit, Remaining: left, Reset: m.reset()}, window: m.window, era: m.ledger.era.Load()}
}

// take spends one credit. With none in hand it returns a waiter, to be awaited once the store was asked. It is not
// ok when the ledger has dropped this meter meanwhile.
func (m *Meter) take(limit Limit, now time.Time) (s State, w *waiter, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dropped {
		return State{}, nil, false, nil
	}
	m.turn(now)
	m.adopt(limit)
	if m.credits > 0 && len(m.waiting) == 0 {
		m.spend(now)
		return m.state(), nil, true, nil
	}
	if now.Before(m.refused) && len(m.waiting) == 0 {
		s := m.state()
		return s, nil, true, exceeded(s, now)
	}
	w = &waiter{done: make(chan struct{})}
	m.waiting = append(m.waiting, w)
	m.askAgain()
	return State{}, w, true, nil
}

func (m *Meter) await(ctx context.Context, w *waiter, now time.Time) (State, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		m.mu.Lock()
		w.gone = true
		if w.settled && w.granted {
			m.giveBack(w.state)
		}
		s := m.state()
		m.mu.Unlock()
		return s, errs.UnavailableFor(time.Second, "The request ended before its quota was known.", ctx.Err())
	}
	if w.err != nil {
		return w.state, w.err
	}
	if !w.granted {
		return w.state, exceeded(w.state, now)
	}
	return w.state, nil
}

// turn begins a new window: credits in hand belonged to the old one and end with it.
func (m *Meter) turn(now time.Time) {
	w := m.windowAt(now)
	if w == m.window {
		return
	}
	if m.spent != 0 || m.unwritten != 0 || m.credits > 0 {
		m.ledger.owe(entry{subject: m.subject, window: m.window, limit: m.limit, used: m.unwritten - m.credits, spent: m.spent, share: 1, at: m.lastUsed, era: m.ledger.era.Load()})
	}
	m.window, m.used, m.credits, m.spent, m.unwritten, m.refused = w, 0, 0, 0, 0, time.Time{}
	m.calledIn, m.confirmed = 0, 0
	m.dropCall()
}

// adopt takes over a changed limit: credits taken under the old one go back and the store is asked anew.
func (m *Meter) adopt(limit Limit) {
	if limit.AsOf < m.asOf {
		return
	}
	m.asOf = limit.AsOf
	if m.limit == limit.Calls {
		return
	}
	m.limit, m.refused = limit.Calls, time.Time{}
	m.calledIn, m.confirmed = 0, 0
	m.dropCall()
	m.handBack()
}

// dropCall has calls ask the store that wait for other replicas: what they wait for is no longer what decides.
func (m *Meter) dropCall() {
	if m.calling != nil {
		m.calling = nil
		m.askAgain()
	}
}

// callIn notes the change from which on no surplus is kept in this window.
func (m *Meter) callIn(n int64) {
	m.calledIn = max(m.calledIn, n)
	if m.calledIn > 0 && len(m.waiting) == 0 {
		m.handBack()
	}
}

// handBack returns the credits in hand with the next settlement.
func (m *Meter) handBack() {
	m.unwritten -= m.credits
	m.used -= m.credits
	m.credits = 0
}

func (m *Meter) spend(now time.Time) {
	m.credits--
	m.spent++
	m.lastUsed = now
	m.recent.add(now)
}

// refund gives a credit back: the answer turned out not to count.
func (m *Meter) refund(s State) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.giveBack(s)
	now := m.state()
	if s.window != m.window { // the window is over; show the caller its own
		s.Remaining++
		return s
	}
	return now
}

// giveBack puts a spent credit back in hand; to the store, when a lowered limit leaves nothing to spend it on.
func (m *Meter) giveBack(s State) {
	if s.window != m.window || s.era != m.ledger.era.Load() {
		return
	}
	m.credits++
	m.spent--
	m.refused = time.Time{}
	if m.used-m.credits >= m.limit {
		m.handBack()
	}
}

func exceeded(s State, now time.Time) error {
	return &errs.Error{
		Kind: errs.KindRateLimited, Code: "rate_limited",
		Detail:     "The limit for this window is used up. Wait until it resets (X-RateLimit-Reset), or ask an administrator for a higher limit.",
		RetryAfter: max(time.Second, time.Unix(s.Reset, 0).Sub(now)),
	}
}

// rate counts events of about the last minute in two half-minute buckets.
type rate struct {
	slot          int64
	current, last int64
}

const slotSeconds = 30

func (r *rate) roll(now time.Time) {
	slot := now.Unix() / slotSeconds
	switch {
	case slot == r.slot:
	case slot == r.slot+1:
		r.slot, r.last, r.current = slot, r.current, 0
	default:
		r.slot, r.last, r.current = slot, 0, 0
	}
}

func (r *rate) add(now time.Time) { r.roll(now); r.current++ }

func (r *rate) sum(now time.Time) int64 { r.roll(now); return r.current + r.last }
