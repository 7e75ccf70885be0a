package inventory

import (
	"context"
	"time"

	"carfluence/internal/index"
	"carfluence/internal/sqldb"
)

// aheadLeast is from how many vehicles on a transaction's writer brings its own index: reading that many from the store later
// would take longer than a list can wait.
const aheadLeast = walkBatch

// leastOwn is the part of an index, as a divisor, that a fork has of its own when a file changed prices alone.
const leastOwn = 4

// ahead is an index that shows what a transaction is writing: made beside the one in use, which it succeeds when others see
// the commit. So lists have a large file as soon as it is there.
type ahead struct {
	all    *indexes
	g      *indexed
	tx     *sqldb.Tenant
	before version
	rows   []index.Row  // written so far, until there are too many of them
	index  *index.Index // from then on
	room   room
	off    bool // there is none, or no room for another
}

// ahead is for a writer that found a version, and has the inventory's lock. Only an index that is of just this version can be gone
// on with.
func (all *indexes) ahead(tx *sqldb.Tenant, before version) *ahead {
	g := all.group(tx.Group())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next != nil && g.next.tx != tx { // of a transaction that has ended
		if !all.follow(g, before) {
			all.forgetNext(g)
		}
	}
	return &ahead{all: all, g: g, tx: tx, before: before, off: all.limit <= 0}
}

// put notes vehicles as they are now.
func (a *ahead) put(rows []index.Row) {
	if a.off {
		return
	}
	if a.index == nil {
		a.rows = append(a.rows, rows...)
		if len(a.rows) < aheadLeast {
			return
		}
		base := a.g.base(a.before)
		a.room.spare = a.all.spare()
		if base == nil || !a.hasRoom(base.Bytes()/leastOwn) {
			a.end()
			return
		}
		a.index, rows, a.rows = base.Fork(), a.rows, nil
	}
	if a.index.Put(rows) != nil || !a.hasRoom(a.index.OwnBytes()) {
		a.end() // who reads them from the store will say what is wrong with them
	}
}

// hasRoom tells whether there is room for so many bytes.
func (a *ahead) hasRoom(bytes int64) bool {
	if bytes <= a.room.bytes {
		return true
	}
	for _, more := range []int64{bytes / 8, 0} {
		if wanted := (room{bytes + more, a.room.spare}); a.all.reserve(a.room, wanted) {
			a.room = wanted
			return true
		}
	}
	return false
}

// room is what an index made ahead may take.
type room struct {
	bytes int64
	spare int64 // of the limit, when it was made
}

// extra is what is set aside beyond the limit.
func (r room) extra() int64 { return max(0, r.bytes-r.spare) }

// spare is what of the limit no index takes.
func (all *indexes) spare() int64 {
	used, _ := all.usage(nil)
	all.mu.Lock()
	defer all.mu.Unlock()
	return max(0, all.limit-used-all.reserved)
}

// reserve changes the room of one of the indexes that are ahead, which together may take as much as those in use.
func (all *indexes) reserve(had, wanted room) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if more := wanted.bytes - had.bytes; more > 0 && all.reserved+more > all.limit {
		return false
	}
	all.reserved += wanted.bytes - had.bytes
	if more := wanted.extra() - had.extra(); more != 0 {
		if all.extra += more; all.onReserve != nil {
			all.onReserve(all.extra)
		}
	}
	return true
}

// end gives it up.
func (a *ahead) end() {
	if a.index != nil {
		a.index.Close()
	}
	a.all.reserve(a.room, room{})
	a.rows, a.index, a.room, a.off = nil, nil, room{}, true
}

// ready leaves the index to be shown with the version that a commit is about to make, if it is of this mark.
func (a *ahead) ready(mark int64) {
	if a.index == nil {
		return
	}
	a.index.Prepare()
	a.g.mu.Lock()
	defer a.g.mu.Unlock()
	a.all.forgetNext(a.g)
	a.g.next = &nextIndex{a.index, a.tx, version{n: a.before.n + 1, changes: a.before.changes + 1, bumps: a.before.bumps, mark: mark}, a.room}
	a.index, a.room = nil, room{}
}

// nextIndex is to be shown with a version that may not be committed yet.
type nextIndex struct {
	*index.Index
	tx   *sqldb.Tenant
	of   version
	room room
}

func (x *nextIndex) is(v version) bool {
	return x.of.changes == v.changes && x.of.mark == v.mark && x.of.strays() == v.strays()
}

// base is an index that shows a version, maybe one that is not yet committed.
func (g *indexed) base(v version) *index.Index {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.next != nil && g.next.is(v):
		return g.next.Index
	case g.shown != nil && g.upTo.changes == v.changes && g.upTo.strays() == v.strays():
		return g.shown
	}
	return nil
}

// follow shows the index that was made ahead when a version, which others see, is its own; followed tells that it was so.
func (all *indexes) follow(g *indexed, v version) (followed bool) {
	if g.next == nil || v.changes < g.next.of.changes { // not yet committed
		return false
	}
	if !g.next.is(v) { // it was rolled back, or others wrote since
		all.forgetNext(g)
		return false
	}
	if g.shown != nil {
		g.next.Succeed(g.shown)
	}
	all.reserve(g.next.room, room{})
	g.shown, g.next, g.upTo = g.next.Index, nil, v
	return true
}

func (all *indexes) forgetNext(g *indexed) {
	if g.next != nil {
		g.next.Close()
		all.reserve(g.next.room, room{})
		g.next = nil
	}
}

// followSoon shows the index that a transaction has left, if it has: it would take memory for two until somebody asks.
func (all *indexes) followSoon(t *sqldb.Tenant) {
	g := all.group(t.Group())
	g.mu.Lock()
	waits := g.next != nil
	g.mu.Unlock()
	if !waits {
		return
	}
	go func() {
		ctx, done := context.WithTimeout(context.Background(), time.Minute)
		defer done()
		if v, err := selectVersion(ctx, t); err == nil {
			_, _, _ = all.state(g, v)
		}
	}()
}
