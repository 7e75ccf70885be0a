package vehicle

import (
	"encoding/json"
	"fmt"
)

// What changed of a vehicle is a JSON object, changed_fields on the wire: each changed field with its old and new value.

// AppendChanges appends changed_fields: each field with its old and new value.
func AppendChanges(b []byte, changed Fields, old, new *Values) []byte {
	b = append(b, '{')
	for f := range NumFields {
		if !changed.Has(f) {
			continue
		}
		b = AppendKey(b, f)
		b = append(b, `{"old":`...)
		b = AppendValue(b, f, old[f])
		b = append(b, `,"new":`...)
		b = AppendValue(b, f, new[f])
		b = append(b, '}')
	}
	return append(b, '}')
}

// WithoutSensitive drops sensitive members from changed_fields; empty tells that nothing is left.
func WithoutSensitive(changes string) (kept string, empty bool) {
	kept = membersOf(changes, func(f Field, known bool) bool { return !known || !fields[f].sensitive })
	return kept, kept == "{}"
}

// Pick keeps the members of changed_fields, or of another object by field, that are about these fields.
func Pick(object string, set Fields) string {
	return membersOf(object, func(f Field, known bool) bool { return known && set.Has(f) })
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

// ChangedIn are the fields that changed_fields is about.
func ChangedIn(changes string) (set Fields, err error) {
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

// Undo takes changed_fields back: each field gets its old value.
func (v *Values) Undo(changes string) error {
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
