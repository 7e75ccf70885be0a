package inventory

import (
	"bytes"
	"strconv"
	"time"

	"carfluence/internal/errs"
)

// SampleInput is a vehicle that is described for the sake of trying something out: read like a VehicleInput, but the VIN
// may be left out, and days_on_lot given.
type SampleInput struct{ raw []byte }

// UnmarshalJSON implements json.Unmarshaler. It only keeps the text: judging years needs a clock.
func (in *SampleInput) UnmarshalJSON(b []byte) error {
	in.raw = bytes.Clone(b)
	return nil
}

// Given tells whether there is a vehicle; null is none.
func (in SampleInput) Given() bool { return len(in.raw) > 0 && string(in.raw) != "null" }

const daysName = "days_on_lot"

// maxDays is the most days on lot that a sample may claim.
const maxDays = 100_000

// Read reads the vehicle as a new one would show it, before any rule. Faults are named by pointers below the given one.
func (in SampleInput) Read(pointer string, now time.Time) (Values, Ruling, []errs.Fault) {
	var v Values
	var about Ruling
	r := inputReader{now: now, pointer: pointer}
	err := eachMember(in.raw, func(name string, value []byte) {
		switch {
		case (name == "vin" || name == daysName) && string(value) == "null":
			return
		case name != daysName:
			r.member(name, value)
			return
		}
		days, err := strconv.ParseInt(string(value), 10, 64)
		if about.DaysOnLot = days; err != nil || days < 0 || days > maxDays {
			r.fault(pointer+"/"+name, "must be a whole number between 0 and "+strconv.Itoa(maxDays))
		}
	})
	if err != nil {
		r.fault(pointer, "must be an object that describes a vehicle")
	}
	v.Merge(&r.change, true)
	if v[Status] == "" {
		v[Status] = StatusActive
	}
	about.VIN = r.change.VIN
	return v, about, r.faults
}

// Sample is a vehicle of which only the values matter.
type Sample struct {
	VIN       string // "" when it has none
	DaysOnLot int64
	Values    Values
	Sensitive bool // show all fields
}

// MarshalJSON implements json.Marshaler: the members are those of a vehicle, written alike.
func (s Sample) MarshalJSON() ([]byte, error) {
	b := appendNullable([]byte(`{"vin":`), s.VIN)
	for f := range NumFields {
		if s.Sensitive || !fields[f].sensitive {
			b = appendValue(append(b, keys[f]...), f, s.Values[f])
		}
	}
	b = append(b, `,"days_on_lot":`...)
	b = strconv.AppendInt(b, s.DaysOnLot, 10)
	b = append(b, `,"vin_status":`...)
	if s.VIN == "" {
		return append(b, `null}`...), nil
	}
	status := (&Vehicle{VIN: s.VIN}).VINStatus()
	return append(appendString(b, string(status)), '}'), nil
}

// Changes are changed fields with their old and new values, as JSON.
type Changes string

// ChangesBetween are the fields in which two descriptions differ.
func ChangesBetween(before, after *Values) Changes {
	return Changes(appendChanges(nil, after.differ(before, true), before, after))
}

// Public leaves sensitive fields out; empty tells that nothing is left.
func (c Changes) Public() (kept Changes, empty bool) {
	text, empty := withoutSensitive(string(c))
	return Changes(text), empty
}

// MarshalJSON implements json.Marshaler.
func (c Changes) MarshalJSON() ([]byte, error) { return []byte(c), nil }

// JSON is a canonical text of the field as a vehicle shows it.
func (f Field) JSON(canonical string) []byte { return appendValue(nil, f, canonical) }
