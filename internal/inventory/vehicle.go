package inventory

import (
	"strconv"
	"strings"
	"time"

	"carfluence/internal/vin"
)

// Values hold one canonical text per field; "" is null.
type Values [NumFields]string

// Change is what a source says of one vehicle. A field that is not present is left alone; one that is
// present and empty is erased.
type Change struct {
	VIN     string // normalised
	Values  Values
	Present Set
	Line    int   // where it stands in the source's file, from 1; 0 without a file
	Hash    int64 // of the row as the source wrote it, to know it again (see Stock.Known); 0 never to

	derived Set // present only because another field's text says so
	denied  Set // where another field's text rules out what such a text alone may have said before
}

// Put sets a field to a canonical value, and what follows from it: a transmission's type and gears, the
// number of photos. An empty value does not take back what another field's text has said.
func (c *Change) Put(f Field, canonical string) {
	if canonical != "" || !c.derived.Has(f) {
		c.Values[f] = canonical
		c.Present.Add(f)
		c.derived.Remove(f)
	}
	switch f {
	case Transmission:
		kind, gears := transmissionOf(strings.ToLower(canonical))
		c.derive(TransmissionType, kind)
		c.derive(Gears, gears)
	case Photos:
		if n := len(items(canonical)); n > 0 {
			c.derive(PhotoCount, strconv.Itoa(n))
		}
	}
}

// derive sets a field that the source has not stated itself.
func (c *Change) derive(f Field, canonical string) {
	if canonical == "" || c.Present.Has(f) && c.Values[f] != "" && (!c.derived.Has(f) || c.Values[f] != False) {
		return
	}
	c.Values[f] = canonical
	c.Present.Add(f)
	c.derived.Add(f)
}

// Merge puts a change onto stored values and returns the fields it changed. Unless exact, what is equal by
// meaning keeps its stored text.
func (v *Values) Merge(c *Change, exact bool) (changed Set) {
	for f := range NumFields {
		if !c.Present.Has(f) || v[f] == c.Values[f] || fields[f].needed && c.Values[f] == "" && !exact {
			continue
		}
		if exact || !same(f, v[f], c.Values[f]) {
			changed.Add(f)
		}
	}
	v.forget(c, &changed)
	for f := range NumFields {
		if changed.Has(f) {
			v[f] = c.Values[f]
		}
	}
	return changed
}

// forget adds what followed from a value that is about to change, and that the change does not tell anew: gears
// of a transmission of another type, the number of other photos. What a text implied is forgotten only where it
// is what is stored; where it differs, somebody stated it.
func (v *Values) forget(c *Change, changed *Set) {
	drop := func(f Field) {
		if v[f] != "" && !c.Present.Has(f) {
			changed.Add(f) // c.Values has nothing there
		}
	}
	if changed.Has(Transmission) {
		kind, gears := transmissionOf(strings.ToLower(v[Transmission]))
		if v[TransmissionType] == kind {
			drop(TransmissionType)
		}
		if v[Gears] == gears {
			drop(Gears)
		}
	}
	if changed.Has(TransmissionType) {
		drop(Gears)
	}
	if changed.Has(Photos) {
		drop(PhotoCount)
	}
	if c.denied.Has(Disposition) && v[Disposition] == loanerWord {
		drop(Disposition)
	}
	if c.denied.Has(Certified) && v[Certified] == True {
		drop(Certified)
	}
	if changed.Has(Certified) && c.Values[Certified] != True {
		drop(CertifiedProgram)
	}
}

// differ is the set of fields in which two descriptions differ; unless exact, only those that differ by meaning.
func (v *Values) differ(other *Values, exact bool) (set Set) {
	for f := range NumFields {
		if v[f] != other[f] && (exact || !same(f, other[f], v[f])) {
			set.Add(f)
		}
	}
	return set
}

// same tells that two different texts of a field mean the same: letters count, not their case and blanks; a
// transmission is its type, and its gears where both tell them. Sources change such spellings overnight for a
// whole stock.
func same(f Field, a, b string) bool {
	switch {
	case a == "" || b == "":
		return false
	case f == Transmission:
		return sameText(a, b) || sameTransmission(strings.ToLower(a), strings.ToLower(b))
	}
	return fields[f].kind == Text && sameText(a, b)
}

func sameText(a, b string) bool {
	return strings.EqualFold(a, b) || strings.EqualFold(oneBlank(a), oneBlank(b))
}

func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }

func sameTransmission(a, b string) bool {
	kindA, gearsA := transmissionOf(a)
	kindB, gearsB := transmissionOf(b)
	return kindA != "" && kindA == kindB && (gearsA == gearsB || gearsA == "" || gearsB == "")
}

// Vehicle is one vehicle of the inventory, as it is shown.
type Vehicle struct {
	VIN                 string
	Values              Values
	SourceIntegrationID string // the integration that changed it last, "" when none ever did
	Overrides           Set    // fields set by PATCH, which win over every source until a PATCH to null releases them
	LotSince            Day    // from when days on lot are counted
	SoldAt              time.Time
	RelistedAt          time.Time // when it last came back after it was sold
	CreatedAt           time.Time
	UpdatedAt           time.Time
	records             []*record // what each source says of it
	entries             int64     // of history since it was created
	origin              string    // of its history: the first entry, as JSON
	made                string    // what rules and the merge change of what the sources' last changes give (see Writer.made)
}

// VINStatus is the verdict on the VIN.
func (v *Vehicle) VINStatus() vin.Status {
	if len(v.VIN) != vin.Length {
		return vin.Short
	}
	status, _ := vin.Check(v.VIN) // its structure was checked when it came in
	return status
}

// ChangeType is the sort of a history entry.
type ChangeType string

// The change types, as published.
const (
	Created      ChangeType = "created"
	PriceChange  ChangeType = "price_change"
	StatusChange ChangeType = "status_change"
	FieldUpdate  ChangeType = "field_update"
)

// Difference is a group of fields that changed together.
type Difference struct {
	Type   ChangeType
	Fields Set
}

// Diff groups changed fields as history shows them: money, status, everything else.
func Diff(changed Set) []Difference {
	var price, status, other Set
	for f := range NumFields {
		switch {
		case !changed.Has(f):
		case fields[f].kind == Money:
			price.Add(f)
		case f == Status:
			status.Add(f)
		default:
			other.Add(f)
		}
	}
	var out []Difference
	for _, d := range []Difference{{PriceChange, price}, {StatusChange, status}, {FieldUpdate, other}} {
		if !d.Fields.Empty() {
			out = append(out, d)
		}
	}
	return out
}

// Day is a calendar day, counted from 1970-01-01.
type Day int64

// DayOf is the day an instant falls on in a time zone.
func DayOf(t time.Time, zone *time.Location) Day {
	y, m, d := t.In(zone).Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// ParseDay reads YYYY-MM-DD.
func ParseDay(text string) (Day, bool) {
	t, err := time.Parse(time.DateOnly, text)
	return Day(t.Unix() / 86400), err == nil
}

// number reads a canonical Int; ok is false for null.
func number(canonical string) (n int64, ok bool) {
	n, err := strconv.ParseInt(canonical, 10, 64)
	return n, err == nil
}
