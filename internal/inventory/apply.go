package inventory

import (
	"context"
	"strconv"
	"time"

	"carfluence/internal/money"
	"carfluence/internal/sqldb"
)

// Apply merges a batch of changes into the inventory, joining the caller's transaction: vehicles, history,
// counters and version. The outcomes are in the batch's order; of several changes of one VIN the last word
// wins. A batch of a thousand changes or so is the cheapest.
func (s *Stock) Apply(ctx context.Context, tx *sqldb.Tenant, batch []Change, from Source) ([]Outcome, error) {
	outcomes, _, err := s.apply(ctx, tx, batch, from, false)
	return outcomes, err
}

// work is one batch on its way.
type work struct {
	from     Source
	override bool // what the changes set becomes an override, what they erase is released
	now      time.Time
	days     calendar
	stored   map[string]*Vehicle
	inserts  []*Vehicle // and vehicles whose indexed columns change
	updates  []*Vehicle
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

func (s *Stock) apply(ctx context.Context, tx *sqldb.Tenant, batch []Change, from Source, override bool) ([]Outcome, *work, error) {
	days, err := s.calendar(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	changes, place := combine(batch)
	w := &work{from: from, override: override, now: s.instant(), days: days, counts: counts{}}
	if w.stored, err = selectBatch(ctx, tx, changes); err != nil {
		return nil, nil, err
	}
	combined := make([]Outcome, len(changes))
	for i := range changes {
		combined[i] = w.change(&changes[i])
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
	changed := c.Values.Merge(later, Set{}, true)
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
	c.Line = later.Line
}

func (w *work) change(c *Change) Outcome {
	v, known := w.stored[c.VIN]
	if !known {
		return w.create(c)
	}
	kept := v.Overrides
	if w.from.Name == SourceAPI {
		kept = Set{}
	}
	if w.override {
		c.onto(&v.Values)
	}
	was := *v // history and counters need the state before
	changed := v.Values.Merge(c, kept, w.from.Name == SourceAPI)
	if w.override {
		v.override(c)
	}
	if changed.Empty() && v.Overrides == was.Overrides {
		return Unchanged
	}
	w.counts.add(&was, -1)
	if !changed.Empty() {
		w.settle(v, changed)
	}
	w.counts.add(v, 1)
	for _, d := range Diff(changed) {
		v.entries++
		w.history = append(w.history, entry{v.VIN, v.entries, d.Type, string(appendChanges(nil, d.Fields, &was.Values, &v.Values)), c.Line})
	}
	if v.sameIndexed(&was) {
		w.updates = append(w.updates, v)
	} else {
		w.inserts = append(w.inserts, v)
	}
	return Updated
}

// sameIndexed tells that what stands in indexes is the same in both.
func (v *Vehicle) sameIndexed(was *Vehicle) bool {
	return v.Values[Status] == was.Values[Status] && v.Values[DealershipID] == was.Values[DealershipID] &&
		v.SourceIntegrationID == was.SourceIntegrationID && v.search() == was.search()
}

// settle updates what follows from a vehicle's values.
func (w *work) settle(v *Vehicle, changed Set) {
	v.UpdatedAt = w.now
	if w.from.IntegrationID != "" {
		v.SourceIntegrationID = w.from.IntegrationID
	}
	if changed.Has(Status) {
		v.SoldAt = time.Time{}
		if v.Values[Status] == StatusSold {
			v.SoldAt = w.now
		}
	}
	if changed.Has(DateInStock) {
		v.LotSince = w.lotSince(v)
	}
}

// lotSince is the day in stock, else the day first seen; never a day to come, which would count backwards.
func (w *work) lotSince(v *Vehicle) Day {
	if day, ok := ParseDay(v.Values[DateInStock]); ok {
		return min(day, w.days.today(v.Values[DealershipID], w.now))
	}
	return w.days.today(v.Values[DealershipID], v.CreatedAt)
}

func (w *work) create(c *Change) Outcome {
	if w.from.UpdateOnly {
		return LeftOut
	}
	v := &Vehicle{VIN: c.VIN, CreatedAt: w.now, origin: w.origin(c.Line)}
	v.Values[Status] = StatusActive
	v.Values.Merge(c, Set{}, true)
	w.settle(v, c.Present)
	v.LotSince = w.lotSince(v)
	w.stored[v.VIN] = v
	w.counts.add(v, 1)
	w.inserts = append(w.inserts, v)
	return Added
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

// override remembers what a PATCH has set, and releases what it has set to null, with what followed from it.
func (v *Vehicle) override(c *Change) {
	if c.Present.Has(Transmission) && c.Values[Transmission] == "" {
		v.Overrides.Remove(TransmissionType)
		v.Overrides.Remove(Gears)
	}
	for f := range NumFields {
		switch {
		case v.Values[f] == "" || c.Present.Has(f) && c.Values[f] == "":
			v.Overrides.Remove(f)
		case c.Present.Has(f):
			v.Overrides.Add(f)
		}
	}
}

func (w *work) write(ctx context.Context, tx *sqldb.Tenant) error {
	if len(w.inserts)+len(w.updates) == 0 {
		return nil
	}
	if err := w.storeVehicles(ctx, tx); err != nil {
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
