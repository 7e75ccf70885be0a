package rule

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"carfluence/internal/vehicle"
)

// subject is what a condition looks at or an action sets.
type subject struct {
	origin origin
	field  vehicle.Field // ofField, and Custom for ofCustom
	name   string        // ofCustom: the property
}

type origin uint8

const (
	ofField origin = iota
	ofCustom
	ofVIN
	ofDays
)

// subjectNamed finds what a name on the wire means. detail is what is wrong with it.
func subjectNamed(name string) (s subject, detail string) {
	switch name {
	case "":
		return s, "must name a field of vehicles, as in price"
	case vinName:
		return subject{origin: ofVIN}, ""
	case daysName:
		return subject{origin: ofDays}, ""
	}
	if property, ok := strings.CutPrefix(name, customName+"."); ok {
		if strings.TrimSpace(property) == "" || utf8.RuneCountInString(property) > vehicle.MaxCustomName {
			return s, fmt.Sprintf("must name a property of 1 to %d characters after custom.", vehicle.MaxCustomName)
		}
		return subject{origin: ofCustom, field: vehicle.Custom, name: property}, ""
	}
	f, ok := vehicle.FieldNamed(name)
	if !ok {
		return s, noField(name)
	}
	return subject{field: f}, ""
}

func (s subject) String() string {
	switch s.origin {
	case ofCustom:
		return customField(s.name)
	case ofVIN:
		return vinName
	case ofDays:
		return daysName
	}
	return s.field.String()
}

// kind is the kind of the subject's texts.
func (s subject) kind() vehicle.Kind {
	switch s.origin {
	case ofCustom, ofVIN:
		return vehicle.Text
	case ofDays:
		return vehicle.Int
	}
	return s.field.Kind()
}

// text is the subject's canonical text of a vehicle, "" when it is empty.
func (s *subject) text(v *scene) string {
	switch s.origin {
	case ofCustom:
		return v.property(s.name)
	case ofVIN:
		return v.ruling.VIN
	case ofDays:
		return strconv.FormatInt(v.ruling.DaysOnLot, 10)
	}
	return v.values[s.field]
}

func isNumber(k vehicle.Kind) bool {
	return k == vehicle.Int || k == vehicle.Money || k == vehicle.Decimal
}
