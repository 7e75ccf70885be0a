package vehicle

import (
	"strconv"
	"strings"
)

// Values hold one canonical text per field; "" is null.
type Values [NumFields]string

// Change is what a source says of one vehicle. A field that is not present is left alone; one that is
// present and empty is erased.
type Change struct {
	VIN     string // normalised
	Values  Values
	Present Fields
	Line    int   // where it stands in the source's file, from 1; 0 without a file
	Hash    int64 // of the row as the source wrote it, by which the row is known again; 0 for none

	derived Fields // present only because another field's text says so
	denied  Fields // where another field's text rules out what such a text alone may have said before
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
func (v *Values) Merge(c *Change, exact bool) (changed Fields) {
	for f := range NumFields {
		if !c.Present.Has(f) || v[f] == c.Values[f] || fields[f].needed && c.Values[f] == "" && !exact {
			continue
		}
		if exact || !f.Same(v[f], c.Values[f]) {
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
func (v *Values) forget(c *Change, changed *Fields) {
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

// Differ is the set of fields in which two descriptions differ; unless exact, only those that differ by meaning.
func (v *Values) Differ(other *Values, exact bool) (set Fields) {
	for f := range NumFields {
		if v[f] != other[f] && (exact || !f.Same(other[f], v[f])) {
			set.Add(f)
		}
	}
	return set
}

// Same tells that two different texts of a field mean the same: letters count, not their case and blanks; a
// transmission is its type, and its gears where both tell them. Sources change such spellings overnight for a
// whole stock.
func (f Field) Same(a, b string) bool {
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

// Add puts a later change of the same vehicle on top, as if they came one after the other.
func (c *Change) Add(later *Change) {
	changed := c.Values.Merge(later, true)
	for f := range NumFields {
		if later.Present.Has(f) || changed.Has(f) {
			c.Present.Add(f)
			c.derived.Remove(f)
		}
		if later.derived.Has(f) {
			c.derived.Add(f)
		}
	}
	if later.Present.Has(Condition) {
		c.denied = later.denied
	}
	c.Line, c.Hash = later.Line, 0
}

// Onto completes a patch by what is stored: RFC 7396 reaches into objects, so a patch of custom is a change of
// its members. Call it before merging a change that ReadPatch has read.
func (c *Change) Onto(stored *Values) {
	if patch := c.Values[Custom]; c.Present.Has(Custom) && patch != "" {
		c.Values[Custom] = mergeMap(stored[Custom], patch)
	}
}
