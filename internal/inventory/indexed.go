package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/index"
	"carfluence/internal/sqldb"
)

const (
	// walkBatch is how many vehicles are read at once.
	walkBatch = 2000
	// togetherMost is how many changed vehicles are held in memory until all of them, some file's, show at the same moment. An
	// index that is further behind is made anew.
	togetherMost = 50_000
	// indexedBytes is about what a vehicle takes in an index.
	indexedBytes = 160
	// failedFor is how long it is not tried again to index an inventory for which there was no room, or which can't be; awayFor when
	// the store was away. Each try may read all vehicles.
	failedFor = time.Minute
	awayFor   = time.Second
	// patience is how long a list waits for the index that the store can answer as well.
	patience = 100 * time.Millisecond
)

// indexes keep an index of the vehicles of each group that is asked about, as long as there is room. An index is brought up to
// date by reading what was written since the version it shows.
type indexes struct {
	limit     int64 // bytes; 0 for no indexes
	documents *index.Budget
	now       func() time.Time
	log       *slog.Logger

	onReserve func(bytes int64) // told of extra; nil for nobody

	mu       sync.Mutex
	of       map[string]*indexed // by group
	reserved int64               // bytes for indexes that are made ahead of commits
	extra    int64               // of them, beyond the limit
}

// indexed is a group's index, and how far it has got.
type indexed struct {
	mu     sync.Mutex
	shown  *index.Index // nil until there is one
	upTo   version      // shown has all of it, maybe more
	next   *nextIndex   // nil for none
	busy   *updating    // nil when nobody brings it up to date
	used   time.Time
	failed error     // of the latest try
	retry  time.Time // not before, when that has failed
}

// updating is a run that brings an index up to date, for all who wait for it.
type updating struct {
	done chan struct{}
	far  chan struct{} // closed when it turns out to take longer than a request should
	once sync.Once     // closes far
	err  error
}

func (u *updating) takesLong() { u.once.Do(func() { close(u.far) }) }

func newIndexes(o Options) *indexes {
	return &indexes{limit: o.IndexBytes, documents: index.NewBudget(o.DocumentBytes), now: o.Now, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), of: map[string]*indexed{}}
}

func (all *indexes) group(id string) *indexed {
	all.mu.Lock()
	defer all.mu.Unlock()
	g, ok := all.of[id]
	if !ok {
		g = &indexed{}
		all.of[id] = g
	}
	return g
}

// need says how much of an index a caller can't do without.
type need uint8

const (
	needNothing need = iota // the store can tell as well: nil rather than late
	needState               // all of one moment: when the index is far behind, the moment before
	needAll                 // all that was written before, however long that takes
)

// get is a group's index. current tells that it shows a version.
func (all *indexes) get(ctx context.Context, t *sqldb.Tenant, v version, n need) (x *index.Index, current bool, err error) {
	if all.limit <= 0 {
		return nil, false, errNoIndex
	}
	g := all.group(t.Group())
	for {
		x, current, run := all.state(g, v)
		if current {
			return x, true, nil
		}
		if run == nil {
			if run, err = all.start(ctx, t, g); err != nil {
				return nil, false, err
			}
		}
		far, late := run.far, (<-chan time.Time)(nil)
		switch {
		case n == needNothing:
			late = time.After(patience)
		case n == needAll || x == nil:
			far = nil
		}
		select {
		case <-run.done:
			if run.err != nil {
				return nil, false, run.err
			}
		case <-late:
			return nil, false, nil
		case <-far:
			if n == needNothing {
				x = nil
			}
			return x, false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// state is the index, whether it shows a version, and who brings it up to date at the moment.
func (all *indexes) state(g *indexed, v version) (x *index.Index, current bool, run *updating) {
	g.mu.Lock()
	followed := all.follow(g, v)
	g.used = all.now()
	g.mu.Unlock()
	if followed {
		_ = all.keepTo(g)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shown, g.shown != nil && g.upTo.changes >= v.changes && g.upTo.strays() >= v.strays(), g.busy
}

// start brings an index up to date, beside the request that finds it behind: others wait for it too.
func (all *indexes) start(ctx context.Context, t *sqldb.Tenant, g *indexed) (*updating, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil && all.now().Before(g.retry) {
		return nil, g.failed
	}
	if g.busy == nil {
		g.busy = &updating{done: make(chan struct{}), far: make(chan struct{})}
		go all.run(context.WithoutCancel(ctx), t, g, g.busy)
	}
	return g.busy, nil
}

func (all *indexes) run(ctx context.Context, t *sqldb.Tenant, g *indexed, run *updating) {
	defer close(run.done)
	run.err = all.update(ctx, t, g, run)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy, g.failed, g.retry = nil, run.err, all.now().Add(failedFor)
	switch {
	case errors.Is(run.err, errNoIndex):
		all.log.Warn("there is no room for the index of an inventory; raise --index-mb", "group", t.Group())
	case errs.KindOf(run.err) == errs.KindUnavailable:
		g.retry = all.now().Add(awayFor)
	case run.err != nil:
		all.log.Warn("the index of an inventory could not be brought up to date", "group", t.Group(), "error", run.err)
	}
}

// update brings an index up to date. What a transaction has written shows as a whole.
func (all *indexes) update(ctx context.Context, t *sqldb.Tenant, g *indexed, run *updating) error {
	v, err := selectVersion(ctx, t)
	if err != nil {
		return err
	}
	g.mu.Lock()
	all.follow(g, v)
	x, upTo := g.shown, g.upTo
	g.mu.Unlock()
	if x == nil || upTo.strays() != v.strays() {
		return all.build(ctx, t, g, x, v, run)
	}
	var changed []index.Row
	err = walk(ctx, t, upTo.changes+1, func(rows []index.Row) error {
		changed = append(changed, rows...)
		if len(rows) == walkBatch {
			run.takesLong()
		}
		if len(changed) > togetherMost {
			return errFarBehind
		}
		return nil
	})
	if errors.Is(err, errFarBehind) {
		return all.build(ctx, t, g, x, v, run)
	}
	if err == nil && len(changed) > 0 {
		err = x.Put(changed)
	}
	if err != nil {
		return err
	}
	g.show(x, x, v)
	return all.keepTo(g)
}

var errFarBehind = errors.New("far behind")

// build makes an index anew. The one before goes on answering if there is room for both.
func (all *indexes) build(ctx context.Context, t *sqldb.Tenant, g *indexed, before *index.Index, v version, run *updating) error {
	counted, err := selectCounts(ctx, t)
	if err != nil {
		return err
	}
	total := counted.sum().total
	if total > walkBatch {
		run.takesLong()
	}
	if !all.makeRoom(g, total*indexedBytes) {
		return errNoIndex
	}
	x := index.New(all.documents)
	x.Reserve(int(total))
	if err := walk(ctx, t, 0, x.Put); err != nil {
		x.Close()
		return err
	}
	g.show(before, x, v)
	return all.keepTo(g)
}

// keepTo keeps to the limit after a group's index has grown.
func (all *indexes) keepTo(g *indexed) error {
	if !all.makeRoom(g, 0) {
		return errNoIndex
	}
	return nil
}

// show makes a state of the index known, in place of the one before, unless another has taken that.
func (g *indexed) show(before, x *index.Index, upTo version) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.shown == x && g.upTo.changes > upTo.changes && g.upTo.strays() == upTo.strays(): // made ahead of what was read
		return
	case g.shown == x:
	case g.shown == nil:
		g.shown = x
	case g.shown == before:
		before.Close()
		g.shown = x
	default:
		x.Close()
		return
	}
	g.upTo = upTo
}

// makeRoom lets go of what indexes can do without, then of indexes, those first that nobody has asked for longest and the
// group's own last, until there is room for more bytes.
func (all *indexes) makeRoom(own *indexed, more int64) bool {
	if more > all.limit {
		return false
	}
	for trimmed := false; ; trimmed = true {
		used, oldest := all.usage(own)
		if used+more <= all.limit {
			return true
		}
		if !trimmed {
			all.trim()
			continue
		}
		all.drop(oldest)
		if oldest == own && more == 0 {
			return false
		}
	}
}

// usage is what all indexes take, and the one to let go of first. No request waits for it, as one index may be busy.
func (all *indexes) usage(own *indexed) (bytes int64, oldest *indexed) {
	var since time.Time
	for _, g := range all.groups() {
		g.mu.Lock()
		x, used := g.shown, g.used
		g.mu.Unlock()
		if x == nil {
			continue
		}
		bytes += x.Bytes()
		if g != own && (oldest == nil || oldest == own || used.Before(since)) || g == own && oldest == nil {
			oldest, since = g, used
		}
	}
	return bytes, oldest
}

func (all *indexes) trim() {
	for _, g := range all.groups() {
		g.mu.Lock()
		x := g.shown
		g.mu.Unlock()
		if x != nil {
			x.Trim()
		}
	}
}

func (all *indexes) groups() []*indexed {
	all.mu.Lock()
	defer all.mu.Unlock()
	return slices.Collect(maps.Values(all.of))
}

// drop lets go of a group's index. Requests that have it may go on.
func (all *indexes) drop(g *indexed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shown != nil {
		g.shown.Close()
		g.shown = nil
	}
}

// walk gives f all vehicles written in a version or later. It reads them by version and some at a time: what is written
// meanwhile comes later, once more, so that in the end all are as of one moment.
func walk(ctx context.Context, t *sqldb.Tenant, from int64, f func(rows []index.Row) error) error {
	vin := ""
	for {
		rows, err := selectWritten(ctx, t, from, vin, walkBatch)
		if err != nil {
			return err
		}
		if err := f(rows); err != nil {
			return fmt.Errorf("index vehicles: %w", err)
		}
		if len(rows) < walkBatch {
			return nil
		}
		from, vin = rows[len(rows)-1].Version, rows[len(rows)-1].VIN
	}
}

// errNoIndex tells who runs the server, too, what to do.
var errNoIndex = &errs.Error{
	Kind: errs.KindUnavailable, Code: "inventory_too_large", RetryAfter: time.Minute,
	Detail: "Filters, sorts and facets need the inventory in memory, and this server's --index-mb has no room for it. Lists with status and search alone work on.",
}

// Warm makes the group's index if there is room beside the others'; more tells whether there was.
func (s *Stock) Warm(ctx context.Context, t *sqldb.Tenant) (more bool, err error) {
	counted, err := selectCounts(ctx, t)
	if err != nil {
		return false, err
	}
	if used, _ := s.indexes.usage(nil); used+counted.sum().total*indexedBytes > s.indexes.limit {
		return false, nil
	}
	v, err := s.pages.version(ctx, t, s.now())
	if err != nil {
		return false, err
	}
	_, _, err = s.indexes.get(ctx, t, v, needAll)
	return true, err
}
