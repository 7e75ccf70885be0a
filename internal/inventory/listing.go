package inventory

import (
	"context"
	"slices"
	"time"

	"carfluence/internal/sqldb"
)

// Listing is a vehicle that an integration's files list, and since when they no longer do.
type Listing struct {
	VIN         string
	Active      bool      // as the integration alone shows it
	Missed      int64     // files in a row that did not list it
	MissedSince time.Time // when the first of them arrived
	Hash        int64     // of the row its record was read from, 0 when the row must be read again
}

// Known returns by VIN the hashes of the rows from which a source's records were read, as far as it lists them
// without a break: a row with the same hash has nothing new to say.
func (s *Stock) Known(ctx context.Context, t *sqldb.Tenant, from Source, vins []string) (map[string]int64, error) {
	out := make(map[string]int64, len(vins))
	for some := range slices.Chunk(vins, batchOfVehicles) {
		if err := selectHashes(ctx, t, from.id(), some, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Exist tells how many of the VINs the inventory holds.
func (s *Stock) Exist(ctx context.Context, t *sqldb.Tenant, vins []string) (int64, error) {
	return countExisting(ctx, t, vins)
}

// ListedElsewhere tells which of the VINs other integrations list.
func (s *Stock) ListedElsewhere(ctx context.Context, t *sqldb.Tenant, integrationID string, vins []string) (map[string]bool, error) {
	out := map[string]bool{}
	for some := range slices.Chunk(vins, batchOfVehicles) {
		if err := selectListedElsewhere(ctx, t, integrationID, some, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// EachListing calls f for every vehicle the source lists, those given up as sold left out.
func (s *Stock) EachListing(ctx context.Context, t *sqldb.Tenant, from Source, f func(Listing)) error {
	return eachListing(ctx, t, from.id(), f)
}

// Miss notes that a file, which arrived at a time, did not list these vehicles.
func (w *Writer) Miss(ctx context.Context, missing []Listing, at time.Time) error {
	w.next(batch{marks: make([]*record, 0, len(missing))})
	for _, l := range missing {
		if l.MissedSince.IsZero() {
			l.MissedSince = at
		}
		w.marks = append(w.marks, &record{vin: l.VIN, source: w.from.id(), missed: l.Missed + 1, missedSince: l.MissedSince})
	}
	return w.storeMarks(ctx)
}

// Present notes that a file lists vehicles in rows that can't be used otherwise.
func (w *Writer) Present(ctx context.Context, vins []string) error {
	w.next(batch{})
	for _, vin := range vins {
		w.marks = append(w.marks, &record{vin: vin, source: w.from.id()})
	}
	return w.storeMarks(ctx)
}

// Abandon lets go of all vehicles the integration lists, without a word on where they are: its files will not come any more.
func (w *Writer) Abandon(ctx context.Context) error {
	var vins []string
	if err := eachListing(ctx, w.tx, w.from.id(), func(l Listing) { vins = append(vins, l.VIN) }); err != nil {
		return err
	}
	return w.eachRecord(ctx, vins, func(r *record) {
		r.seen(0)
		if r.standing == standingLists {
			r.standing = standingAdds
		}
	})
}

// Retire gives vehicles up that the integration no longer lists. They are sold unless another integration lists them.
func (w *Writer) Retire(ctx context.Context, vins []string) error {
	return w.eachRecord(ctx, vins, func(r *record) {
		r.seen(0)
		r.goneAt, r.changedAt = w.moment, w.moment
	})
}

// batchOfVehicles is how many are changed at once.
const batchOfVehicles = 1000

// eachRecord changes the source's records of vehicles it lists, and what follows from them.
func (w *Writer) eachRecord(ctx context.Context, vins []string, change func(*record)) error {
	for some := range slices.Chunk(vins, batchOfVehicles) {
		if err := w.begin(ctx, some); err != nil {
			return err
		}
		for _, vin := range some {
			v, ok := w.stored[vin]
			if !ok {
				continue
			}
			r := v.own(w.from.id())
			if r == nil || !r.goneAt.IsZero() {
				continue
			}
			was := *v
			change(r)
			w.records = append(w.records, r)
			if _, err := w.follow(ctx, v, &was, 0); err != nil {
				return err
			}
		}
		if err := w.write(ctx); err != nil {
			return err
		}
	}
	return nil
}

// RefreshAll makes all vehicles of the source show what their sources, the merge and the rules say now, as after a change
// of rules. Faults counted before are counted anew.
func (w *Writer) RefreshAll(ctx context.Context) error {
	vins, err := selectVINs(ctx, w.tx, w.from.id())
	if err != nil {
		return err
	}
	w.faults = ruleFaults{}
	for some := range slices.Chunk(vins, batchOfVehicles) {
		if err := w.Refresh(ctx, some, nil); err != nil {
			return err
		}
	}
	return nil
}
