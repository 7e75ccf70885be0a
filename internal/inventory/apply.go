package inventory

import (
	"context"
	"slices"
	"strings"
	"time"

	"carfluence/internal/money"
	"carfluence/internal/vehicle"
)

// Apply merges a batch of changes of the writer's source into the inventory: the source's records, vehicles, history,
// counters and version. The outcomes are in the batch's order; of several changes of one VIN the last word wins. A batch
// of a thousand changes or so is the cheapest.
func (w *Writer) Apply(ctx context.Context, batch []vehicle.Change) ([]Outcome, error) {
	changes, place := combine(batch)
	vins := make([]string, len(changes))
	for i := range changes {
		vins[i] = changes[i].VIN
	}
	if err := w.meet(ctx, changes); err != nil {
		return nil, err
	}
	if err := w.begin(ctx, vins); err != nil {
		return nil, err
	}
	combined := make([]Outcome, len(changes))
	for i := range changes {
		var err error
		if combined[i], err = w.change(ctx, &changes[i]); err != nil {
			return nil, err
		}
	}
	if err := w.write(ctx); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(batch))
	for i, at := range place {
		outcomes[i] = combined[at]
	}
	return outcomes, nil
}

// meet learns of dealerships made since the writer began.
func (w *Writer) meet(ctx context.Context, changes []vehicle.Change) (err error) {
	for i := range changes {
		if id := changes[i].Values[vehicle.DealershipID]; id != "" && !w.days.has(id) {
			w.next(batch{}) // what was written shows with the days of then
			w.days, err = w.stock.calendar(ctx, w.tx)
			return err
		}
	}
	return nil
}

// combine makes one change of all changes of a VIN; place says where each went.
func combine(batch []vehicle.Change) (changes []vehicle.Change, place []int) {
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
			changes[j].Add(c)
		}
		place[i] = j
	}
	return changes, place
}

// change merges one change into its source's record and what follows from it into the vehicle.
func (w *Writer) change(ctx context.Context, c *vehicle.Change) (Outcome, error) {
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
		c.Onto(&v.Values)
	}
	r, fresh := v.own(w.from.id()), false
	if r == nil {
		r, fresh = w.record(v), true
	}
	changed := r.values.Merge(c, w.from.exact())
	w.said = changed
	if w.override {
		v.override(c)
	}
	v.releaseEmpty()
	if !fresh && changed.Empty() && r.goneAt.IsZero() && r.standing == w.from.standing() && v.Overrides == was.Overrides {
		return Unchanged, w.unchanged(ctx, v, &was, r, c)
	}
	r.seen(c.Hash)
	r.standing, r.goneAt = w.from.standing(), time.Time{}
	if !w.override { // an override counts whenever it was made
		r.changedAt = w.moment
	}
	w.records = append(w.records, r)
	faulty, err := w.follow(ctx, v, &was, c.Line)
	if faulty {
		r.hash = 0
		w.reread(v)
	}
	return Updated, err
}

// unchanged notes a row that says nothing new of its vehicle. Rules that could not do their work on it are tried, and
// counted, again: its hash is 0.
func (w *Writer) unchanged(ctx context.Context, v, was *Vehicle, r *record, c *vehicle.Change) error {
	if r.hash == c.Hash && r.missed == 0 && c.Hash != 0 {
		return nil
	}
	before := *r
	r.seen(c.Hash)
	faulty, err := w.follow(ctx, v, was, c.Line)
	if faulty {
		r.hash = 0
		w.reread(v)
	}
	if r.hash != before.hash || before.missed > 0 {
		w.marks = append(w.marks, r)
	}
	return err
}

// record adds the source's first record of a vehicle.
func (w *Writer) record(v *Vehicle) *record {
	r := &record{vin: v.VIN, source: w.from.id(), standing: w.from.standing(), createdAt: w.now, changedAt: w.moment}
	v.records = append(v.records, r)
	return r
}

// seen notes that the source's file holds the vehicle, in a row with this hash.
func (r *record) seen(hash int64) { r.hash, r.missed, r.missedSince = hash, 0, time.Time{} }

// follow makes a vehicle show what its records and the rules say now, with history of what that changes. faulty tells
// that a rule could not do its work.
func (w *Writer) follow(ctx context.Context, v, was *Vehicle, line int) (faulty bool, err error) {
	w.touched = append(w.touched, v)
	look := w.look(v)
	faulty = len(w.ruling.Faults) > 0
	if v.Values == was.Values && v.SourceIntegrationID == was.SourceIntegrationID && v.Overrides == was.Overrides {
		if v.made != was.made {
			w.updates = append(w.updates, v)
		}
		return faulty, nil
	}
	changed := v.Values.Differ(&was.Values, true)
	w.counts.add(was, -1)
	w.settle(v, changed)
	w.counts.add(v, 1)
	w.tally.change(was, v, w.today(v))
	if err := w.remember(ctx, v, was, &look, changed, line); err != nil {
		return faulty, err
	}
	if v.sameIndexed(was) {
		w.updates = append(w.updates, v)
	} else {
		w.reindexed = append(w.reindexed, v)
	}
	return faulty, nil
}

// look is how a vehicle came to show what it does.
type look struct {
	sources vehicle.Values // what its sources give together, overrides among them
	from    givers
	rules   vehicle.Fields // fields that show something else, by a rule
}

// look makes a vehicle show what its records and the rules say. How the rules fared is in w.ruling.
func (w *Writer) look(v *Vehicle) (l look) {
	l.sources, l.from = w.merge.shown(v.records, v.Overrides, w.days.has)
	v.Values = l.sources
	v.SourceIntegrationID = w.merge.latestIntegration(v.records)
	w.rule(v)
	w.faults.add(w.rules.Names, v.VIN, w.ruling.Faults)
	for f := range vehicle.NumFields {
		if w.ruling.Set.Has(f) && v.Values[f] != l.sources[f] {
			l.rules.Add(f)
		}
	}
	plain := l.sources
	if len(w.merge.Sources) > 0 {
		plain, _ = (&Merge{}).shown(v.records, v.Overrides, w.days.has)
	}
	v.made = w.made(v, &plain, l.rules)
	return l
}

// remember leaves changes in the history: every letter of what an exact source says, of others what differs by
// meaning. What leaves no entry must not falsify what the vehicle began with, which follows from the entries: it is
// written down before the first such change.
func (w *Writer) remember(ctx context.Context, v, was *Vehicle, l *look, changed vehicle.Fields, line int) error {
	told := vehicle.Fields{}
	if !w.from.Untracked {
		told = v.Values.Differ(&was.Values, w.from.exact())
	}
	if told != changed {
		if err := w.keepBeginning(ctx, v, was); err != nil {
			return err
		}
	}
	parts, err := w.credit(ctx, v, was, l, told)
	if err != nil {
		return err
	}
	for _, part := range parts {
		for _, d := range Diff(part.fields) {
			v.entries++
			w.history = append(w.history, entry{v.VIN, v.entries, part.by, d.Type, string(vehicle.AppendChanges(nil, d.Fields, &was.Values, &v.Values)), line})
		}
	}
	return nil
}

// sameIndexed tells that what stands in indexes, and who created it, is the same in both.
func (v *Vehicle) sameIndexed(was *Vehicle) bool {
	return v.Values[vehicle.Status] == was.Values[vehicle.Status] && v.Values[vehicle.DealershipID] == was.Values[vehicle.DealershipID] &&
		v.search() == was.search() && v.origin == was.origin
}

// settle updates what follows from a vehicle's values.
func (w *Writer) settle(v *Vehicle, changed vehicle.Fields) {
	v.UpdatedAt = w.now
	if changed.Has(vehicle.Status) {
		if v.Values[vehicle.Status] == vehicle.StatusSold {
			v.SoldAt = w.now
		} else {
			v.SoldAt, v.RelistedAt = time.Time{}, w.now
		}
	}
	if changed.Has(vehicle.DateInStock) || changed.Has(vehicle.DealershipID) {
		v.LotSince = w.days.lotSince(v, w.now)
	}
}

// lotSince is the day in stock, else the day first seen; never a day to come, which would count backwards.
func (c calendar) lotSince(v *Vehicle, now time.Time) Day {
	if day, ok := ParseDay(v.Values[vehicle.DateInStock]); ok {
		return min(day, c.today(v.Values[vehicle.DealershipID], now))
	}
	return c.today(v.Values[vehicle.DealershipID], v.CreatedAt)
}

func (w *Writer) create(c *vehicle.Change) {
	v := &Vehicle{VIN: c.VIN, CreatedAt: w.now, UpdatedAt: w.now}
	r := w.record(v)
	r.values.Merge(c, true)
	r.seen(c.Hash)
	look := w.look(v)
	if len(w.ruling.Faults) > 0 {
		r.hash = 0
	}
	if v.Values[vehicle.Status] == vehicle.StatusSold {
		v.SoldAt = w.now
	}
	v.LotSince = w.days.lotSince(v, w.now)
	v.origin = w.origin(v, &look, c.Line)
	w.stored[v.VIN] = v
	w.counts.add(v, 1)
	w.tally.add(v, w.today(v))
	w.records = append(w.records, r)
	w.inserts = append(w.inserts, v)
	w.touched = append(w.touched, v)
}

// override remembers what a PATCH has set, and releases what had followed from what it sets to null.
func (v *Vehicle) override(c *vehicle.Change) {
	for f := range vehicle.NumFields {
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
	for f := range vehicle.NumFields {
		if v.Overrides.Has(f) && (api == nil || api.values[f] == "") {
			v.Overrides.Remove(f)
		}
	}
}

// write stores what a batch changes.
func (w *Writer) write(ctx context.Context) error {
	if err := w.storeMarks(ctx); err != nil {
		return err
	}
	merged, err := w.storeMerged(ctx)
	if err != nil {
		return err
	}
	if len(w.inserts)+len(w.updates)+len(w.reindexed)+len(w.records) == 0 && !merged {
		return nil
	}
	w.wrote = true
	// Neighbours in the key and the indexes stay neighbours in the table, too.
	slices.SortFunc(w.inserts, func(a, b *Vehicle) int { return strings.Compare(a.VIN, b.VIN) })
	slices.SortFunc(w.records, func(a, b *record) int { return strings.Compare(a.vin, b.vin) })
	for _, store := range []func(context.Context) error{w.storeVehicles, w.storeRecords, w.storeVersions, w.storeHistory} {
		if err := store(ctx); err != nil {
			return err
		}
	}
	return nil
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
	n, ok := c[v.Values[vehicle.DealershipID]]
	if !ok {
		n = &count{}
		c[v.Values[vehicle.DealershipID]] = n
	}
	n.total += sign
	if v.Values[vehicle.Status] != vehicle.StatusActive {
		return
	}
	n.active += sign
	switch v.Values[vehicle.Condition] {
	case vehicle.ConditionNew:
		n.activeNew += sign
	case vehicle.ConditionUsed:
		n.activeUsed += sign
	}
	if price, ok := cents(v.Values[vehicle.Price]); ok {
		n.priceCount += sign
		n.priceCents += sign * price
	}
	if mileage, ok := number(v.Values[vehicle.Mileage]); ok {
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
