package inventory

import (
	"context"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Override is a field that shows what a caller of the API has set, whatever sources and rules say.
type Override struct {
	Field   vehicle.Field
	Value   string      // in force
	Sources string      // what the vehicle's sources say
	By      audit.Actor // zero where it was not noted
	At      time.Time   // zero where it was not noted
}

// RuleValue is a field that shows what a rule has set.
type RuleValue struct {
	Field    vehicle.Field
	RuleID   string
	RuleName string // "" when the rule is no longer in force: the value stays until the next sync or refresh
	Sources  string // what the vehicle's sources say
}

// Provenance tells where a vehicle shows something else than its sources say.
type Provenance struct {
	Overrides []Override
	Rules     []RuleValue
}

// provenance of a vehicle as it is stored, by a merge of its records; nil for the group's default.
func (s *Stock) provenance(ctx context.Context, t *sqldb.Tenant, v *Vehicle, merge *Merge, days calendar) (p Provenance, err error) {
	made, err := readMade(v.made)
	if err != nil || v.Overrides.Empty() && len(made) == 0 {
		return p, err
	}
	if merge == nil {
		configs, err := selectMergeConfigs(ctx, t)
		if err != nil {
			return p, err
		}
		byDefault := defaultMerge(configs)
		merge = &byDefault
	}
	rules, err := s.rules(ctx, t)
	if err != nil {
		return p, err
	}
	return provenanceOf(ctx, t, v, made, merge, rules.Names, days)
}

// provenance of a vehicle as the writer has left it.
func (w *Writer) provenance(ctx context.Context, v *Vehicle) (Provenance, error) {
	made, err := readMade(v.made)
	if err != nil || v.Overrides.Empty() && len(made) == 0 {
		return Provenance{}, err
	}
	return provenanceOf(ctx, w.tx, v, made, &w.merge, w.rules.Names, w.days)
}

func provenanceOf(ctx context.Context, t *sqldb.Tenant, v *Vehicle, made map[string]madeValue, merge *Merge, rules []vehicle.RuleName, days calendar) (p Provenance, err error) {
	var noted map[vehicle.Field]Override
	if !v.Overrides.Empty() {
		if noted, err = selectOverrides(ctx, t, v.VIN); err != nil {
			return p, err
		}
	}
	said, _ := merge.shown(withoutOverrides(v.records, v.Overrides), vehicle.Fields{}, days.has)
	for f := range vehicle.NumFields {
		if v.Overrides.Has(f) {
			o := noted[f]
			o.Field, o.Value, o.Sources = f, v.Values[f], said[f]
			p.Overrides = append(p.Overrides, o)
		}
		if m := made[f.String()]; m.Rule != "" {
			p.Rules = append(p.Rules, RuleValue{f, m.Rule, nameOf(rules, m.Rule), said[f]})
		}
	}
	return p, nil
}

func nameOf(rules []vehicle.RuleName, id string) string {
	for _, n := range rules {
		if n.ID == id {
			return n.Name
		}
	}
	return ""
}

// withoutOverrides are records without what the API's holds only as overrides.
func withoutOverrides(records []*record, overrides vehicle.Fields) []*record {
	out := make([]*record, 0, len(records))
	for _, r := range records {
		if r.source == SourceAPI {
			var rest vehicle.Fields
			for f := range vehicle.NumFields {
				if !overrides.Has(f) {
					rest.Add(f)
				}
			}
			r = r.only(rest)
		}
		out = append(out, r)
	}
	return out
}

var errNoOverride = rest.NotFound("override")

// Release lets sources and rules show again where a caller has overridden them: in one field, or with "" in all. A vehicle
// that no source but the API describes keeps its values. Not found for a field that is not overridden.
func (s *Stock) Release(ctx context.Context, t *sqldb.Tenant, vin, field string, from Source) error {
	err := t.Alone(ctx, sqldb.LockInventory, func(tx *sqldb.Tenant) error {
		return s.Write(ctx, tx, from, func(w *Writer) error { return w.releaseOf(ctx, vin, field) })
	})
	if err == nil {
		s.Committed(t.Group())
	}
	return err
}

// releaseOf takes one override, or all with "", off a vehicle, with a trail.
func (w *Writer) releaseOf(ctx context.Context, vin, field string) error {
	v, err := selectVehicle(ctx, w.tx, vin, w.days)
	if err != nil {
		return err
	}
	release := v.Overrides
	if field != "" {
		f, known := vehicle.FieldNamed(field)
		if !known || !v.Overrides.Has(f) {
			return errNoOverride
		}
		release = vehicle.FieldsOf(f)
	}
	if release.Empty() {
		return nil
	}
	if err := w.release(ctx, vin, release); err != nil {
		return err
	}
	if err := forgetOverrides(ctx, w.tx, vin, w.stored[vin].Overrides); err != nil {
		return err
	}
	return audit.Record(ctx, w.tx.DB(), w.tx.Group(), w.stock.now(), audit.Event{
		Name: "vehicle.overrides_released", Actor: audit.Actor{Type: w.from.ActorType, ID: w.from.ActorID, Name: w.from.ActorName},
		SubjectType: "vehicle", SubjectID: vin, Detail: map[string]any{"fields": release.Names()},
	})
}

// release takes overrides off a vehicle.
func (w *Writer) release(ctx context.Context, vin string, set vehicle.Fields) error {
	if err := w.begin(ctx, []string{vin}); err != nil {
		return err
	}
	v := w.stored[vin]
	if len(v.records) > 1 {
		w.override = true
		c := vehicle.Change{VIN: vin, Present: set}
		if _, err := w.change(ctx, &c); err != nil {
			return err
		}
		return w.write(ctx)
	}
	was := *v
	for f := range vehicle.NumFields {
		if set.Has(f) {
			v.Overrides.Remove(f)
		}
	}
	if _, err := w.follow(ctx, v, &was, 0); err != nil {
		return err
	}
	return w.write(ctx)
}

// noteOverrides notes who has set the overrides among some fields, and forgets those that are released.
func (w *Writer) noteOverrides(ctx context.Context, v *Vehicle, set vehicle.Fields) error {
	noted := false
	for f := range vehicle.NumFields {
		if !set.Has(f) || !v.Overrides.Has(f) {
			continue
		}
		noted = true
		if err := upsertOverride(ctx, w.tx, v.VIN, f, w.from, w.now); err != nil {
			return err
		}
	}
	if noted && len(w.inserts)+len(w.updates)+len(w.records) == 0 { // the same value, set by somebody else
		if err := w.storeVersion(ctx, sqldb.Strings{v.VIN}); err != nil {
			return err
		}
	}
	return forgetOverrides(ctx, w.tx, v.VIN, v.Overrides)
}
