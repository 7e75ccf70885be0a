package inventory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Stock is the collective of all vehicles.
type Stock struct {
	// Rules are a group's rules in force; none when nil.
	Rules func(ctx context.Context, t *sqldb.Tenant) (vehicle.Rules, error)
	// Integrations are a group's integrations by id; none are known when nil.
	Integrations func(ctx context.Context, t *sqldb.Tenant) (map[string]IntegrationName, error)
	// EnqueueRefresh makes RunRefresh be called once the caller's transaction has ended. Without it every refresh is done
	// at once.
	EnqueueRefresh func(ctx context.Context, tx *sqldb.Tenant, id string) error

	db      *sqldb.DB
	dealers *dealer.Dealers
	now     func() time.Time
	pages   *pages
	indexes *indexes
	answers *answers
	waits   *waits
	exports chan struct{} // a place for each at once
	zones   sync.Map      // IANA name → *time.Location
}

// Options of the stock.
type Options struct {
	PageCacheBytes int64            // of the pages and vehicles kept in memory, half each; 0 keeps none
	IndexBytes     int64            // of the indexes of groups' vehicles, and up to as many again while large files are written; 0 for none: then there are no filters, sorts and facets
	DocumentBytes  int64            // of the vehicles kept in memory as lists show them; 0 keeps none
	Log            *slog.Logger     // none when nil
	Waiting        int              // calls that may wait for changes at once
	Exports        int              // exports that may be under way at once
	Now            func() time.Time // time.Now when nil
}

// NewStock is the stock in a store.
func NewStock(db *sqldb.DB, o Options) *Stock {
	if o.Now == nil {
		o.Now = time.Now
	}
	half := o.PageCacheBytes / 2
	return &Stock{db: db, now: o.Now, pages: newPages(half), indexes: newIndexes(o), answers: newAnswers(half), waits: newWaits(o.Waiting), exports: make(chan struct{}, o.Exports), dealers: &dealer.Dealers{DB: db, Now: o.Now}}
}

// OnReserve has f be told how many bytes are set aside, beyond the options', for indexes of what transactions are writing. Call it
// before any use.
func (s *Stock) OnReserve(f func(bytes int64)) { s.indexes.onReserve = f }

// Outcome is what became of a change.
type Outcome uint8

// The outcomes.
const (
	Unchanged Outcome = iota
	Added
	Updated
	LeftOut // not known, and the source only updates
)

// instant is the time of a write, in whole seconds: lists show no finer ones, and their order, newest first and
// then by VIN, is to be the one they show.
func (s *Stock) instant() time.Time { return s.now().UTC().Truncate(time.Second) }

// location is a time zone by its IANA name, UTC for an unknown one.
func (s *Stock) location(name string) *time.Location {
	if z, ok := s.zones.Load(name); ok {
		return z.(*time.Location)
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		z = time.UTC
	}
	s.zones.Store(name, z)
	return z
}

// calendar are the time zones of a group's dealerships by id.
type calendar map[string]*time.Location

func (c calendar) of(dealershipID string) *time.Location {
	if z, ok := c[dealershipID]; ok {
		return z
	}
	return time.UTC
}

// has tells whether the group has a dealership.
func (c calendar) has(dealershipID string) bool {
	_, ok := c[dealershipID]
	return ok
}

// today is the day it is at a dealership.
func (c calendar) today(dealershipID string, now time.Time) Day {
	return DayOf(now, c.of(dealershipID))
}

// midnight is when the next day begins at any of the dealerships, or where there is none, in UTC.
func (c calendar) midnight(now time.Time) time.Time {
	next := nextDay(now, time.UTC)
	for _, zone := range c {
		if t := nextDay(now, zone); t.Before(next) {
			next = t
		}
	}
	return next
}

func nextDay(now time.Time, zone *time.Location) time.Time {
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}

func (s *Stock) calendar(ctx context.Context, t *sqldb.Tenant) (calendar, error) {
	zones, err := s.dealers.TimeZones(ctx, t)
	if err != nil {
		return nil, err
	}
	out := make(calendar, len(zones))
	for id, zone := range zones {
		out[id] = s.location(zone)
	}
	return out, nil
}

// Count is how many vehicles a dealership holds, sold ones included.
func (s *Stock) Count(ctx context.Context, t *sqldb.Tenant, dealershipID string) (int64, error) {
	return countHeld(ctx, t, dealershipID)
}

// Bump tells, in the transaction of another write, that what the group's inventory shows may have changed.
func (s *Stock) Bump(ctx context.Context, tx *sqldb.Tenant) error {
	if err := raiseBumps(ctx, tx); err != nil {
		return err
	}
	v, err := selectVersion(ctx, tx)
	s.pages.await(tx.Group(), 0, v.bumps, s.now())
	return err
}

// Committed makes this process show a group's writes at once; call it after the transaction that held a Write
// or Bump. Without it they are shown within half a second.
func (s *Stock) Committed(group string) {
	s.pages.expire(group)
	s.indexes.followSoon(s.db.Tenant(group))
	s.waits.wrote(group)
}

// Get returns a vehicle; with an integration, as that one describes it, and only if it brought the vehicle.
// Unknown and foreign VINs are not found alike.
func (s *Stock) Get(ctx context.Context, t *sqldb.Tenant, vin, integrationID string) (*Vehicle, error) {
	days, err := s.calendar(ctx, t)
	if err != nil {
		return nil, err
	}
	v, err := selectVehicle(ctx, t, vin, days)
	if err != nil {
		return nil, err
	}
	return days.shownBy(v, integrationID)
}

var (
	errNoVehicle    = rest.NotFound("vehicle")
	errNoDealership = errs.Invalid("invalid", "The vehicle can't be stored as given; errors lists every fault.", errs.At("#/dealership_id", "names no dealership of this group"))
)

// daysOnLot of a vehicle by its dealership's calendar; now counts no further than the sale.
func (c calendar) daysOnLot(v *Vehicle, now time.Time) int64 {
	if v.Values[vehicle.Status] == vehicle.StatusSold && !v.SoldAt.IsZero() {
		now = v.SoldAt
	}
	return max(0, int64(c.today(v.Values[vehicle.DealershipID], now)-v.LotSince))
}
