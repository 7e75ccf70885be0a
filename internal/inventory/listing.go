package inventory

import (
	"context"
	"time"

	"carfluence/internal/sqldb"
)

// Listing is a vehicle that an integration's files list, and since when they no longer do.
type Listing struct {
	VIN         string
	Active      bool      // as the integration alone shows it
	Missed      int64     // files in a row that did not list it
	MissedSince time.Time // when the first of them arrived
}

// Known returns by VIN the hashes of the rows from which a source's records were read, as far as it lists them
// without a break: a row with the same hash has nothing new to say.
func (s *Stock) Known(ctx context.Context, t *sqldb.Tenant, from Source, vins []string) (map[string]int64, error) {
	return selectHashes(ctx, t, from.id(), vins)
}

// Exist tells how many of the VINs the inventory holds.
func (s *Stock) Exist(ctx context.Context, t *sqldb.Tenant, vins []string) (int64, error) {
	return countExisting(ctx, t, vins)
}

// EachListing calls f for every vehicle the integration lists, those given up as sold left out.
func (s *Stock) EachListing(ctx context.Context, t *sqldb.Tenant, integrationID string, f func(Listing)) error {
	return eachListing(ctx, t, integrationID, f)
}

// Miss notes that a file, which arrived at a time, did not list these vehicles.
func (s *Stock) Miss(ctx context.Context, tx *sqldb.Tenant, missing []Listing, at time.Time, from Source) error {
	w := &work{marks: make([]*record, 0, len(missing))}
	for _, l := range missing {
		if l.MissedSince.IsZero() {
			l.MissedSince = at
		}
		w.marks = append(w.marks, &record{vin: l.VIN, source: from.id(), missed: l.Missed + 1, missedSince: l.MissedSince})
	}
	return w.storeMarks(ctx, tx)
}

// Present notes that a file lists vehicles in rows that can't be used otherwise.
func (s *Stock) Present(ctx context.Context, tx *sqldb.Tenant, vins []string, from Source) error {
	w := &work{}
	for _, vin := range vins {
		w.marks = append(w.marks, &record{vin: vin, source: from.id()})
	}
	return w.storeMarks(ctx, tx)
}

// Abandon lets go of all vehicles an integration lists, without a word on where they are: its files will not come any more.
func (s *Stock) Abandon(ctx context.Context, tx *sqldb.Tenant, from Source) error {
	var vins []string
	if err := eachListing(ctx, tx, from.id(), func(l Listing) { vins = append(vins, l.VIN) }); err != nil {
		return err
	}
	for len(vins) > 0 {
		n := min(batchOfVehicles, len(vins))
		if err := s.eachRecord(ctx, tx, vins[:n], from, func(w *work, r *record) {
			r.seen(0)
			if r.standing == standingLists {
				r.standing = standingAdds
			}
		}); err != nil {
			return err
		}
		vins = vins[n:]
	}
	return nil
}

// batchOfVehicles is how many are changed at once.
const batchOfVehicles = 1000

// Retire gives vehicles up that their integration no longer lists. They are sold unless another integration lists them.
func (s *Stock) Retire(ctx context.Context, tx *sqldb.Tenant, vins []string, from Source) error {
	return s.eachRecord(ctx, tx, vins, from, func(w *work, r *record) {
		r.seen(0)
		r.goneAt, r.changedAt = w.moment, w.moment
	})
}

// eachRecord changes the source's records of vehicles it lists, and what follows from them.
func (s *Stock) eachRecord(ctx context.Context, tx *sqldb.Tenant, vins []string, from Source, change func(*work, *record)) error {
	w, err := s.begin(ctx, tx, vins, from)
	if err != nil {
		return err
	}
	for _, vin := range vins {
		v, ok := w.stored[vin]
		if !ok {
			continue
		}
		r := v.own(from.id())
		if r == nil || !r.goneAt.IsZero() {
			continue
		}
		was := *v
		change(w, r)
		w.records = append(w.records, r)
		if err := w.follow(ctx, tx, v, &was, 0); err != nil {
			return err
		}
	}
	return w.write(ctx, tx)
}
