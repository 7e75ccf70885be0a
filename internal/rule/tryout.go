package rule

import (
	"context"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Subject is the vehicle a rule is tried out on: a stored one by its VIN, else one that is given.
type Subject struct {
	StoredVIN string // normalised
	Values    vehicle.Values
	About     vehicle.Ruling // VIN and days on lot
}

// Tryout is what a rule would do to a vehicle. Nothing is stored.
type Tryout struct {
	Trial
	Before vehicle.Values // what the rule meets
	About  vehicle.Ruling
	Hides  bool // the rule uses sensitive fields: what its warnings say is for administrators only
}

var errNoSubject = errs.Invalid("invalid", "The rule can't be tested on this vehicle.", errs.At("#/vin", "names no vehicle of this group"))

// TestStored tries a stored rule out, be it enabled or not. A stored vehicle comes to it as in a sync: from its sources,
// its overrides and the enabled rules created before.
func (r *Rules) TestStored(ctx context.Context, t *sqldb.Tenant, id string, on Subject) (Tryout, error) {
	list, err := selectInOrder(ctx, t)
	if err != nil {
		return Tryout{}, err
	}
	for i := range list {
		if list[i].ID != id {
			continue
		}
		c, faults := Compile(list[i], r.o.Now())
		if len(faults) > 0 {
			return Tryout{}, errs.Conflict("conflict", "The rule is left out, since this version of the program does not take it: "+sentence(faults)+".")
		}
		return r.try(ctx, t, c, list[:i], on)
	}
	return Tryout{}, errNoRule
}

// TestDraft tries a rule out that is not stored. A stored vehicle comes to it as if it were created now: after all
// enabled rules.
func (r *Rules) TestDraft(ctx context.Context, t *sqldb.Tenant, draft *Compiled, on Subject) (Tryout, error) {
	list, err := selectInOrder(ctx, t)
	if err != nil {
		return Tryout{}, err
	}
	return r.try(ctx, t, draft, list, on)
}

func (r *Rules) try(ctx context.Context, t *sqldb.Tenant, c *Compiled, before []Rule, on Subject) (Tryout, error) {
	out := Tryout{Before: on.Values, About: on.About, Hides: len(c.uses) > 0}
	if on.StoredVIN != "" {
		var err error
		out.Before, out.About, err = r.stock.Unruled(ctx, t, on.StoredVIN)
		if errs.KindOf(err) == errs.KindNotFound {
			err = errNoSubject
		}
		if err != nil {
			return out, err
		}
		met := out.About
		InOrder(r.compiled(t.Group(), before)).Run(&out.Before, &met)
		out.About.DaysOnLot = met.DaysOnLot
	}
	out.Trial = c.Test(out.Before, out.About)
	return out, nil
}
