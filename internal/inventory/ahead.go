package inventory

import "carfluence/internal/index"

// aheadLeast is from how many vehicles on a transaction's writer brings its own index: reading that many from the store later
// would take longer than a list can wait.
const aheadLeast = walkBatch

// ahead is an index that shows what a transaction is writing: made beside the one in use, which it succeeds when others see
// the commit. So lists have a large file as soon as it is there.
type ahead struct {
	all    *indexes
	g      *indexed
	before version
	rows   []index.Row  // written so far, until there are too many of them
	index  *index.Index // from then on
	room   int64        // bytes that there is room for
	off    bool         // there is none, or no room for another
}

// ahead is for a writer that found a version. Only an index that is of just this version can be gone on with.
func (all *indexes) ahead(group string, before version) *ahead {
	return &ahead{all: all, g: all.group(group), before: before, off: all.limit <= 0}
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
		if base == nil || !a.hasRoom(base.Bytes()) {
			a.end()
			return
		}
		a.index, rows, a.rows = base.Fork(), a.rows, nil
	}
	if !a.hasRoom(a.index.Bytes()) || a.index.Put(rows) != nil {
		a.end() // who reads them from the store will say what is wrong with them
	}
}

// hasRoom tells whether there is room for so many bytes beside all indexes in use.
func (a *ahead) hasRoom(bytes int64) bool {
	if bytes > a.room {
		used, _ := a.all.usage(nil)
		a.room = min(bytes+bytes/8+1<<20, a.all.limit-used)
	}
	return bytes <= a.room
}

// end gives it up.
func (a *ahead) end() {
	if a.index != nil {
		a.index.Close()
	}
	a.rows, a.index, a.off = nil, nil, true
}

// ready leaves the index to be shown with the version that a commit is about to make, if it is of this mark.
func (a *ahead) ready(mark int64) {
	if a.index == nil {
		return
	}
	a.index.Prepare()
	a.g.mu.Lock()
	defer a.g.mu.Unlock()
	a.g.forgetNext()
	a.g.next, a.g.nextOf = a.index, version{n: a.before.n + 1, changes: a.before.changes + 1, bumps: a.before.bumps, mark: mark}
	a.index = nil
}

// base is an index that shows a version, maybe one that is not yet committed.
func (g *indexed) base(v version) *index.Index {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.next != nil && g.nextOf.changes == v.changes && g.nextOf.mark == v.mark && g.nextOf.strays() == v.strays():
		return g.next
	case g.shown != nil && g.upTo.changes == v.changes && g.upTo.strays() == v.strays():
		return g.shown
	}
	return nil
}

// follow shows the index that was made ahead when a version, which others see, is its own.
func (g *indexed) follow(v version) {
	switch {
	case g.next == nil || v.changes < g.nextOf.changes: // not yet committed
	case v.changes > g.nextOf.changes || v.mark != g.nextOf.mark || v.strays() != g.nextOf.strays():
		g.forgetNext() // it was rolled back, or others wrote since
	default:
		if g.shown != nil {
			g.next.Succeed(g.shown)
		}
		g.shown, g.next, g.upTo = g.next, nil, v
	}
}

func (g *indexed) forgetNext() {
	if g.next != nil {
		g.next.Close()
		g.next = nil
	}
}
