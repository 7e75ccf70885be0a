package quota

import (
	"context"
	"errors"
	"slices"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
)

// wanted is what the waiting calls need, plus a surplus.
func (m *Meter) wanted(now time.Time) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	m.forgetGone()
	if len(m.waiting) == 0 || m.calling != nil {
		return entry{}, false
	}
	e := m.entry(now)
	e.need = max(0, int64(len(m.waiting))-m.credits)
	if m.used > 0 {
		e.surplus = 2 * m.target(now) // use grows, or calls would not wait
	}
	return e, true
}

// forgetGone lets nobody ask for calls that gave up.
func (m *Meter) forgetGone() {
	m.waiting = slices.DeleteFunc(m.waiting, func(w *waiter) bool { return w.gone })
}

// target is how many credits a busy subject has in hand for calls to come: what was used here in the last minute, at
// most a fair part of what is left.
func (m *Meter) target(now time.Time) int64 {
	if m.calledIn > 0 {
		return 0
	}
	return min(m.recent.sum(now), max(0, m.limit-m.used)/m.ledger.share())
}

// due tells whether there is something to settle.
func (m *Meter) due(now time.Time, all bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	return m.spent != 0 || m.unwritten != 0 || m.lastUsed.After(m.told) || m.credits > 0 && m.spare(now, all)
}

// spare tells that credits in hand are to go back.
func (m *Meter) spare(now time.Time, all bool) bool {
	return all || m.calledIn > 0 || now.Sub(m.lastUsed) > idleReturn
}

// settlement is what is to be written without anybody waiting. It refills what was used up since the last, so that
// the next calls find credits in hand.
func (m *Meter) settlement(now time.Time, all bool) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	busy := m.spent > 0
	if m.credits > 0 && m.spare(now, all) {
		m.handBack()
		busy = false
	}
	if m.spent == 0 && m.unwritten == 0 && !m.lastUsed.After(m.told) {
		return entry{}, false
	}
	e := m.entry(now)
	if busy && !all && len(m.waiting) == 0 {
		e.surplus = max(0, m.target(now)-m.credits)
	}
	return e, true
}

// returns is what is to be written of credits that were called in.
func (m *Meter) returns(now time.Time) (entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unwritten == 0 && m.spent == 0 {
		return entry{}, false
	}
	return m.entry(now), true
}

func (m *Meter) entry(now time.Time) entry {
	e := entry{
		meter: m, subject: m.subject, window: m.window, limit: m.limit, used: m.unwritten, spent: m.spent,
		share: m.ledger.share(), at: m.lastUsed, era: m.ledger.era.Load(),
	}
	m.spent, m.unwritten, m.told, m.written = 0, 0, m.lastUsed, now
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
		e.leave(err)
		m.askAgain()
		return
	}
	switch {
	case err != nil:
		m.unwritten += max(0, e.used)
	case e.later:
		m.spent += e.spent
		m.unwritten += e.used + e.granted
	}
	if m.ledger.era.Load() != e.era { // another store may have answered: what it granted is lost
		m.askAgain()
		return
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
	m.conclude(e, err, now)
}

// leave settles an answer that came after its window.
func (e *entry) leave(err error) {
	over := entry{subject: e.subject, window: e.window, limit: e.limit, share: 1, at: e.at, era: e.era}
	switch {
	case e.later:
		over.used, over.spent = e.used, e.spent
	case err == nil && e.granted > 0 && e.era == e.meter.ledger.era.Load(): // another replica's clock may be behind
		over.used = -e.granted
	default:
		return
	}
	e.meter.ledger.owe(over)
}

// conclude lets the calls go that can be answered. When nothing is left in the store, whether others hold some
// decides over the rest.
func (m *Meter) conclude(e *entry, err error, now time.Time) {
	m.calledIn = max(m.calledIn, e.calledIn)
	exhausted := err == nil && m.used >= m.limit
	// The row's own word: a raised limit may have undone a call that this replica remembers.
	refuse := exhausted && (m.alone(e) || e.calledIn > 0 && m.confirmed == e.calledIn)
	m.release(err, now, e.need > 0, refuse)
	if exhausted && !refuse && len(m.waiting) > 0 && m.calling == nil {
		c, n := &calling{m, m.window}, e.calledIn
		m.calling = c
		m.ledger.begin(func() { m.ledger.callIn(c, n) })
	}
	m.callIn(0)
}

// alone tells that no other replica holds a credit of the window: all that were handed out are spent, but for those
// just granted here.
func (m *Meter) alone(e *entry) bool {
	return !m.ledger.shared() || e.stored-e.granted <= e.storedSpent
}

// done lets the calls ask once more, after all replicas have returned what they held; what they are told then is
// final.
func (c *calling) done(n int64, err error, now time.Time) {
	m := c.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calling != c {
		return
	}
	m.calling = nil
	if err != nil {
		m.release(err, now, true, false)
		return
	}
	m.calledIn, m.confirmed = max(m.calledIn, n), n
	m.askAgain()
}

func (m *Meter) askAgain() {
	if len(m.waiting) > 0 && m.calling == nil {
		m.ledger.ask(m)
	}
}

// release lets waiting calls go, in order, as far as credits reach. The rest is refused when the window is
// exhausted, told when the question for them failed (for the second time, when the connection was cut), and asks again
// otherwise: it came after the question, or the question was a settlement's.
func (m *Meter) release(err error, now time.Time, asked, exhausted bool) {
	rest := m.waiting[:0]
	for _, w := range m.waiting {
		switch {
		case w.gone:
			continue
		case m.credits > 0:
			m.spend(now)
			w.granted = true
		case asked && cutOff(err) && !w.again: // what was granted may be lost; another connection may do
			w.again = true
			rest = append(rest, w)
			continue
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

// cutOff tells that the store, when well, has ended the connection, as a restart does.
func cutOff(err error) bool {
	return sqldb.IsAway(err) && !errors.Is(err, context.DeadlineExceeded)
}

func unavailable(err error) error {
	return errs.UnavailableFor(time.Second, "The quota can't be counted at the moment, so the call was not let in. Try again shortly.", err)
}
