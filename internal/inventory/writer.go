package inventory

import (
	"context"
	"math/rand/v2"
	"time"

	"carfluence/internal/index"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Writer brings what one source says into a group's inventory, within one transaction of its caller. It knows the rules
// and the merge in force when the transaction began.
type Writer struct {
	stock    *Stock
	tx       *sqldb.Tenant
	from     Source
	override bool      // what changes set becomes an override, what they erase is released
	now      time.Time // whole seconds
	moment   time.Time // microseconds
	days     calendar
	merge    Merge // the group's default
	views    []mergeView
	rules    vehicle.Rules
	ruling   vehicle.Ruling // of the vehicle looked at last
	said     vehicle.Fields // what the change made last has changed of its source's record
	faults   ruleFaults
	authors  authors
	scratch  []byte
	version  int64  // of the vehicles it writes
	wrote    bool   // something may show differently
	counts   counts // what it changes of the kept counters
	tally    tally  // and of those by day
	ahead    *ahead
	batch
}

// batch is what some changes come to.
type batch struct {
	stored    map[string]*Vehicle
	touched   []*Vehicle // that show, or might show, something else
	inserts   []*Vehicle // new ones
	updates   []*Vehicle
	reindexed []*Vehicle // updates of what stands in indexes, too
	records   []*record
	marks     []*record // records whose marks alone change
	history   []entry
	written   []string // VINs of vehicles that were given the version
}

// entry is one row of history.
type entry struct {
	vin     string
	n       int64
	by      *author
	kind    ChangeType
	changes string // changed_fields
	line    int
}

// Write lets f write for a source, joining the caller's transaction; until that ends nobody else writes to the group's
// inventory. Counters and version, for which changes of other things wait, are written last. Call Committed when the
// transaction has ended.
func (s *Stock) Write(ctx context.Context, tx *sqldb.Tenant, from Source, f func(w *Writer) error) error {
	w, err := s.writer(ctx, tx, from)
	if err != nil {
		return err
	}
	defer w.ahead.end()
	if err := f(w); err != nil || !w.wrote {
		return err
	}
	w.next(batch{})
	mark := rand.Int64()
	w.ahead.ready(mark)
	if err := w.storeCounts(ctx); err != nil {
		return err
	}
	if err := w.storeTally(ctx); err != nil {
		return err
	}
	s.pages.await(tx.Group(), w.version, 0, s.now())
	return raiseChanges(ctx, tx, w.version, mark)
}

func (s *Stock) writer(ctx context.Context, tx *sqldb.Tenant, from Source) (*Writer, error) {
	w := &Writer{stock: s, tx: tx, from: from, now: s.instant(), moment: s.now().UTC().Truncate(time.Microsecond), counts: counts{}, tally: newTally()}
	w.authors.self = author{from.Name, from.ActorType, from.ActorID, from.ActorName, from.File}
	err := tx.Lock(ctx, sqldb.LockInventory)
	if err != nil {
		return nil, err
	}
	if w.days, err = s.calendar(ctx, tx); err != nil {
		return nil, err
	}
	if w.rules, err = s.rules(ctx, tx); err != nil {
		return nil, err
	}
	before, err := selectVersion(ctx, tx)
	if err != nil {
		return nil, err
	}
	w.version = before.changes + 1
	w.ahead = s.indexes.ahead(tx, before)
	configs, err := selectMergeConfigs(ctx, tx)
	if err != nil {
		return nil, err
	}
	w.merge = defaultMerge(configs)
	for i := range configs {
		w.views = append(w.views, configs[i].views()...)
	}
	w.ruling.Faults = make([]vehicle.RuleFault, 0, 4)
	return w, nil
}

// rules are those in force.
func (s *Stock) rules(ctx context.Context, t *sqldb.Tenant) (vehicle.Rules, error) {
	if s.Rules == nil {
		return vehicle.Rules{}, nil
	}
	return s.Rules(ctx, t)
}

// next begins another batch; what is written of the one before shows with the commit.
func (w *Writer) next(b batch) {
	rows := make([]index.Row, 0, len(w.written))
	for _, vin := range w.written {
		v, ok := w.stored[vin]
		if !ok || w.ahead.off {
			w.ahead.end()
			break
		}
		rows = append(rows, index.Row{VIN: vin, Version: w.version, LotSince: int64(v.LotSince), DealershipID: v.Values[vehicle.DealershipID], Document: w.document(v)})
	}
	w.batch = b
	w.ahead.put(rows)
}

// begin reads what a batch needs to know.
func (w *Writer) begin(ctx context.Context, vins []string) (err error) {
	w.next(batch{})
	w.stored, err = selectBatch(ctx, w.tx, vins, w.days)
	return err
}

// Refresh makes vehicles show what their sources, the merge and the rules say now; each is told of those that changed.
func (w *Writer) Refresh(ctx context.Context, vins []string, each func(was, is *Vehicle)) error {
	if err := w.begin(ctx, vins); err != nil {
		return err
	}
	for _, vin := range vins {
		v, ok := w.stored[vin]
		if !ok {
			continue
		}
		was := *v
		faulty, err := w.follow(ctx, v, &was, 0)
		if err != nil {
			return err
		}
		if faulty {
			w.reread(v)
		}
		if each != nil && v.Values != was.Values {
			each(&was, v)
		}
	}
	return w.write(ctx)
}

// reread has every row about a vehicle read again with its source's next file, so that the file's log tells of faults of rules.
func (w *Writer) reread(v *Vehicle) {
	for _, r := range v.records {
		if r.hash != 0 {
			r.hash = 0
			w.marks = append(w.marks, r)
		}
	}
}

// rule runs the rules on a vehicle that shows what its sources say.
func (w *Writer) rule(v *Vehicle) {
	w.ruling = vehicle.Ruling{Faults: w.ruling.Faults[:0]}
	if w.rules.Run == nil {
		return
	}
	w.ruling.VIN, w.ruling.Keep = v.VIN, covered(v.Overrides)
	if w.rules.ReadDays {
		w.ruling.DaysOnLot, w.ruling.Recount = w.days.daysNow(v, w.now), w.recount(v)
	}
	w.rules.Run(&v.Values, &w.ruling)
}

// recount counts the days on lot that a vehicle has with other values.
func (w *Writer) recount(v *Vehicle) func(*vehicle.Values) int64 {
	return func(values *vehicle.Values) int64 {
		is := *v
		is.Values = *values
		return w.days.daysNow(&is, w.now)
	}
}

// daysNow are the days on lot of a vehicle whose values have just changed.
func (c calendar) daysNow(v *Vehicle, now time.Time) int64 {
	until := now
	if v.Values[vehicle.Status] == vehicle.StatusSold && !v.SoldAt.IsZero() {
		until = v.SoldAt
	}
	return max(0, int64(c.today(v.Values[vehicle.DealershipID], until)-c.lotSince(v, now)))
}

// RuleFaults tell which rules could not do their work, on how many vehicles, and an example of each.
func (w *Writer) RuleFaults() []RuleFaultCount { return w.faults.list }

// RuleFaultCount counts what kept a rule from doing its work.
type RuleFaultCount struct {
	Rule   vehicle.RuleName `json:"rule"`
	Count  int64            `json:"count"`
	VIN    string           `json:"vin"`   // of an example
	Field  string           `json:"field"` // that was left alone there
	Reason string           `json:"reason"`
	Hidden bool             `json:"hidden,omitempty"` // the reason is for administrators only
}

// Shown is the reason for a caller who may see sensitive fields, or may not.
func (c *RuleFaultCount) Shown(sensitive bool) string {
	if c.Hidden && !sensitive {
		return vehicle.HiddenReason
	}
	return c.Reason
}

// ruleFaults are counts by rule, in order of first occurrence.
type ruleFaults struct{ list []RuleFaultCount }

func (c *ruleFaults) add(names []vehicle.RuleName, vin string, faults []vehicle.RuleFault) {
	for _, f := range faults {
		c.of(RuleFaultCount{Rule: names[f.Rule], VIN: vin, Field: f.Field.String(), Reason: f.Reason, Hidden: f.Hidden}).Count++
	}
}

func (c *ruleFaults) of(example RuleFaultCount) *RuleFaultCount {
	for i := range c.list {
		if c.list[i].Rule.ID == example.Rule.ID {
			return &c.list[i]
		}
	}
	c.list = append(c.list, example)
	return &c.list[len(c.list)-1]
}
