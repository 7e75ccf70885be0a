package rule

import (
	"fmt"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
)

// Trial is what a rule would do to a vehicle.
type Trial struct {
	Conditions []Verdict // in the rule's order
	Applied    bool      // all conditions hold
	Values     vehicle.Values
	DaysOnLot  int64
	Set        vehicle.Fields // fields the rule has set, be it to what they were before
	Warnings   []errs.Fault   // by pointers relative to the rule's body
}

// Verdict is how a condition came out.
type Verdict struct {
	Condition
	Holds  bool
	Actual string // canonical text of what it looked at, "" when that is empty
}

// Test runs the rule, be it enabled or not, on one vehicle, described by its values and by the VIN, the days on
// lot and the overridden fields of a ruling. Neither is changed.
func (c *Compiled) Test(v vehicle.Values, about vehicle.Ruling) Trial {
	out := Trial{Applied: true, Values: v, DaysOnLot: about.DaysOnLot, Conditions: make([]Verdict, len(c.tests))}
	r := vehicle.Ruling{VIN: about.VIN, DaysOnLot: about.DaysOnLot, Keep: about.Keep, Recount: about.Recount}
	s := scene{values: &out.Values, ruling: &r}
	for i := range c.tests {
		t := &c.tests[i]
		verdict := Verdict{Condition: c.rule.Conditions[i], Holds: t.holds(&s), Actual: t.text(&s)}
		out.Conditions[i] = verdict
		out.Applied = out.Applied && verdict.Holds
		if _, ok := readNumber(verdict.Actual); !ok && verdict.Actual != "" && (t.how == ifAbove || t.how == ifBelow) {
			out.warn(fmt.Sprintf("#/conditions/%d/field", i), fmt.Sprintf("%s is no number: %q", t.subject, clipped(verdict.Actual)))
		}
	}
	if !out.Applied {
		return out
	}
	for i := range c.effects {
		e := &c.effects[i]
		if r.Keep.Has(e.field) {
			out.warn(e.pointer+"/field", fmt.Sprintf("%s is overridden and was left alone", e.field))
		} else if reason := e.apply(&s, 0); reason != "" {
			out.warn(e.pointer, fmt.Sprintf("%s was left alone: %s", e.subject, reason))
		}
	}
	out.Set, out.DaysOnLot = r.Set, r.DaysOnLot
	return out
}

func (t *Trial) warn(pointer, detail string) {
	t.Warnings = append(t.Warnings, errs.At(pointer, detail))
}
