package inventory

import (
	"bytes"
	"strconv"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
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

// Read reads the vehicle as a new one would show it, before any rule. Faults are named by pointers below the given one.
func (in SampleInput) Read(pointer string, now time.Time) (vehicle.Values, vehicle.Ruling, []errs.Fault) {
	return vehicle.ReadSample(in.raw, pointer, now)
}

// Sample is a vehicle of which only the values matter.
type Sample struct {
	VIN       string // "" when it has none
	DaysOnLot int64
	Values    vehicle.Values
	Sensitive bool // show all fields
}

// MarshalJSON implements json.Marshaler: the members are those of a vehicle, written alike.
func (s Sample) MarshalJSON() ([]byte, error) {
	b := appendNullable([]byte(`{"vin":`), s.VIN)
	for f := range vehicle.NumFields {
		if s.Sensitive || !f.Sensitive() {
			b = vehicle.AppendValue(vehicle.AppendKey(b, f), f, s.Values[f])
		}
	}
	b = append(b, `,"days_on_lot":`...)
	b = strconv.AppendInt(b, s.DaysOnLot, 10)
	b = append(b, `,"vin_status":`...)
	if s.VIN == "" {
		return append(b, `null}`...), nil
	}
	status := (&Vehicle{VIN: s.VIN}).VINStatus()
	return append(vehicle.AppendString(b, string(status)), '}'), nil
}

// Changes are changed fields with their old and new values, as JSON.
type Changes string

// ChangesBetween are the fields in which two descriptions differ.
func ChangesBetween(before, after *vehicle.Values) Changes {
	return Changes(vehicle.AppendChanges(nil, after.Differ(before, true), before, after))
}

// Public leaves sensitive fields out; empty tells that nothing is left.
func (c Changes) Public() (kept Changes, empty bool) {
	text, empty := vehicle.WithoutSensitive(string(c))
	return Changes(text), empty
}

// MarshalJSON implements json.Marshaler.
func (c Changes) MarshalJSON() ([]byte, error) { return []byte(c), nil }
