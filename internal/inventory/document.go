package inventory

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"carfluence/internal/vehicle"
)

// Stored texts of vehicles: the list document, as lists show it, and the record, which holds all values.

// daysHere marks the place of days_on_lot in a list document: that number changes with the calendar alone and
// is put in when the page is made. JSON has no use for the byte.
const (
	daysHere = 0x1f
	daysMark = "\x1f"
)

// documentStart is what a document begins with, before its VIN.
const documentStart = `{"vin":"`

// listed are the members of a list document between vin and days_on_lot.
var listed = [...]vehicle.Field{
	vehicle.StockNumber, vehicle.Year, vehicle.Make, vehicle.Model, vehicle.Trim, vehicle.Price, vehicle.InternetPrice, vehicle.Mileage,
	vehicle.ExteriorColor, vehicle.InteriorColor, vehicle.BodyStyle, vehicle.Condition, vehicle.Status,
}

var listedSet = vehicle.FieldsOf(listed[:]...)

// document appends the vehicle as lists show it, with daysHere in place of its days on lot until it is sold.
func (c calendar) document(b []byte, v *Vehicle) []byte {
	days := ""
	if v.Values[vehicle.Status] == vehicle.StatusSold {
		days = strconv.FormatInt(c.daysOnLot(v, v.SoldAt), 10)
	}
	return append(appendListed(b, v, days), '}')
}

// search is what a list's search looks through, a line each.
func (v *Vehicle) search() string { return searchText(v.VIN, &v.Values) }

func searchText(vin string, v *vehicle.Values) string {
	return strings.ToLower(vin + "\n" + v[vehicle.Make] + "\n" + v[vehicle.Model] + "\n" + v[vehicle.StockNumber])
}

// FoldSearch prepares a text to search for; ok is false when nothing can match.
func FoldSearch(text string) (folded string, ok bool) {
	folded = strings.ToLower(strings.TrimSpace(text))
	return folded, !strings.ContainsAny(folded, "\n\x00") && utf8.ValidString(text)
}

// appendListed appends an object of the members lists show, without its closing brace.
func appendListed(b []byte, v *Vehicle, days string) []byte {
	b = append(b, documentStart...)
	b = append(b, v.VIN...)
	b = append(b, '"')
	for _, f := range listed {
		b = vehicle.AppendValue(vehicle.AppendKey(b, f), f, v.Values[f])
	}
	b = append(b, `,"days_on_lot":`...)
	if days == "" {
		b = append(b, daysHere)
	}
	b = append(b, days...)
	b = append(b, `,"source_integration_id":`...)
	b = appendNullable(b, v.SourceIntegrationID)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, v.CreatedAt)
	b = append(b, `,"updated_at":`...)
	b = appendTime(b, v.UpdatedAt)
	b = append(b, `,"vin_status":`...)
	return vehicle.AppendString(b, string(v.VINStatus()))
}

// appendFull appends the whole vehicle, sensitive fields only if the caller may see them.
func appendFull(b []byte, v *Vehicle, p Provenance, days int64, sensitive bool) []byte {
	b = appendListed(b, v, strconv.FormatInt(days, 10))
	for f := range vehicle.NumFields {
		if !listedSet.Has(f) && (sensitive || !f.Sensitive()) {
			b = vehicle.AppendValue(vehicle.AppendKey(b, f), f, v.Values[f])
		}
	}
	b = append(b, `,"sold_at":`...)
	b = appendTime(b, v.SoldAt)
	b = append(b, `,"relisted_at":`...)
	b = appendTime(b, v.RelistedAt)
	b = append(b, `,"overrides":[`...)
	for _, o := range p.Overrides {
		if sensitive || !o.Field.Sensitive() {
			b = o.append(separated(b))
		}
	}
	b = append(b, `],"rules":[`...)
	for _, r := range p.Rules {
		if sensitive || !r.Field.Sensitive() {
			b = r.append(separated(b))
		}
	}
	return append(b, `]}`...)
}

func (o *Override) append(b []byte) []byte {
	b = vehicle.AppendString(append(b, `{"field":`...), o.Field.String())
	b = vehicle.AppendValue(append(b, `,"value":`...), o.Field, o.Value)
	b = vehicle.AppendValue(append(b, `,"source_value":`...), o.Field, o.Sources)
	b = append(b, `,"set_by":`...)
	if o.At.IsZero() {
		b = append(b, `null`...)
	} else {
		b = vehicle.AppendString(append(b, `{"type":`...), o.By.Type)
		b = vehicle.AppendString(append(b, `,"id":`...), o.By.ID)
		b = vehicle.AppendString(append(b, `,"name":`...), o.By.Name)
		b = append(b, '}')
	}
	return append(appendTime(append(b, `,"set_at":`...), o.At), '}')
}

func (r *RuleValue) append(b []byte) []byte {
	b = vehicle.AppendString(append(b, `{"field":`...), r.Field.String())
	b = vehicle.AppendString(append(b, `,"rule_id":`...), r.RuleID)
	b = appendNullable(append(b, `,"rule_name":`...), r.RuleName)
	return append(vehicle.AppendValue(append(b, `,"source_value":`...), r.Field, r.Sources), '}')
}

func appendNullable(b []byte, text string) []byte {
	if text == "" {
		return append(b, `null`...)
	}
	return vehicle.AppendString(b, text)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, `null`...)
	}
	b = append(b, '"')
	b = t.UTC().Truncate(time.Second).AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

// appendMembers appends an object with the VIN and the named members of an encoded vehicle, in its order.
func appendMembers(b, object []byte, names []string) []byte {
	b = append(b, '{')
	for name, value := range members(object) {
		if string(name) == "vin" || slices.Contains(names, string(name)) {
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), name...), `":`...)
			b = append(b, value...)
		}
	}
	return append(b, '}')
}

// members are those of an encoded vehicle, whose names have no escapes.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := object[1:]; len(rest) > 1; {
			name, after, _ := bytes.Cut(rest[1:], []byte{'"'})
			end := valueEnd(after)
			if !yield(name, after[1:end]) {
				return
			}
			rest = bytes.TrimPrefix(after[end:], []byte{','})
		}
	}
}

// valueEnd is where the value at the beginning of a text, and the colon before it, end.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}
