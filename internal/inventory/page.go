package inventory

import (
	"context"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// versionAge is how long a group's version is believed without asking the store. Writes of other processes show
// after it at the latest.
const versionAge = 500 * time.Millisecond

// Filter says which vehicles a list shows. It is comparable, so that it can name a page in memory.
type Filter struct {
	Status        string // StatusActive, StatusSold or "" for all
	IntegrationID string // what this integration says; "" for the one view of all sources
	Config        string // as this merge config merges them; "" as the inventory does
	Disputed      string // what the config's sources say of vehicles about which they disagree, in this field or in AnyField; "" for vehicles
	Search        string // folded by FoldSearch; "" for none

	view string // that Config shows, while a page is made
}

// AnyField stands for whichever field sources disagree about.
const AnyField = "*"

// plain filters have kept counters.
func (f Filter) plain() bool {
	return f.IntegrationID == "" && f.Search == "" && (f.Disputed == "" || f.Disputed == AnyField)
}

// noun is what the list is called.
func (f Filter) noun() string {
	if f.Disputed != "" {
		return "conflicts"
	}
	return "vehicles"
}

// conflicts are those of a merged vehicle that the list is about.
func (f Filter) conflicts(all string) string {
	if f.Disputed == AnyField {
		return all
	}
	field, _ := vehicle.FieldNamed(f.Disputed)
	return vehicle.Pick(all, vehicle.FieldsOf(field))
}

// Page is an encoded page of the list. It must not be changed.
type Page struct {
	Body []byte
	ETag string // weak

	zip   rest.Zip
	until time.Time // when a number of days in it changes
}

type pageKey struct {
	group   string
	version int64
	filter  Filter // or
	query   string // of a Selection
	page    rest.Page
}

// pages keeps whole pages in memory, and per group the version they belong to.
type pages struct {
	kept   *otter.Cache[pageKey, *Page]
	door   door
	groups sync.Map // group id → *groupVersion
}

type groupVersion struct {
	mu      sync.Mutex
	seen    version
	readAt  time.Time
	writes  int64     // known of in this process
	awaited version   // about to be committed: what is from before it is not believed
	until   time.Time // when a commit is no longer awaited
	reading *versionReading

	days   calendar // as of daysOf; nil before the first use
	daysOf version
}

// versionReading is under way, for all who want to know what it will tell.
type versionReading struct {
	writes int64 // known of when it began
	done   chan struct{}
	seen   version
	err    error
}

func newPages(maxBytes int64) *pages {
	p := &pages{door: door{seed: maphash.MakeSeed()}}
	if maxBytes > 0 {
		p.kept = otter.Must(&otter.Options[pageKey, *Page]{
			MaximumWeight: uint64(maxBytes),
			Weigher: func(k pageKey, v *Page) uint32 {
				return uint32(len(v.Body) + len(v.Body)/8 + len(v.ETag) + len(k.group) + len(k.filter.IntegrationID) + len(k.filter.Config) + len(k.filter.Search) + len(k.query) + 300)
			},
		})
	}
	return p
}

func (p *pages) get(key pageKey, now time.Time) *Page {
	if p.kept == nil {
		return nil
	}
	page, ok := p.kept.GetIfPresent(key)
	if !ok || !now.Before(page.until) {
		return nil
	}
	return page
}

func (p *pages) put(key pageKey, page *Page) {
	if p.kept != nil {
		p.kept.Set(key, page)
	}
}

// putAgain is put for pages that are made in no time: those that have not been asked for before, in whichever version, are not
// kept. Whoever goes through a whole list asks for each page once, and would drive out what others ask for all day.
func (p *pages) putAgain(key pageKey, page *Page) {
	if p.kept != nil && p.door.again(key) {
		p.kept.Set(key, page)
	}
}

// door remembers some thousands of the pages that were asked for last, by hashes, two to a place.
type door struct {
	seed   maphash.Seed
	places [1 << 13][2]atomic.Uint64
}

func (d *door) again(key pageKey) bool {
	key.version = 0
	hash := maphash.Comparable(d.seed, key)
	place := &d.places[hash%uint64(len(d.places))]
	if place[0].Load() == hash || place[1].Load() == hash {
		return true
	}
	place[1].Store(place[0].Swap(hash))
	return false
}

func (p *pages) of(group string) *groupVersion {
	if g, ok := p.groups.Load(group); ok {
		return g.(*groupVersion)
	}
	g, _ := p.groups.LoadOrStore(group, &groupVersion{})
	return g.(*groupVersion)
}

// mostAwaited is how long a commit, with what an engine does behind it, is waited for; one that was rolled back never comes.
const mostAwaited = time.Minute

// await makes each request of a group ask for its version, until that shows what is about to be committed: others see it while
// the one who wrote still waits for the commit's end.
func (p *pages) await(group string, changes, bumps int64, now time.Time) {
	g := p.of(group)
	g.mu.Lock()
	g.awaited.changes, g.awaited.bumps = max(g.awaited.changes, changes), max(g.awaited.bumps, bumps)
	g.until = now.Add(mostAwaited)
	g.mu.Unlock()
}

// expire makes the next request of a group ask for its version.
func (p *pages) expire(group string) {
	g := p.of(group)
	g.mu.Lock()
	g.writes++
	g.readAt = time.Time{}
	g.mu.Unlock()
}

// version of the group's inventory, at most versionAge old and never older than a write this process knows of. However many
// ask, it is read by one of them.
func (p *pages) version(ctx context.Context, t *sqldb.Tenant, now time.Time) (version, error) {
	g := p.of(t.Group())
	g.mu.Lock()
	doubted := (g.seen.changes < g.awaited.changes || g.seen.bumps < g.awaited.bumps) && now.Before(g.until)
	if age := now.Sub(g.readAt); age >= 0 && age < versionAge && !doubted {
		defer g.mu.Unlock()
		return g.seen, nil
	}
	r := g.reading
	if r == nil || r.writes != g.writes || doubted { // a write came in between, or may have, and what it tells may be from before that
		r = &versionReading{writes: g.writes, done: make(chan struct{})}
		g.reading = r
		go g.read(context.WithoutCancel(ctx), t, r, now)
	}
	g.mu.Unlock()
	select {
	case <-r.done:
		return r.seen, r.err
	case <-ctx.Done():
		return version{}, ctx.Err()
	}
}

// read reads the version for all who wait for it: whoever asked first may leave.
func (g *groupVersion) read(ctx context.Context, t *sqldb.Tenant, r *versionReading, now time.Time) {
	defer close(r.done)
	v, err := selectVersion(ctx, t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reading == r {
		g.reading = nil
	}
	if r.err = err; err != nil {
		return
	}
	if v.n > g.seen.n { // of two readings at once the older may end last
		g.seen = v
	}
	if g.writes == r.writes {
		g.readAt = now
	}
	r.seen = g.seen
}

// saw makes sure that nobody is shown an older version than one that has been shown.
func (p *pages) saw(group string, v version) {
	g := p.of(group)
	g.mu.Lock()
	if v.n > g.seen.n {
		g.seen = v
	}
	g.mu.Unlock()
}

// recentCalendar is for answers that are not kept: it may be as old as the version.
func (s *Stock) recentCalendar(ctx context.Context, t *sqldb.Tenant) (calendar, error) {
	version, err := s.pages.version(ctx, t, s.now())
	if err != nil {
		return nil, err
	}
	return s.calendarAt(ctx, t, version)
}

// calendarAt is at least as new as a version that has been read.
func (s *Stock) calendarAt(ctx context.Context, t *sqldb.Tenant, v version) (calendar, error) {
	g := s.pages.of(t.Group())
	g.mu.Lock()
	days, known := g.days, g.days != nil && g.daysOf.alike(v)
	g.mu.Unlock()
	if known {
		return days, nil
	}
	days, err := s.calendar(ctx, t)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.days, g.daysOf = days, v
	g.mu.Unlock()
	return days, nil
}

// List returns a page of the group's vehicles, newest first, then by VIN.
func (s *Stock) List(ctx context.Context, t *sqldb.Tenant, f Filter, at rest.Page) (*Page, error) {
	now := s.now()
	version, err := s.pages.version(ctx, t, now)
	if err != nil {
		return nil, err
	}
	key := pageKey{group: t.Group(), version: version.n, filter: f, page: at}
	if page := s.pages.get(key, now); page != nil {
		return page, nil
	}
	page, version, whole, err := s.fill(ctx, t, f, at, now)
	if err != nil {
		return nil, err
	}
	s.pages.saw(t.Group(), version)
	if key.version = version.n; whole {
		s.pages.put(key, page)
	}
	return page, nil
}

// fill makes a page between two equal readings of the version, so that its parts belong together. When writes
// never pause it settles for what it got, which is not whole and not to be kept.
func (s *Stock) fill(ctx context.Context, t *sqldb.Tenant, f Filter, at rest.Page, now time.Time) (page *Page, v version, whole bool, err error) {
	if v, err = selectVersion(ctx, t); err != nil {
		return nil, v, false, err
	}
	for range 5 {
		if page, err = s.makePage(ctx, t, f, at, v, now); err != nil {
			return nil, v, false, err
		}
		after, err := selectVersion(ctx, t)
		if err != nil || after == v {
			return page, after, err == nil, err
		}
		v = after
	}
	return page, v, false, nil
}

func (s *Stock) makePage(ctx context.Context, t *sqldb.Tenant, f Filter, at rest.Page, v version, now time.Time) (*Page, error) {
	if f.Config != "" {
		c, err := shownConfig(ctx, t, f.Config)
		if err != nil {
			return nil, err
		}
		f.view = c.view
	}
	days, err := s.calendarAt(ctx, t, v)
	if err != nil {
		return nil, err
	}
	total, err := total(ctx, t, f)
	if err != nil {
		return nil, err
	}
	body := append(make([]byte, 0, 1024+640*min(at.Limit, total)), `{"`...)
	body = append(append(body, f.noun()...), `":[`...)
	if at.Offset < total {
		if body, err = f.appendPage(ctx, t, body, at, days, now); err != nil {
			return nil, err
		}
	}
	body = appendPagination(append(body, ']'), total, at)
	return newPage(append(body, '}'), days.midnight(now)), nil
}

func newPage(body []byte, until time.Time) *Page {
	return &Page{Body: body, ETag: rest.TagOf(body), until: until}
}

func (f Filter) appendPage(ctx context.Context, t *sqldb.Tenant, b []byte, at rest.Page, days calendar, now time.Time) ([]byte, error) {
	switch {
	case f.Disputed != "":
		return appendConflicts(ctx, t, b, f, at)
	case f.IntegrationID != "":
		return appendSourcePage(ctx, t, b, f, at, days, now)
	}
	return appendPage(ctx, t, b, f, at, days, now)
}

func total(ctx context.Context, t *sqldb.Tenant, f Filter) (int64, error) {
	if !f.plain() {
		return countListed(ctx, t, f)
	}
	n, err := kept(ctx, t, f)
	switch {
	case f.Disputed != "":
		return n.conflicting, err
	case f.Status == vehicle.StatusActive:
		return n.active, err
	case f.Status == vehicle.StatusSold:
		return n.total - n.active, err
	}
	return n.total, err
}

// kept are the counters of all vehicles, or of a view.
func kept(ctx context.Context, t *sqldb.Tenant, f Filter) (mergedCount, error) {
	if f.view != "" {
		return selectMergedCount(ctx, t, f.view)
	}
	all, err := selectCounts(ctx, t)
	n := all.sum()
	return mergedCount{total: n.total, active: n.active}, err
}

// appendListDocument puts the days on lot in the place a list document keeps for them. Sold vehicles have theirs.
func appendListDocument(b []byte, document string, days int64) []byte {
	before, after, found := strings.Cut(document, daysMark)
	if b = append(b, before...); found {
		b = strconv.AppendInt(b, max(0, days), 10)
	}
	return append(b, after...)
}
