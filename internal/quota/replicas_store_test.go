package quota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"carfluence/internal/lease"
	"carfluence/internal/sqldb"
)

// shop is the database of the model: what the statements of quota_sql.go and lease_sql.go mean, in memory.
type shop struct {
	n        int64
	changes  []lease.Change
	roster   []*lease.Row
	rows     map[rowKey]*row
	accounts map[string]*account
}

type rowKey struct {
	id     string
	window int64
}

type row struct{ lim, used, spent, calledIn int64 }

// account is a key as it is stored.
type account struct {
	revoked bool
	limit   int64
}

func (s *shop) log(c lease.Change) int64 {
	s.n++
	c.N = s.n
	s.changes = append(s.changes, c)
	return s.n
}

func (s *shop) row(id string, window int64) *row {
	r := s.rows[rowKey{id, window}]
	if r == nil {
		r = &row{}
		s.rows[rowKey{id, window}] = r
	}
	return r
}

func (s *shop) find(id string) *lease.Row {
	for _, r := range s.roster {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (s *shop) remove(id string) {
	s.roster = slices.DeleteFunc(s.roster, func(r *lease.Row) bool { return r.ID == id })
}

func (s *shop) rosterNow() []lease.Row {
	out := make([]lease.Row, len(s.roster))
	for i, r := range s.roster {
		out[i] = *r
	}
	return out
}

// apply is applyEntry.
func (s *shop) apply(e *entry) {
	r := s.row(e.subject.ID, e.window)
	if r.lim < e.limit {
		r.calledIn = 0
	}
	e.granted = e.grant(r.used, r.calledIn > 0)
	r.lim = e.limit
	r.used += e.used + e.granted
	r.spent += e.spent
	e.stored, e.storedSpent, e.calledIn = r.used, r.spent, r.calledIn
}

var errLost = fmt.Errorf("connection lost: %w", io.ErrUnexpectedEOF)

// op is what a task waits for: a statement on its way, or a time or a channel.
type op struct {
	name  string
	steps []func() // of the statement, each atomic; nil for a wait
	done  int      // of these
	twice bool     // may be carried out twice without harm
	fail  error    // instead of the answer

	entries []entry // of apply, as the store has them
	ch      <-chan struct{}
	waiter  *waiter   // of a call
	until   time.Time // zero for never
	since   time.Time
}

// port is one replica's way to the shop. It implements lease.Store and store.
type port struct {
	w *world
	m *member
}

func (p port) trip(o *op) error {
	p.w.park(o)
	return o.fail
}

func (p port) send(name string, twice bool, step func()) error {
	return p.trip(&op{name: name, twice: twice, steps: []func(){step}})
}

func (p port) connect(context.Context) (again bool) {
	again, p.m.cut = p.m.cut, false
	return again
}

func (p port) close() error { return nil }

// Close implements lease.Store.
func (p port) Close() error { return nil }

// Number implements lease.Store.
func (p port) Number(context.Context) (n int64, err error) {
	err = p.send("number", true, func() { n = p.w.shop.n })
	return n, err
}

// Register reads the number and shows its row in two steps, as a statement does under READ COMMITTED.
func (p port) Register(_ context.Context, id string, earlier []string, _ time.Time) (n int64, err error) {
	read := func() { n = p.w.shop.n }
	show := func() {
		for _, old := range earlier {
			p.w.shop.remove(old)
		}
		p.w.shop.roster = append(p.w.shop.roster, &lease.Row{ID: id, Seen: n})
	}
	err = p.trip(&op{name: "register", steps: []func(){read, show}})
	return n, err
}

func (p port) Beat(_ context.Context, id string, seen int64) (pulse lease.Pulse, err error) {
	gone := false
	err = p.send("beat", true, func() {
		r := p.w.shop.find(id)
		if gone = r == nil; gone {
			return
		}
		pulse = lease.Pulse{N: p.w.shop.n, At: p.w.now, Roster: p.w.shop.rosterNow()}
		r.Seen, r.Beats = seen, r.Beats+1
	})
	if err == nil && gone {
		err = sqldb.ErrNoRows
	}
	return pulse, err
}

func (p port) Changes(_ context.Context, after, upTo int64) (out []lease.Change, err error) {
	err = p.send("changes", true, func() {
		out = slices.Clone(p.w.shop.changes[min(after, p.w.shop.n):min(upTo, p.w.shop.n)])
	})
	return out, err
}

func (p port) Roster(context.Context) (out []lease.Row, err error) {
	err = p.send("roster", true, func() { out = p.w.shop.rosterNow() })
	return out, err
}

func (p port) Remove(_ context.Context, id string, beats *int64) error {
	return p.send("remove", true, func() {
		if r := p.w.shop.find(id); r != nil && (beats == nil || r.Beats == *beats) {
			p.w.shop.remove(id)
		}
	})
}

func (p port) apply(_ context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	o := &op{name: "apply", entries: slices.Clone(entries)}
	o.steps = []func(){func() {
		for i := range o.entries {
			p.w.shop.apply(&o.entries[i])
		}
	}}
	if err := p.trip(o); err != nil {
		p.m.cut = p.w.chance(0.5) // else it was the statement's own fault
		return err
	}
	copy(entries, o.entries)
	return nil
}

func (p port) usedIn(context.Context, Subject, int64) (int64, error) {
	return 0, errors.New("only a sole replica reads this")
}

func (p port) callIn(_ context.Context, s Subject, window int64, _ time.Time) (n int64, err error) {
	err = p.send("call in", false, func() {
		r := p.w.shop.row(s.ID, window)
		if r.calledIn == 0 {
			r.calledIn = p.w.shop.log(lease.Change{Kind: Hungry, Group: s.Group, ID: s.ID, Window: window})
		}
		n = r.calledIn
	})
	return n, err
}

// load reads a key.
func (p port) load(id string) (a account, err error) {
	err = p.send("load", true, func() { a = *p.w.shop.accounts[id] })
	return a, err
}
