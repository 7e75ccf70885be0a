package vehicle

import (
	"fmt"

	"carfluence/internal/money"
)

// Schema is the JSON schema of what Read reads.
func Schema() map[string]any {
	s := inputSchema("A vehicle: vin and one more member at least. Null and absent are the same for a new vehicle; for a known one, null clears and absent leaves alone.", false)
	s["required"] = []string{"vin"}
	s["minProperties"] = 2
	return s
}

// PatchSchema is the JSON schema of what ReadPatch reads.
func PatchSchema() map[string]any {
	return inputSchema("What to change of a vehicle (RFC 7396): null clears, absent leaves alone.", true)
}

// SampleSchema is the JSON schema of what ReadSample reads.
func SampleSchema() map[string]any {
	s := inputSchema("A vehicle to try something out with. Null and absent are the same.", false)
	properties := s["properties"].(map[string]any)
	properties[daysName] = map[string]any{"type": []string{"integer", "null"}, "minimum": 0, "maximum": maxDays, "description": "0 unless given, whatever date_in_stock says.", "example": 91}
	return s
}

// Schema is the JSON schema of the field as a vehicle shows it.
func (f Field) Schema() map[string]any { return fieldSchema(f, false) }

func inputSchema(text string, patch bool) map[string]any {
	properties := map[string]any{"vin": vinSchema()}
	for f := range NumFields {
		s := fieldSchema(f, true)
		if fields[f].needed && patch {
			s["type"], s["enum"] = []string{"string", "null"}, append(enumOf(f), nil)
			s["description"] = "Null releases the override: the value stays until a source tells another."
		}
		if f == Custom && patch {
			s["additionalProperties"] = map[string]any{"type": []string{"string", "null"}, "maxLength": fields[f].max}
		}
		properties[fields[f].name] = s
	}
	return map[string]any{"type": "object", "description": text, "additionalProperties": false, "properties": properties}
}

func vinSchema() map[string]any {
	return map[string]any{"type": "string", "example": "1FTEW1EF8HFA85881", "description": "The vehicle identification number. Blanks, dashes and lower case are corrected; " +
		"a wrong check digit is accepted and shown in vin_status, any other character than 0-9 and A-Z without I, O, Q is not."}
}

// fieldSchema is the JSON schema of a field, as sent (input) or as shown.
func fieldSchema(f Field, input bool) map[string]any {
	spec := &fields[f]
	s := map[string]any{}
	if text := f.description(); text != "" {
		s["description"] = text
	}
	kindSchema(f, input, s)
	if spec.example != "" {
		s["example"] = rawJSON(spec.example)
	}
	return s
}

func (f Field) description() string {
	text := fields[f].doc
	if fields[f].sensitive {
		text += " Shown to administrators only."
	}
	return text
}

// rawJSON is text that is JSON already.
type rawJSON string

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func kindSchema(f Field, input bool, s map[string]any) {
	spec := &fields[f]
	nullable := func(kind string) any {
		if spec.needed {
			return kind
		}
		return []string{kind, "null"}
	}
	s["type"] = nullable("string")
	switch spec.kind {
	case Int:
		s["type"], s["minimum"], s["maximum"] = nullable("integer"), spec.low, spec.high
	case Decimal:
		s["type"], s["minimum"], s["maximum"] = nullable("number"), rawJSON(litresText(spec.low)), rawJSON(litresText(spec.high))
	case Bool:
		s["type"] = nullable("boolean")
	case Money:
		moneySchema(f, input, s)
	case Enum:
		s["enum"] = enumOf(f)
	case Date:
		s["format"] = "date"
	case Time:
		s["format"] = "date-time"
	case ID:
		s["format"] = "uuid"
	case URL:
		s["format"], s["maxLength"] = "uri", f.limit()
	case List:
		s["type"], s["items"], s["maxItems"] = listType(input), map[string]any{"type": "string", "maxLength": spec.max}, spec.items
	case Map:
		s["type"], s["additionalProperties"] = mapType(input), map[string]any{"type": "string", "maxLength": spec.max}
	case Text:
		s["maxLength"] = f.limit()
	}
}

func moneySchema(f Field, input bool, s map[string]any) {
	if !input {
		s["pattern"] = `^\d+\.\d\d$`
		return
	}
	delete(s, "type")
	s["anyOf"] = []any{
		map[string]any{"type": "string", "pattern": `^\d+(\.\d{1,2}0*)?$`},
		map[string]any{"type": "number", "minimum": rawJSON(money.FromCents(fields[f].low).String()), "maximum": rawJSON(money.FromCents(f.top()).String())},
		map[string]any{"type": "null"},
	}
	s["description"] = fmt.Sprintf("%s Read exactly, at most two decimals, up to %s.", f.description(), money.FromCents(f.top()))
}

func enumOf(f Field) []any {
	var words []any
	for _, w := range fields[f].words {
		words = append(words, w)
	}
	if !fields[f].needed {
		words = append(words, nil)
	}
	return words
}

// Lists and maps are shown empty rather than null, but null clears them.
func listType(input bool) any {
	if input {
		return []string{"array", "null"}
	}
	return "array"
}

func mapType(input bool) any {
	if input {
		return []string{"object", "null"}
	}
	return "object"
}
