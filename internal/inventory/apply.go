package inventory

import (
	"context"
	"strconv"
	"time"

	"carfluence/internal/money"
	"carfluence/internal/sqldb"
)

// Apply merges a batch of changes into the inventory, joining the caller's transaction: the source's records,
// vehicles, history, counters and version. The outcomes are in the batch's order; of several changes of one VIN
// the last word wins. A batch of a thousand changes or so is the cheapest.
func (s *Stock) Apply(ctx context.Context, tx *sqldb.Tenant, batch []Change, from Source) ([]Outcome, error) {
	outcomes, _, err := s.apply(ctx, tx, batch, from, false)
	return outcomes, err
}

// work is one batch on its way.
type work struct {
	from     Source
	override bool      // what the changes set becomes an override, what they erase is released
	now      time.Time // whole seconds
	moment   time.Time // microseconds
	days     calendar
	stored   map[string]*Vehicle
	inserts  []*Vehicle // and vehicles whose indexed columns change
	updates  []*Vehicle
	records  []*record
	marks    []*record // records whose marks alone change
	history  []entry
	scratch  []byte
	counts   counts
}

// entry is one row of history.
type entry struct {
	vin     string
	n       int64
	kind    ChangeType
	changes string // changed_fields
	line    int
}

// begin reads what a batch needs to know.
func (s *Stock) begin(ctx context.Context, tx *sqldb.Tenant, vins []string, from Source) (*work, error) {
	days, err := s.calendar(ctx, tx)
	if err != nil {
		return nil, err
	}
	w := &work{from: from, now: s.instant(), moment: s.now().UTC().Truncate(time.Microsecond), days: days, counts: counts{}}
	w.stored, err = selectBatch(ctx, tx, vins, days)
	return w, err
}

func (s *Stock) apply(ctx context.Context, tx *sqldb.Tenant, batch []Change, from Source, override bool) ([]Outcome, *work, error) {
	changes, place := combine(batch)
	vins := make([]string, len(changes))
	for i := range changes {
		vins[i] = changes[i].VIN
	}
	w, err := s.begin(ctx, tx, vins, from)
	if err != nil {
		return nil, nil, err
	}
	w.override = override
	combined := make([]Outcome, len(changes))
	for i := range changes {
		if combined[i], err = w.change(ctx, tx, &changes[i]); err != nil {
			return nil, nil, err
		}
	}
	if err := w.write(ctx, tx); err != nil {
		return nil, nil, err
	}
	outcomes := make([]Outcome, len(batch))
	for i, at := range place {
		outcomes[i] = combined[at]
	}
	return outcomes, w, nil
}

// combine makes one change of all changes of a VIN; place says where each went.
func combine(batch []Change) (changes []Change, place []int) {
	at := make(map[string]int, len(batch))
	place = make([]int, len(batch))
	for i := range batch {
		c := &batch[i]
		j, twice := at[c.VIN]
		if !twice {
			j = len(changes)
			at[c.VIN] = j
			changes = append(changes, *c)
		} else {
			changes[j].add(c)
		}
		place[i] = j
	}
	return changes, place
}

// add puts a later change of the same vehicle on top, as if they came one after the other.
func (c *Change) add(later *Change) {
	changed := c.Values.Merge(later, true)
	for f := range NumFields {
		if later.Present.Has(f) || changed.Has(f) {
			c.Present.Add(f)
			c.derived.Remove(f)
		}
		if later.derived.Has(f) {
			c.derived.Add(f)
		}
	}
	if later.Present.Has(Condition) {
		c.denied = later.denied
	}
	c.Line, c.Hash = later.Line, 0
}

// change merges one change into its source's record and what follows from it into the vehicle.
func (w *work) change(ctx context.Context, tx *sqldb.Tenant, c *Change) (Outcome, error) {
	v, known := w.stored[c.VIN]
	if !known {
		if w.from.UpdateOnly || w.from.Lead {
			return LeftOut, nil
		}
		w.create(c)
		return Added, nil
	}
	was := *v // history and counters need the state before
	if w.override {
		c.onto(&v.Values)
	}
	r, fresh := v.own(w.from.id()), false
	if r == nil {
		r, fresh = w.record(v), true
	}
	changed := r.values.Merge(c, w.from.exact())
	if w.override {
		v.override(c)
	}
	v.releaseEmpty()
	if !fresh && changed.Empty() && r.goneAt.IsZero() && r.standing == w.from.standing() && v.Overrides == was.Overrides {
		if r.hash != c.Hash || r.missed > 0 {
			r.seen(c.Hash)
			w.marks = append(w.marks, r)
		}
		return Unchanged, nil
	}
	r.seen(c.Hash)
	r.standing, r.goneAt = w.from.standing(), time.Time{}
	if !w.override { // an override counts whenever it was made
		r.changedAt = w.moment
	}
	w.records = append(w.records, r)
	return Updated, w.follow(ctx, tx, v, &was, c.Line)
}

// record adds the source's first record of a vehicle.
func (w *work) record(v *Vehicle) *record {
	r := &record{vin: v.VIN, source: w.from.id(), standing: w.from.standing(), createdAt: w.now, changedAt: w.moment}
	v.records = append(v.records, r)
	return r
}

// seen notes that the source's file holds the vehicle, in a row with this hash.
func (r *record) seen(hash int64) { r.hash, r.missed, r.missedSince = hash, 0, time.Time{} }

// follow makes a vehicle show what its records say now, with history of what that changes.
func (w *work) follow(ctx context.Context, tx *sqldb.Tenant, v, was *Vehicle, line int) error {
	v.Values = shown(v.records, v.Overrides, w.days.has)
	v.SourceIntegrationID = latestIntegration(v.records)
	if v.Values == was.Values && v.SourceIntegrationID == was.SourceIntegrationID && v.Overrides == was.Overrides {
		return nil
	}
	changed := v.Values.differ(&was.Values, true)
	w.counts.add(was, -1)
	w.settle(v, changed)
	w.counts.add(v, 1)
	if err := w.remember(ctx, tx, v, was, changed, line); err != nil {
		return err
	}
	if v.sameIndexed(was) {
		w.updates = append(w.updates, v)
	} else {
		w.inserts = append(w.inserts, v)
	}
	return nil
}

// remember leaves changes in the history: every letter of what an exact source says, of others what differs by
// meaning. What leaves no entry must not falsify what the vehicle began with, which follows from the entries: it is
// written down before the first such change.
func (w *work) remember(ctx context.Context, tx *sqldb.Tenant, v, was *Vehicle, changed Set, line int) error {
	told := Set{}
	if !w.from.Untracked {
		told = v.Values.differ(&was.Values, w.from.exact())
	}
	if told != changed {
		if err := w.keepBeginning(ctx, tx, v, was); err != nil {
			return err
		}
	}
	for _, d := range Diff(told) {
		v.entries++
		w.history = append(w.history, entry{v.VIN, v.entries, d.Type, string(appendChanges(nil, d.Fields, &was.Values, &v.Values)), line})
	}
	return nil
}

// sameIndexed tells that what stands in indexes, and who created it, is the same in both.
func (v *Vehicle) sameIndexed(was *Vehicle) bool {
	return v.Values[Status] == was.Values[Status] && v.Values[DealershipID] == was.Values[DealershipID] && v.search() == was.search() && v.origin == was.origin
}

// settle updates what follows from a vehicle's values.
func (w *work) settle(v *Vehicle, changed Set) {
	v.UpdatedAt = w.now
	if changed.Has(Status) {
		if v.Values[Status] == StatusSold {
			v.SoldAt = w.now
		} else {
			v.SoldAt, v.RelistedAt = time.Time{}, w.now
		}
	}
	if changed.Has(DateInStock) || changed.Has(DealershipID) {
		v.LotSince = w.days.lotSince(v, w.now)
	}
}

// lotSince is the day in stock, else the day first seen; never a day to come, which would count backwards.
func (c calendar) lotSince(v *Vehicle, now time.Time) Day {
	if day, ok := ParseDay(v.Values[DateInStock]); ok {
		return min(day, c.today(v.Values[DealershipID], now))
	}
	return c.today(v.Values[DealershipID], v.CreatedAt)
}

func (w *work) create(c *Change) {
	v := &Vehicle{VIN: c.VIN, CreatedAt: w.now, UpdatedAt: w.now, origin: w.origin(c.Line)}
	r := w.record(v)
	r.values.Merge(c, true)
	r.seen(c.Hash)
	v.Values = shown(v.records, Set{}, w.days.has)
	v.SourceIntegrationID = latestIntegration(v.records)
	if v.Values[Status] == StatusSold {
		v.SoldAt = w.now
	}
	v.LotSince = w.days.lotSince(v, w.now)
	w.stored[v.VIN] = v
	w.counts.add(v, 1)
	w.records = append(w.records, r)
	w.inserts = append(w.inserts, v)
}

// origin is what the first entry of a vehicle's history says beside the fields.
func (w *work) origin(line int) string {
	b := append(w.scratch[:0], `{"source":`...)
	b = appendString(b, w.from.Name)
	b = append(b, `,"actor_type":`...)
	b = appendString(b, w.from.ActorType)
	b = append(b, `,"actor_id":`...)
	b = appendString(b, w.from.ActorID)
	b = append(b, `,"actor_name":`...)
	b = appendString(b, w.from.ActorName)
	b = append(b, `,"file":`...)
	b = appendString(b, w.from.File)
	b = append(b, `,"line":`...)
	b = append(strconv.AppendInt(b, int64(line), 10), '}')
	w.scratch = b
	return string(b)
}

// override remembers what a PATCH has set, and releases what had followed from what it sets to null.
func (v *Vehicle) override(c *Change) {
	for f := range NumFields {
		if c.Present.Has(f) {
			v.Overrides.Add(f)
		}
	}
	for _, b := range bundles[:2] { // what is read from a transmission's text and counted from photos
		for _, f := range b[1:] {
			if c.Present.Has(b[0]) && c.Values[b[0]] == "" && !c.Present.Has(f) {
				v.Overrides.Remove(f)
			}
		}
	}
}

// releaseEmpty lets go of overrides that have no value any more.
func (v *Vehicle) releaseEmpty() {
	api := v.own(SourceAPI)
	for f := range NumFields {
		if v.Overrides.Has(f) && (api == nil || api.values[f] == "") {
			v.Overrides.Remove(f)
		}
	}
}

func (w *work) write(ctx context.Context, tx *sqldb.Tenant) error {
	if err := w.storeMarks(ctx, tx); err != nil {
		return err
	}
	if len(w.inserts)+len(w.updates)+len(w.records) == 0 {
		return nil
	}
	if err := w.storeVehicles(ctx, tx); err != nil {
		return err
	}
	if err := w.storeRecords(ctx, tx); err != nil {
		return err
	}
	if err := w.storeHistory(ctx, tx); err != nil {
		return err
	}
	if err := storeCounts(ctx, tx, w.counts); err != nil {
		return err
	}
	return bumpVersion(ctx, tx)
}

// count are the kept counters of a dealership, or a change to them.
type count struct {
	total, active, activeNew, activeUsed     int64
	priceCount, priceCents                   int64
	mileageCount, mileageSum, lotSinceDaySum int64
}

// counts are counters by dealership id, "" for none.
type counts map[string]*count

func (c counts) add(v *Vehicle, sign int64) {
	n, ok := c[v.Values[DealershipID]]
	if !ok {
		n = &count{}
		c[v.Values[DealershipID]] = n
	}
	n.total += sign
	if v.Values[Status] != StatusActive {
		return
	}
	n.active += sign
	switch v.Values[Condition] {
	case ConditionNew:
		n.activeNew += sign
	case ConditionUsed:
		n.activeUsed += sign
	}
	if price, ok := cents(v.Values[Price]); ok {
		n.priceCount += sign
		n.priceCents += sign * price
	}
	if mileage, ok := number(v.Values[Mileage]); ok {
		n.mileageCount += sign
		n.mileageSum += sign * mileage
	}
	n.lotSinceDaySum += sign * int64(v.LotSince)
}

func cents(amount string) (int64, bool) {
	if amount == "" {
		return 0, false
	}
	a, err := money.Parse(amount)
	return a.Cents(), err == nil
}
