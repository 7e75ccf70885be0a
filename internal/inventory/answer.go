package inventory

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// answer is a vehicle's full record, encoded. It must not be changed.
type answer struct {
	answerKind
	body       []byte
	etag       string
	until      time.Time // when its days on lot change; zero for never
	generation int64
}

// answerKind tells the answers about one vehicle apart.
type answerKind struct {
	integrationID string
	sensitive     bool
}

type answerKey struct{ group, vin string }

// answers keeps encoded vehicles in memory. A group's version that moves on invalidates those of the vehicles that have
// changed, and all once it is not known which have.
type answers struct {
	kept   *otter.Cache[answerKey, []*answer] // nil keeps none
	groups sync.Map                           // group id → *groupAnswers
}

type groupAnswers struct {
	catchUp sync.Mutex // of whoever asks what has changed

	mu         sync.RWMutex
	asOf       version // that the kept ones show
	generation int64   // of the kept ones; others are void
}

// mostChanged vehicles are invalidated one by one; when more have changed at once, all are.
const mostChanged = 2000

func newAnswers(maxBytes int64) *answers {
	a := &answers{}
	if maxBytes > 0 {
		a.kept = otter.Must(&otter.Options[answerKey, []*answer]{MaximumWeight: uint64(maxBytes), Weigher: weight})
	}
	return a
}

func weight(key answerKey, list []*answer) uint32 {
	n := 200 + len(key.group) + len(key.vin)
	for _, one := range list {
		n += 150 + cap(one.body) + len(one.etag) + len(one.integrationID)
	}
	return uint32(n)
}

func (a *answers) of(group string) *groupAnswers {
	if g, ok := a.groups.Load(group); ok {
		return g.(*groupAnswers)
	}
	g, _ := a.groups.LoadOrStore(group, &groupAnswers{})
	return g.(*groupAnswers)
}

func (g *groupAnswers) state() (asOf version, generation int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.asOf, g.generation
}

// get finds an answer that is valid in a version; void ones are not told from unknown ones.
func (a *answers) get(ctx context.Context, t *sqldb.Tenant, vin string, kind answerKind, seen version, now time.Time) (*answer, error) {
	if a.kept == nil {
		return nil, nil
	}
	g := a.of(t.Group())
	asOf, generation := g.state()
	if asOf.n < seen.n {
		var err error
		if generation, err = a.follow(ctx, t, g, seen); err != nil {
			return nil, err
		}
	}
	list, _ := a.kept.GetIfPresent(answerKey{t.Group(), vin})
	for _, one := range list {
		if one.answerKind == kind && one.generation == generation && (one.until.IsZero() || now.Before(one.until)) {
			return one, nil
		}
	}
	return nil, nil
}

// follow invalidates what has changed up to a version, or a later one. However many ask, one finds out.
func (a *answers) follow(ctx context.Context, t *sqldb.Tenant, g *groupAnswers, to version) (generation int64, err error) {
	g.catchUp.Lock()
	defer g.catchUp.Unlock()
	known, generation := g.state()
	if known.n >= to.n {
		return generation, nil
	}
	now, vins, err := selectChangedVINs(ctx, t, known.changes, mostChanged+1)
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !now.alike(known) || len(vins) > mostChanged {
		g.generation++
	} else {
		for _, vin := range vins {
			a.kept.Invalidate(answerKey{t.Group(), vin})
		}
	}
	g.asOf = now
	return g.generation, nil
}

// put keeps an answer that was read in a version, unless it may be void already.
func (a *answers) put(t *sqldb.Tenant, vin string, one *answer, seen version) {
	if a.kept == nil {
		return
	}
	g, key := a.of(t.Group()), answerKey{t.Group(), vin}
	g.mu.Lock()
	defer g.mu.Unlock()
	if seen.n < g.asOf.n || !seen.alike(g.asOf) {
		return
	}
	one.generation, one.body = g.generation, bytes.Clone(one.body) // which has room to spare
	list, _ := a.kept.GetIfPresent(key)
	list = slices.DeleteFunc(slices.Clone(list), func(other *answer) bool {
		return other.answerKind == one.answerKind || other.generation != one.generation
	})
	a.kept.Set(key, append(list, one))
}

// answer makes or finds the encoded record of a vehicle; with an integration, as that one describes it, and only if it brought
// the vehicle.
func (s *Stock) answer(ctx context.Context, t *sqldb.Tenant, vin string, kind answerKind) (*answer, error) {
	now := s.now()
	known, err := s.pages.version(ctx, t, now)
	if err != nil {
		return nil, err
	}
	if one, err := s.answers.get(ctx, t, vin, kind, known, now); one != nil || err != nil {
		return one, err
	}
	r, err := s.read(ctx, t, vin, kind.integrationID, known)
	if err != nil {
		return nil, err
	}
	if r.provenance, err = s.provenance(ctx, t, r.v, nil, r.days); err != nil {
		return nil, err
	}
	one := r.answer(kind, now)
	if r.version <= known.changes {
		s.answers.put(t, vin, one, known)
	}
	return one, nil
}

// read reads a vehicle as it is shown, in a version that is known or a later one.
func (s *Stock) read(ctx context.Context, t *sqldb.Tenant, vin, integrationID string, known version) (r reading, err error) {
	if r, err = selectReading(ctx, t, vin); err != nil {
		return r, err
	}
	if r.version > known.changes { // and nobody is to be shown what was before it
		if known, err = selectVersion(ctx, t); err != nil {
			return r, err
		}
		s.pages.saw(t.Group(), known)
	}
	if r.days, err = s.calendarAt(ctx, t, known); err != nil {
		return r, err
	}
	if err = r.v.restore(r.days); err == nil {
		r.v, err = r.days.shownBy(r.v, integrationID)
	}
	return r, err
}

// shownBy is a vehicle as an integration describes it, "" for all of them.
func (c calendar) shownBy(v *Vehicle, integrationID string) (*Vehicle, error) {
	if integrationID == "" {
		return v, nil
	}
	own := v.own(integrationID)
	if own == nil {
		return nil, errNoVehicle
	}
	return c.ownView(own), nil
}

// answer encodes what was read.
func (r *reading) answer(kind answerKind, now time.Time) *answer {
	body := r.encode(kind.sensitive, now)
	return &answer{answerKind: kind, body: body, etag: rest.TagOf(body), until: r.days.turns(r.v, now)}
}

// encode makes the full record as callers see it, with sensitive fields only if they may.
func (r *reading) encode(sensitive bool, now time.Time) []byte {
	body := append(make([]byte, 0, 4096), `{"vehicle":`...)
	body = appendFull(body, r.v, r.provenance, r.days.daysOnLot(r.v, now), sensitive)
	return append(body, '}')
}

// turns is when a vehicle's days on lot change; zero for never.
func (c calendar) turns(v *Vehicle, now time.Time) time.Time {
	if v.Values[vehicle.Status] == vehicle.StatusSold && !v.SoldAt.IsZero() {
		return time.Time{}
	}
	return nextDay(now, c.of(v.Values[vehicle.DealershipID]))
}
