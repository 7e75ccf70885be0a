package inventory

import (
	"context"
	"slices"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Unruled is what a vehicle shows before any rule, and what rules are told of it; not found for unknown and foreign VINs.
func (s *Stock) Unruled(ctx context.Context, t *sqldb.Tenant, vin string) (vehicle.Values, vehicle.Ruling, error) {
	w, err := s.writer(ctx, t, Source{})
	if err != nil {
		return vehicle.Values{}, vehicle.Ruling{}, err
	}
	v, err := selectVehicle(ctx, t, vin, w.days)
	if err != nil {
		return vehicle.Values{}, vehicle.Ruling{}, err
	}
	v.Values, _ = w.merge.shown(v.records, v.Overrides, w.days.has)
	return v.Values, vehicle.Ruling{VIN: v.VIN, Keep: covered(v.Overrides), DaysOnLot: w.days.daysNow(v, w.now), Recount: w.recount(v)}, nil
}

// Today is the calendar day it is in each time zone of the group's dealerships and, for vehicles without one, in UTC, as in
// "America/Chicago 2026-11-23".
func (s *Stock) Today(ctx context.Context, t *sqldb.Tenant) ([]string, error) {
	days, err := s.calendar(ctx, t)
	if err != nil {
		return nil, err
	}
	now := s.now()
	out := []string{now.UTC().Format("UTC " + time.DateOnly)}
	for _, zone := range days {
		out = append(out, zone.String()+now.In(zone).Format(" "+time.DateOnly))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
