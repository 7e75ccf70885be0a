package rule

import (
	"fmt"
	"time"
	"unicode/utf8"

	"carfluence/internal/vehicle"
)

// effect is a compiled action.
type effect struct {
	subject
	pointer string // to what is set, for warnings
	text    string // what is set, where expr is nil
	expr    *node
	now     time.Time
	low     int64 // bounds of a number, in units of the last of its places
	high    int64
	places  int

	// change is what a text that others follow from sets; nil for all other fields.
	change *vehicle.Change
	stated vehicle.Fields // fields that the rule states itself, which follow from nothing
}

// leading are the fields others follow from: a transmission names its gears, photos their number.
var leading = vehicle.FieldsOf(vehicle.Transmission, vehicle.TransmissionType, vehicle.Photos, vehicle.Certified)

// dealership are the fields that say where a vehicle belongs. A rule does not move vehicles between dealerships:
// which dealership a feed's rows belong to is settled before any rule sees them.
var dealership = vehicle.FieldsOf(vehicle.DealershipID, vehicle.SourceDealerCode, vehicle.SourceDealerName)

// action makes an effect of an action and adds its faults.
func (c *compiler) action(pointer string, from Action) (e effect) {
	if from.Type != SetField {
		c.fault(pointer+"/type", "must be "+SetField)
	}
	s, detail := settable(from.Field)
	known := detail == ""
	if !known {
		c.fault(pointer+"/field", detail)
	} else {
		c.use(s, pointer+"/field")
	}
	e = effect{subject: s, pointer: pointer, now: c.now, stated: c.stated}
	e.stated.Remove(s.field)
	if e.places = 2; s.kind() == vehicle.Int {
		e.places = 0
	}
	if s.origin == ofField && isNumber(s.kind()) {
		e.low, e.high = s.field.Bounds(c.now)
	}
	switch {
	case from.Value == nil && from.ValueExpr == nil:
		c.fault(pointer, "needs a value or a value_expr")
	case from.Value != nil && from.ValueExpr != nil:
		c.fault(pointer+"/value_expr", "can't stand beside value; leave one of them out")
	case from.ValueExpr != nil:
		c.expression(&e, known, pointer+"/value_expr", *from.ValueExpr)
	case known:
		if e.text, detail = e.read(*from.Value); detail != "" {
			c.fault(pointer+"/value", detail)
		} else {
			e.change = e.following(e.text)
		}
	}
	return e
}

// settable finds what an action may set.
func settable(name string) (s subject, detail string) {
	if vehicle.Computed(name) {
		return s, "is computed and can't be set"
	}
	s, detail = subjectNamed(name)
	switch {
	case detail != "":
		return s, detail
	case s.origin == ofVIN:
		return s, "can't be set; a vehicle is known by its VIN"
	case s.origin == ofField && s.field == vehicle.Custom:
		return s, "can't be set as a whole; name one of its properties, as in custom.colour"
	case s.origin == ofField && dealership.Has(s.field):
		return s, "can't be set by a rule: rules don't move vehicles between dealerships"
	}
	return s, ""
}

// read reads a text into the canonical text of what is set.
func (e *effect) read(text string) (canonical, detail string) {
	most := MaxValue
	if e.kind() == vehicle.List || e.origin == ofField && e.field == vehicle.Description {
		most = MaxLongValue
	}
	switch {
	case utf8.RuneCountInString(text) > most:
		return "", fmt.Sprintf("must not be longer than %d characters", most)
	case e.origin == ofCustom:
		return vehicle.ReadCustom(text)
	}
	return vehicle.ReadText(e.field, text, e.now)
}

// following is the change a text makes where other fields follow from it, else nil.
func (e *effect) following(canonical string) *vehicle.Change {
	if e.origin != ofField || !leading.Has(e.field) {
		return nil
	}
	change := &vehicle.Change{}
	change.Put(e.field, canonical)
	return change
}

// expression compiles an action's expression and sees that what it yields fits the field.
func (c *compiler) expression(e *effect, known bool, pointer, text string) {
	g := grammar{now: c.now, used: func(f vehicle.Field) { c.useField(f, pointer) }}
	n := g.compile(text)
	c.readDays = c.readDays || g.days
	for _, detail := range g.faults {
		c.fault(pointer, detail)
	}
	if !known || len(g.faults) > 0 {
		return
	}
	e.expr = n
	takes, detail := e.takes(n.kind)
	if detail != "" {
		c.fault(pointer, detail)
		return
	}
	if takes == textual {
		for _, text := range n.literals() {
			if _, detail := e.read(text); detail != "" {
				c.fault(pointer, fmt.Sprintf("may yield %q, and %s %s", text, e.subject, detail))
			}
		}
	}
	if n.fixed && len(c.faults) == 0 {
		if _, reason := e.evaluate(&scene{values: &vehicle.Values{}, ruling: &vehicle.Ruling{}}); reason != "" {
			c.fault(pointer, "can't be set: "+reason)
		}
	}
}

// takes is the kind of expression that what is set takes from one that yields the given kind.
func (e *effect) takes(yields kind) (takes kind, detail string) {
	switch k := e.kind(); {
	case k == vehicle.List:
		return broken, fmt.Sprintf("can't be used for %s, a list; write its items in value, with commas", e.subject)
	case e.origin == ofCustom && yields == numeric:
		return numeric, ""
	case isNumber(k):
		takes = numeric
	case k == vehicle.Bool:
		takes = truth
	default:
		takes = textual
	}
	if yields == takes || yields == loose && takes != truth {
		return takes, ""
	}
	return broken, fmt.Sprintf("yields %s, and %s takes %s", yields, e.subject, takes)
}

// evaluate works out what to set. reason is why there is nothing to set, "" if there is.
func (e *effect) evaluate(s *scene) (canonical, reason string) {
	switch k := e.kind(); {
	case isNumber(k), e.expr.kind == numeric:
		n, ok := e.expr.number(s)
		if !ok {
			return "", s.reason
		}
		return e.numeral(n)
	case k == vehicle.Bool:
		yes, ok := e.expr.truth(s)
		switch {
		case !ok:
			return "", s.reason
		case yes:
			return vehicle.True, ""
		}
		return vehicle.False, ""
	}
	text, ok := e.expr.text(s)
	if !ok {
		return "", s.reason
	}
	canonical, detail := e.read(text)
	if detail != "" {
		return "", fmt.Sprintf("the result %q %s", clipped(text), detail)
	}
	return canonical, ""
}

// clipped shortens a text for a message.
func clipped(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxShown {
			return text[:i] + "…"
		}
	}
	return text
}

// numeral is the canonical text of a number, rounded half away from zero to the places of what is set.
func (e *effect) numeral(n number) (canonical, reason string) {
	units, ok := n.units(e.places, halfAway)
	if e.origin == ofCustom {
		if !ok {
			return "", fmt.Sprintf("the result, %s, has too many digits", n)
		}
		return hundredths(units), ""
	}
	if !ok || units < e.low || units > e.high {
		return "", fmt.Sprintf("the result %s lies outside of %s to %s", n.round(e.places, halfAway), e.field.NumberText(e.low), e.field.NumberText(e.high))
	}
	return e.field.NumberText(units), ""
}

// hundredths writes a number that no field bounds as shortly as it goes: "2.5".
func hundredths(units int64) string {
	return (number{d: decimalOf(units, 2)}).String()
}
