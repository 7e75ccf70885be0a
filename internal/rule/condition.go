package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/govalues/decimal"

	"carfluence/internal/vehicle"
)

// operators in the order messages name them.
var allOperators = []Operator{Equals, NotEquals, Contains, In, GreaterThan, LessThan, IsEmpty, IsNotEmpty}

// fits tells whether an operator makes sense for a subject.
func (o Operator) fits(s subject) bool {
	k := s.kind()
	switch o {
	case IsEmpty, IsNotEmpty:
		return true
	case Contains:
		return k != vehicle.Map && k != vehicle.Bool && !isNumber(k)
	case GreaterThan, LessThan:
		return isNumber(k) || k == vehicle.Date || k == vehicle.Time || s.origin == ofCustom
	}
	return k != vehicle.Map
}

func fitting(s subject) string {
	var names []string
	for _, o := range allOperators {
		if o.fits(s) {
			names = append(names, string(o))
		}
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// test is a compiled condition.
type test struct {
	subject
	operator Operator
	how      how
	texts    []string        // to be equal to one of (in order), to contain, or to come after or before
	limit    decimal.Decimal // to be above or below
}

// how a test compares what is not empty.
type how uint8

const (
	ifEmpty     how = iota
	ifNotEmpty      // nothing else is asked
	ifEqual         // to one of the texts
	ifUnequal       // to all of them
	ifContains      // the text
	ifItemEqual     // some item is
	ifNoItemEqual
	ifItemContains
	ifAbove // as a number
	ifBelow
	ifAfter // as a text, which dates and times are made for
	ifBefore
)

// holds tells whether the condition holds for a vehicle.
func (t *test) holds(v *scene) bool {
	if t.origin == ofDays && (t.how == ifAbove || t.how == ifBelow) {
		return t.holdsNumber(whole(v.ruling.DaysOnLot).d)
	}
	text := t.text(v)
	if text == "" {
		return t.how == ifEmpty || t.how == ifUnequal || t.how == ifNoItemEqual
	}
	switch t.how {
	case ifEmpty:
		return false
	case ifNotEmpty:
		return true
	case ifEqual:
		return t.among(text)
	case ifUnequal:
		return !t.among(text)
	case ifContains:
		return strings.Contains(text, t.texts[0])
	case ifItemEqual, ifNoItemEqual:
		return t.hasItem(text) == (t.how == ifItemEqual)
	case ifItemContains:
		for item := range vehicle.Items(text) {
			if strings.Contains(item, t.texts[0]) {
				return true
			}
		}
		return false
	case ifAfter:
		return text > t.texts[0]
	case ifBefore:
		return text < t.texts[0]
	}
	d, ok := readNumber(text)
	return ok && t.holdsNumber(d)
}

func (t *test) holdsNumber(d decimal.Decimal) bool {
	if t.how == ifAbove {
		return d.Cmp(t.limit) > 0
	}
	return d.Cmp(t.limit) < 0
}

func (t *test) among(text string) bool {
	if t.operator == In {
		_, found := slices.BinarySearch(t.texts, text)
		return found
	}
	return text == t.texts[0]
}

func (t *test) hasItem(list string) bool {
	for item := range vehicle.Items(list) {
		if t.among(item) {
			return true
		}
	}
	return false
}

// condition makes a test of a condition and adds its faults.
func (c *compiler) condition(pointer string, from Condition) (t test) {
	s, detail := subjectNamed(from.Field)
	if detail != "" {
		c.fault(pointer+"/field", detail)
	}
	known := detail == ""
	if known {
		c.use(s, pointer+"/field")
	}
	o := from.Operator
	switch {
	case !slices.Contains(allOperators, o):
		c.fault(pointer+"/operator", "must be one of "+joined(allOperators))
		return t
	case known && !o.fits(s):
		c.fault(pointer+"/operator", fmt.Sprintf("does not fit %s; use %s", s, fitting(s)))
		return t
	}
	value := ""
	if from.Value != nil {
		value = *from.Value
	}
	if o == IsEmpty || o == IsNotEmpty {
		if value != "" {
			c.fault(pointer+"/value", fmt.Sprintf("must be left out with %s", o))
		}
	} else if detail := valueDetail(o, value); detail != "" {
		c.fault(pointer+"/value", detail)
		return t
	}
	if !known {
		return t
	}
	t, detail = testOf(s, o, value, c.now)
	if detail != "" {
		c.fault(pointer+"/value", detail)
	}
	return t
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}

// valueDetail is what is wrong with a value whatever the field is.
func valueDetail(o Operator, value string) string {
	most := MaxValue
	if o == In {
		most = MaxLongValue
	}
	switch {
	case value == "":
		return fmt.Sprintf("is needed for %s", o)
	case utf8.RuneCountInString(value) > most:
		return fmt.Sprintf("must not be longer than %d characters", most)
	}
	return ""
}

// testOf makes a test of parts that fit each other. detail is what is wrong with the value.
func testOf(s subject, o Operator, value string, now time.Time) (t test, detail string) {
	t = test{subject: s, operator: o}
	list := s.kind() == vehicle.List
	switch o {
	case IsEmpty:
		t.how = ifEmpty
		return t, ""
	case IsNotEmpty:
		t.how = ifNotEmpty
		return t, ""
	case Contains:
		if t.how = ifContains; list {
			t.how = ifItemContains
		}
		t.texts = []string{value}
		return t, ""
	case GreaterThan, LessThan:
		return t.ordering(value, now)
	case NotEquals:
		if t.how = ifUnequal; list {
			t.how = ifNoItemEqual
		}
	default:
		if t.how = ifEqual; list {
			t.how = ifItemEqual
		}
	}
	if o != In {
		text, detail := equalTo(s, value, now)
		t.texts = []string{text}
		return t, detail
	}
	items := strings.Split(value, ",")
	if len(items) > MaxItems {
		return t, fmt.Sprintf("must not list more than %d values", MaxItems)
	}
	for i, item := range items {
		if item = strings.TrimSpace(item); item == "" {
			return t, fmt.Sprintf("must have a value before, between and after its commas; item %d is empty", i+1)
		}
		text, detail := equalTo(s, item, now)
		if detail != "" {
			return t, fmt.Sprintf("item %d %s", i+1, detail)
		}
		t.texts = append(t.texts, text)
	}
	slices.Sort(t.texts)
	return t, ""
}

// ordering completes a test of greater_than or less_than.
func (t test) ordering(value string, now time.Time) (test, string) {
	above := t.operator == GreaterThan
	if k := t.kind(); k == vehicle.Date || k == vehicle.Time {
		text, detail := vehicle.ReadText(t.field, value, now)
		t.texts = []string{text}
		if t.how = ifBefore; above {
			t.how = ifAfter
		}
		return t, detail
	}
	limit, ok := readNumber(value)
	if !ok {
		return t, mustBeNumber
	}
	t.limit = limit.Trim(0)
	if t.kind() == vehicle.Money && t.limit.Scale() < 2 {
		t.limit = t.limit.Pad(2) // amounts come with two places
	}
	if t.how = ifBelow; above {
		t.how = ifAbove
	}
	return t, ""
}

const mustBeNumber = "must be a plain number, as in 5000 or 19.99"

// equalTo is the canonical text that a value is equal to. Canonical texts are equal when the values are.
func equalTo(s subject, value string, now time.Time) (text, detail string) {
	switch k := s.kind(); {
	case isNumber(k):
		d, ok := readNumber(value)
		if !ok {
			return "", mustBeNumber
		}
		return numberText(s, d), ""
	case k == vehicle.Enum, k == vehicle.Bool, k == vehicle.Date, k == vehicle.Time, k == vehicle.ID:
		return vehicle.ReadText(s.field, value, now)
	}
	return value, ""
}

// numberText is the canonical text of a number, or for a number that no vehicle has there another text.
func numberText(s subject, d decimal.Decimal) string {
	places := 0
	if s.origin == ofField && s.kind() != vehicle.Int {
		places = 2
	}
	units, ok := number{d: d}.units(places, halfAway)
	if back, err := decimal.New(units, places); !ok || err != nil || back.Cmp(d) != 0 {
		return d.String()
	}
	return s.field.NumberText(units)
}
