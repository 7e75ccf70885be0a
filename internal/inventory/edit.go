package inventory

import (
	"context"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Upsert stores a vehicle as a caller of the API describes it; added tells that its VIN was not known. A new
// vehicle without a dealership belongs to the group's only one, or to none.
func (s *Stock) Upsert(ctx context.Context, t *sqldb.Tenant, c vehicle.Change, from Source) (v *Vehicle, added bool, err error) {
	r, outcome, err := s.edit(ctx, t, c, from, false)
	return r.v, outcome == Added, err
}

// Patch changes a known vehicle. What it sets overrides feeds until a later Patch sets it to null.
func (s *Stock) Patch(ctx context.Context, t *sqldb.Tenant, c vehicle.Change, from Source) (*Vehicle, error) {
	r, _, err := s.edit(ctx, t, c, from, true)
	return r.v, err
}

// edit returns the vehicle as it is then.
func (s *Stock) edit(ctx context.Context, t *sqldb.Tenant, c vehicle.Change, from Source, override bool) (r reading, outcome Outcome, err error) {
	from.UpdateOnly = from.UpdateOnly || override
	err = t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		if err := s.place(ctx, tx, &c, from); err != nil {
			return err
		}
		return s.Write(ctx, tx, from, func(w *Writer) error {
			w.override = override
			outcomes, err := w.Apply(ctx, []vehicle.Change{c})
			if err != nil {
				return err
			}
			if outcomes[0] == LeftOut {
				return errNoVehicle
			}
			r.v, r.days, outcome = w.stored[c.VIN], w.days, outcomes[0]
			set := w.said // where a PATCH has written before
			if override {
				set = c.Present
			}
			if err := w.noteOverrides(ctx, r.v, set); err != nil {
				return err
			}
			r.provenance, err = w.provenance(ctx, r.v)
			return err
		})
	})
	if err == nil {
		s.Committed(t.Group())
	}
	return r, outcome, err
}

// place checks the dealership a change names, and finds one for a new vehicle that names none.
func (s *Stock) place(ctx context.Context, tx *sqldb.Tenant, c *vehicle.Change, from Source) error {
	if id := c.Values[vehicle.DealershipID]; id != "" {
		_, err := s.dealers.Get(ctx, tx, id)
		if errs.KindOf(err) == errs.KindNotFound {
			return errNoDealership
		}
		return err
	}
	if c.Present.Has(vehicle.DealershipID) || from.UpdateOnly {
		return nil
	}
	if _, err := selectVehicleAlone(ctx, tx, c.VIN); errs.KindOf(err) != errs.KindNotFound {
		return err
	}
	id, err := s.dealers.Only(ctx, tx)
	if errs.KindOf(err) == errs.KindNotFound {
		return nil
	}
	if err == nil {
		c.Put(vehicle.DealershipID, id)
	}
	return err
}
