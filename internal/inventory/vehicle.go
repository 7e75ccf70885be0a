package inventory

import (
	"strconv"
	"time"

	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

// Vehicle is one vehicle of the inventory, as it is shown.
type Vehicle struct {
	VIN                 string
	Values              vehicle.Values
	SourceIntegrationID string         // the integration that changed it last, "" when none ever did
	Overrides           vehicle.Fields // fields set by PATCH, which win over every source until a PATCH to null releases them
	LotSince            Day            // from when days on lot are counted
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
	Fields vehicle.Fields
}

// Diff groups changed fields as history shows them: money, status, everything else.
func Diff(changed vehicle.Fields) []Difference {
	var price, status, other vehicle.Fields
	for f := range vehicle.NumFields {
		switch {
		case !changed.Has(f):
		case f.Kind() == vehicle.Money:
			price.Add(f)
		case f == vehicle.Status:
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

// String is YYYY-MM-DD.
func (d Day) String() string { return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly) }

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
