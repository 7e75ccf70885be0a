package inventory

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Stored texts of vehicles: the list document, as lists show it, and the record, which holds all values.

// daysHere marks the place of days_on_lot in a list document: that number changes with the calendar alone and
// is put in when the page is made. JSON has no use for the byte.
const daysHere = 0x1f

// listed are the members of a list document between vin and days_on_lot.
var listed = [...]Field{StockNumber, Year, Make, Model, Trim, Price, InternetPrice, Mileage, ExteriorColor, InteriorColor, BodyStyle, Condition, Status}

var listedSet = SetOf(listed[:]...)

// keys are the members' names as they stand in an object: `,"make":`.
var keys = func() (k [NumFields]string) {
	for f := range NumFields {
		k[f] = `,"` + fields[f].name + `":`
	}
	return k
}()

// document appends the vehicle as lists show it, with daysHere in place of its days on lot until it is sold.
func (c calendar) document(b []byte, v *Vehicle) []byte {
	days := ""
	if v.Values[Status] == StatusSold {
		days = strconv.FormatInt(c.daysOnLot(v, v.SoldAt), 10)
	}
	return append(appendListed(b, v, days), '}')
}

// search is what a list's search looks through, a line each.
func (v *Vehicle) search() string { return searchText(v.VIN, &v.Values) }

func searchText(vin string, v *Values) string {
	return strings.ToLower(vin + "\n" + v[Make] + "\n" + v[Model] + "\n" + v[StockNumber])
}

// FoldSearch prepares a text to search for; ok is false when nothing can match.
func FoldSearch(text string) (folded string, ok bool) {
	folded = strings.ToLower(strings.TrimSpace(text))
	return folded, !strings.ContainsAny(folded, "\n\x00") && utf8.ValidString(text)
}

// appendListed appends an object of the members lists show, without its closing brace.
func appendListed(b []byte, v *Vehicle, days string) []byte {
	b = append(b, `{"vin":"`...)
	b = append(b, v.VIN...)
	b = append(b, '"')
	for _, f := range listed {
		b = append(b, keys[f]...)
		b = appendValue(b, f, v.Values[f])
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
	return appendString(b, string(v.VINStatus()))
}

// appendFull appends the whole vehicle, sensitive fields only if the caller may see them.
func appendFull(b []byte, v *Vehicle, p Provenance, days int64, sensitive bool) []byte {
	b = appendListed(b, v, strconv.FormatInt(days, 10))
	for f := range NumFields {
		if !listedSet.Has(f) && (sensitive || !fields[f].sensitive) {
			b = append(b, keys[f]...)
			b = appendValue(b, f, v.Values[f])
		}
	}
	b = append(b, `,"sold_at":`...)
	b = appendTime(b, v.SoldAt)
	b = append(b, `,"relisted_at":`...)
	b = appendTime(b, v.RelistedAt)
	b = append(b, `,"overrides":[`...)
	for _, o := range p.Overrides {
		if sensitive || !fields[o.Field].sensitive {
			b = o.append(separated(b))
		}
	}
	b = append(b, `],"rules":[`...)
	for _, r := range p.Rules {
		if sensitive || !fields[r.Field].sensitive {
			b = r.append(separated(b))
		}
	}
	return append(b, `]}`...)
}

func (o *Override) append(b []byte) []byte {
	b = appendString(append(b, `{"field":`...), o.Field.String())
	b = appendValue(append(b, `,"value":`...), o.Field, o.Value)
	b = appendValue(append(b, `,"source_value":`...), o.Field, o.Sources)
	b = append(b, `,"set_by":`...)
	if o.At.IsZero() {
		b = append(b, `null`...)
	} else {
		b = appendString(append(b, `{"type":`...), o.By.Type)
		b = appendString(append(b, `,"id":`...), o.By.ID)
		b = appendString(append(b, `,"name":`...), o.By.Name)
		b = append(b, '}')
	}
	return append(appendTime(append(b, `,"set_at":`...), o.At), '}')
}

func (r *RuleValue) append(b []byte) []byte {
	b = appendString(append(b, `{"field":`...), r.Field.String())
	b = appendString(append(b, `,"rule_id":`...), r.RuleID)
	b = appendNullable(append(b, `,"rule_name":`...), r.RuleName)
	return append(appendValue(append(b, `,"source_value":`...), r.Field, r.Sources), '}')
}

// appendValue appends a canonical text as its JSON value. Empty lists and maps are no nulls.
func appendValue(b []byte, f Field, value string) []byte {
	kind := fields[f].kind
	if value == "" {
		switch kind {
		case List:
			return append(b, `[]`...)
		case Map:
			return append(b, `{}`...)
		}
		return append(b, `null`...)
	}
	switch kind {
	case Int, Decimal, Bool, List, Map:
		return append(b, value...)
	case Money, Date, Time, Enum:
		b = append(b, '"')
		b = append(b, value...)
		return append(b, '"')
	}
	return appendString(b, value)
}

// AppendJSON appends a change as an object: vin and every field it speaks of, null where it erases, written as in
// a vehicle. Sensitive fields are among them.
func (c *Change) AppendJSON(b []byte) []byte {
	b = appendString(append(b, `{"vin":`...), c.VIN)
	for f := range NumFields {
		if c.Present.Has(f) {
			b = append(b, keys[f]...)
			b = appendValue(b, f, c.Values[f])
		}
	}
	return append(b, '}')
}

func appendNullable(b []byte, text string) []byte {
	if text == "" {
		return append(b, `null`...)
	}
	return appendString(b, text)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, `null`...)
	}
	b = append(b, '"')
	b = t.UTC().Truncate(time.Second).AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Broken UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[done:i]...)
				b = append(b, "\ufffd"...)
				done = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[done:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		done = i
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// appendRecord appends all values that are not null, as one object. The reverse is readRecord.
func appendRecord(b []byte, v *Values) []byte {
	b = append(b, '{')
	for f := range NumFields {
		if v[f] == "" {
			continue
		}
		key := keys[f]
		if len(b) > 0 && b[len(b)-1] == '{' {
			key = key[1:]
		}
		b = append(b, key...)
		b = appendValue(b, f, v[f])
	}
	return append(b, '}')
}

// readRecord reads what appendRecord wrote. Members of fields that no longer exist are dropped.
func readRecord(record string, v *Values) error {
	rest, next := record, Field(0)
	for len(rest) > 1 {
		rest = rest[1:] // the brace or comma before a member
		if rest == "" || rest[0] != '"' {
			break
		}
		end := stringEnd(rest)
		if end < 0 || end >= len(rest) || rest[end] != ':' {
			return fmt.Errorf("record is damaged: %.40q", rest)
		}
		name := rest[1 : end-1]
		for next < NumFields && fields[next].name != name {
			next++
		}
		f, known := next, next < NumFields
		if !known {
			f, known = byName[name]
			next = 0
		}
		rest = rest[end+1:]
		size := valueEnd(rest)
		if size <= 0 {
			return fmt.Errorf("record is damaged: %.40q", rest)
		}
		if known {
			v[f] = unquote(rest[:size])
		}
		rest = rest[size:]
	}
	if rest != "}" && record != "{}" {
		return fmt.Errorf("record is damaged: %.40q", record)
	}
	return nil
}

// stringEnd is the position after the string a text begins with, -1 when it has no end.
func stringEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd is the position after the JSON value a text begins with.
func valueEnd(s string) int {
	if s == "" {
		return -1
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			n := stringEnd(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
			if depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return -1
}

// unquote is the canonical text of a JSON value.
func unquote(raw string) string {
	if raw[0] != '"' {
		return raw
	}
	inner := raw[1 : len(raw)-1]
	for i := range len(inner) {
		if inner[i] == '\\' {
			var s string
			if json.Unmarshal([]byte(raw), &s) == nil {
				return s
			}
			break
		}
	}
	return inner
}

// items reads a list's canonical text.
func items(list string) []string {
	out := []string{}
	if list != "" {
		_ = json.Unmarshal([]byte(list), &out) // written by ListOf
	}
	return out
}

// appendChanges appends changed_fields: each field with its old and new value.
func appendChanges(b []byte, changed Set, old, new *Values) []byte {
	b = append(b, '{')
	for f := range NumFields {
		if !changed.Has(f) {
			continue
		}
		key := keys[f]
		if b[len(b)-1] == '{' {
			key = key[1:]
		}
		b = append(b, key...)
		b = append(b, `{"old":`...)
		b = appendValue(b, f, old[f])
		b = append(b, `,"new":`...)
		b = appendValue(b, f, new[f])
		b = append(b, '}')
	}
	return append(b, '}')
}

// withoutSensitive drops sensitive members from changed_fields; empty tells that nothing is left.
func withoutSensitive(changes string) (kept string, empty bool) {
	kept = membersOf(changes, func(f Field, known bool) bool { return !known || !fields[f].sensitive })
	return kept, kept == "{}"
}

// pick keeps the members of changed_fields that are about these fields.
func pick(changes string, set Set) string {
	return membersOf(changes, func(f Field, known bool) bool { return known && set.Has(f) })
}

// membersOf keeps the members of changed_fields that are asked for.
func membersOf(changes string, keep func(f Field, known bool) bool) string {
	b := []byte{'{'}
	rest := changes
	for len(rest) > 1 && rest[1] == '"' {
		rest = rest[1:]
		end := stringEnd(rest)
		size := -1
		if end > 0 {
			size = valueEnd(rest[end+1:])
		}
		if size < 0 {
			return "{}"
		}
		f, known := byName[rest[1:end-1]]
		if keep(f, known) {
			if len(b) > 1 {
				b = append(b, ',')
			}
			b = append(b, rest[:end+1+size]...)
		}
		rest = rest[end+1+size:]
	}
	return string(append(b, '}'))
}

// changedIn are the fields that changed_fields is about.
func changedIn(changes string) (set Set, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(changes), &members); err != nil {
		return set, fmt.Errorf("history is damaged: %w", err)
	}
	for name := range members {
		if f, ok := byName[name]; ok {
			set.Add(f)
		}
	}
	return set, nil
}

// undo takes changed_fields back: each field gets its old value.
func (v *Values) undo(changes string) error {
	var set map[string]struct {
		Old json.RawMessage `json:"old"`
	}
	if err := json.Unmarshal([]byte(changes), &set); err != nil {
		return fmt.Errorf("history is damaged: %w", err)
	}
	for name, c := range set {
		f, ok := byName[name]
		if !ok {
			continue
		}
		v[f] = ""
		if old := string(c.Old); old != "null" && old != "[]" && old != "{}" {
			v[f] = unquote(old)
		}
	}
	return nil
}
