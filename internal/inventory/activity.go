package inventory

import (
	"context"
	"time"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Activity is what happened to a group's stock day by day, and how old the stock is.
type Activity struct {
	Days         []DayActivity `json:"days" doc:"Oldest first, each day by the calendar of the vehicle's dealership; from counted_since at the earliest."`
	Ages         []AgeBucket   `json:"ages" doc:"Active vehicles by days on lot."`
	CountedSince *string       `json:"counted_since" format:"date" doc:"The first day that is counted, perhaps in part, after an upgrade from a version that did not count; null when all are."`
}

// DayActivity counts what happened on a day.
type DayActivity struct {
	Date         string `json:"date" format:"date"`
	Added        int64  `json:"added" doc:"Vehicles seen for the first time."`
	Sold         int64  `json:"sold"`
	Relisted     int64  `json:"relisted" doc:"Sold vehicles that came back."`
	PriceChanges int64  `json:"price_changes" doc:"Changes of price of active vehicles, several of one vehicle included."`
}

// AgeBucket counts active vehicles.
type AgeBucket struct {
	From  int64  `json:"from" doc:"Days on lot."`
	To    *int64 `json:"to" doc:"Days on lot, included; null for the last."`
	Count int64  `json:"count"`
}

// bucketEnds are the last days of all buckets but the last: dealers look at 15 and 30 days for turn, and at 60, 90 and 120 for
// what ages.
var bucketEnds = [...]int64{15, 30, 45, 60, 90, 120}

// tally is what a writer adds to the counters of days and ages.
type tally struct {
	days map[dayKey]*dayCount
	ages map[ageKey]int64
}

type dayKey struct {
	dealership string
	day        Day
}

type ageKey struct {
	dealership string
	lotSince   Day
}

type dayCount struct{ added, sold, relisted, priceChanges int64 }

func newTally() tally { return tally{map[dayKey]*dayCount{}, map[ageKey]int64{}} }

// add counts a vehicle that is new.
func (t *tally) add(v *Vehicle, today Day) {
	t.on(v, today).added++
	t.age(v, 1)
}

// change counts what becomes of a known vehicle.
func (t *tally) change(was, is *Vehicle, today Day) {
	t.age(was, -1)
	t.age(is, 1)
	active, stays := was.active(), is.active()
	repriced := active && was.Values[vehicle.Price] != is.Values[vehicle.Price]
	if active == stays && !repriced {
		return
	}
	n := t.on(is, today)
	switch {
	case active && !stays:
		n.sold++
	case !active && stays:
		n.relisted++
	}
	if repriced {
		n.priceChanges++
	}
}

func (t *tally) age(v *Vehicle, sign int64) {
	if v.active() {
		t.ages[ageKey{v.Values[vehicle.DealershipID], v.LotSince}] += sign
	}
}

func (t *tally) on(v *Vehicle, today Day) *dayCount {
	key := dayKey{v.Values[vehicle.DealershipID], today}
	n, ok := t.days[key]
	if !ok {
		n = &dayCount{}
		t.days[key] = n
	}
	return n
}

func (v *Vehicle) active() bool { return v.Values[vehicle.Status] == vehicle.StatusActive }

// today is the day it is at the vehicle's dealership.
func (w *Writer) today(v *Vehicle) Day { return w.days.today(v.Values[vehicle.DealershipID], w.now) }

// Activity of the last days, of one dealership or, with "", of all.
func (s *Stock) Activity(ctx context.Context, t *sqldb.Tenant, dealershipID string, days int64) (Activity, error) {
	calendar, err := s.recentCalendar(ctx, t)
	if err != nil {
		return Activity{}, err
	}
	if dealershipID != "" && !calendar.has(dealershipID) {
		return Activity{}, rest.NotFound("dealership")
	}
	since, err := s.counted(ctx, t)
	if err != nil {
		return Activity{}, err
	}
	now := s.now()
	first, last := calendar.latest(dealershipID, now)-Day(days)+1, calendar.latest(dealershipID, now)
	out := Activity{Days: []DayActivity{}}
	if since > 0 {
		text := since.String()
		out.CountedSince = &text
	}
	counted, err := selectDays(ctx, t, dealershipID, first, last)
	if err != nil {
		return Activity{}, err
	}
	for day := max(first, since); day <= last; day++ {
		n := counted[day]
		out.Days = append(out.Days, DayActivity{day.String(), n.added, n.sold, n.relisted, n.priceChanges})
	}
	out.Ages, err = ages(ctx, t, dealershipID, calendar, now)
	return out, err
}

// latest is the latest day it is at a dealership, at any with "".
func (c calendar) latest(dealershipID string, now time.Time) Day {
	latest := c.today(dealershipID, now)
	if dealershipID == "" {
		for id := range c {
			latest = max(latest, c.today(id, now))
		}
	}
	return latest
}

// ages sorts active vehicles by days on lot. Those beyond the last bound are what is left of all, so that only recent days are read.
func ages(ctx context.Context, t *sqldb.Tenant, dealershipID string, days calendar, now time.Time) ([]AgeBucket, error) {
	out, from := make([]AgeBucket, 0, len(bucketEnds)+1), int64(0)
	for _, end := range bucketEnds {
		out = append(out, AgeBucket{From: from, To: &end})
		from = end + 1
	}
	out = append(out, AgeBucket{From: from})
	oldest := days.latest(dealershipID, now) - Day(from) // no dealership is a day and more behind another
	all, recent, err := selectAges(ctx, t, dealershipID, oldest)
	for key, active := range recent {
		age := max(0, int64(days.today(key.dealership, now)-key.lotSince))
		for i, end := range bucketEnds {
			if age <= end {
				out[i].Count += active
				all -= active
				break
			}
		}
	}
	out[len(bucketEnds)].Count = max(0, all)
	return out, err
}

// counted makes sure that ages are counted, which programs of the releases before did not do, and returns the day from which days
// are; 0 for always.
func (s *Stock) counted(ctx context.Context, t *sqldb.Tenant) (since Day, err error) {
	v, err := s.pages.version(ctx, t, s.now())
	if err != nil {
		return 0, err
	}
	state, err := selectCounting(ctx, t)
	if err != nil || state.strays == v.strays() {
		return state.since, err
	}
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := tx.Lock(ctx, sqldb.LockInventory); err != nil {
			return err
		}
		v, err := selectVersion(ctx, tx)
		if err != nil {
			return err
		}
		if state, err = selectCounting(ctx, tx); err != nil || state.strays == v.strays() {
			return err // somebody else was faster
		}
		today := DayOf(s.now(), time.UTC)
		if state.since > 0 {
			state.since = today // programs that don't count were at work again
		} else if state.since, err = selectFirstDay(ctx, tx, today); err != nil {
			return err
		}
		state.strays = v.strays()
		return recountAges(ctx, tx, state)
	})
	return state.since, err
}
