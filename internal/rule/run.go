package rule

import (
	"carfluence/internal/vehicle"
)

// InOrder makes the enabled ones of some compiled rules ready to run on vehicles one after the other. Each sees
// what the ones before have left, and the last to set a field wins. The caller fills in the edition.
func InOrder(rules []*Compiled) vehicle.Rules {
	var out vehicle.Rules
	var run []*Compiled
	for _, c := range rules {
		if !c.rule.Enabled {
			continue
		}
		run = append(run, c)
		out.Names = append(out.Names, vehicle.RuleName{ID: c.rule.ID, Name: c.rule.Name})
		out.ReadDays = out.ReadDays || c.readDays
	}
	out.Run = func(v *vehicle.Values, r *vehicle.Ruling) {
		s := scene{values: v, ruling: r}
		for i, c := range run {
			if c.applies(&s) {
				c.apply(&s, i)
			}
		}
	}
	return out
}

// applies tells whether all conditions hold.
func (c *Compiled) applies(s *scene) bool {
	for i := range c.tests {
		if !c.tests[i].holds(s) {
			return false
		}
	}
	return true
}

// apply carries the actions out, as the rule with the given index.
func (c *Compiled) apply(s *scene, index int) {
	for i := range c.effects {
		e := &c.effects[i]
		if s.ruling.Keep.Has(e.field) {
			continue
		}
		if reason := e.apply(s, index); reason != "" {
			s.ruling.Faults = append(s.ruling.Faults, vehicle.RuleFault{Rule: index, Field: e.field, Reason: reason, Hidden: len(c.uses) > 0})
		}
	}
}

// apply sets what there is to set. reason is why it is left alone, "" if it is not.
func (e *effect) apply(s *scene, index int) (reason string) {
	text := e.text
	if e.expr != nil {
		if text, reason = e.evaluate(s); reason != "" {
			return reason
		}
	}
	switch {
	case e.origin == ofCustom:
		custom, detail := vehicle.WithCustom(s.values[vehicle.Custom], e.name, text)
		if detail != "" {
			return detail
		}
		text = custom
	case leading.Has(e.field):
		e.lead(s, text, index)
		return ""
	}
	s.set(e.field, text, index)
	return ""
}

func (s *scene) set(f vehicle.Field, text string, index int) {
	s.values[f] = text
	if (f == vehicle.DateInStock || f == vehicle.Status) && s.ruling.Recount != nil {
		s.ruling.DaysOnLot = s.ruling.Recount(s.values)
	}
	s.ruling.Set.Add(f)
	s.ruling.By[f] = int32(index)
}

// lead sets a field and what follows from it, as a change by a source does, but for fields that people have
// overridden and those the rule states itself.
func (e *effect) lead(s *scene, text string, index int) {
	change := e.change
	if change == nil {
		change = e.following(text)
	}
	after := *s.values
	changed := after.Merge(change, true)
	for f := range vehicle.NumFields {
		if (changed.Has(f) || change.Present.Has(f)) && !s.ruling.Keep.Has(f) && !e.stated.Has(f) {
			s.set(f, after[f], index)
		}
	}
}
