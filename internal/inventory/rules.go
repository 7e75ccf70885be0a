package inventory

import (
	"context"
	"slices"
	"time"

	"carfluence/internal/sqldb"
)

// Rules are a group's enabled rules, ready to run on the values of vehicles. The zero value has none.
type Rules struct {
	Names    []RuleName // in the order they run
	ReadDays bool       // some outcome depends on days_on_lot, and so on the calendar

	// Run changes the values in place, by what they and the ruling say alone.
	Run func(v *Values, r *Ruling)
}

// RuleName is how history and logs call a rule.
type RuleName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Ruling is one vehicle on its way through the rules.
type Ruling struct {
	VIN       string
	DaysOnLot int64
	Keep      Set // fields people have overridden, which no rule sets

	// Recount counts the days on lot of values of which rules have set what they depend on; nil when DaysOnLot stands whatever
	// rules set.
	Recount func(v *Values) int64

	// What the rules did.
	Set    Set              // fields they have set, be it to what they were before
	By     [NumFields]int32 // of these, the index of the rule that set it last
	Faults []RuleFault
}

// RuleFault is an action that could not be carried out; it has left its field alone.
type RuleFault struct {
	Rule   int // index
	Field  Field
	Reason string // for people, as in "msrp is empty"
	Hidden bool   // the reason is for administrators only
}

// Unruled is what a vehicle shows before any rule, and what rules are told of it; not found for unknown and foreign VINs.
func (s *Stock) Unruled(ctx context.Context, t *sqldb.Tenant, vin string) (Values, Ruling, error) {
	w, err := s.Writer(ctx, t, Source{})
	if err != nil {
		return Values{}, Ruling{}, err
	}
	v, err := selectVehicle(ctx, t, vin, w.days)
	if err != nil {
		return Values{}, Ruling{}, err
	}
	v.Values, _ = w.merge.shown(v.records, v.Overrides, w.days.has)
	return v.Values, Ruling{VIN: v.VIN, Keep: covered(v.Overrides), DaysOnLot: w.days.daysNow(v, w.now), Recount: w.recount(v)}, nil
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
