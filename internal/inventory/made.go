package inventory

import (
	"encoding/json"
	"fmt"

	"carfluence/internal/vehicle"
)

// What a vehicle shows is stored as its records and, beside them, where it differs from what their last changes give:
// what rules have set, and where the merge believes somebody else. So the stored view can be restored however rules
// and merges have changed since.

// madeValue is what a field shows beside what the records give.
type madeValue struct {
	Value *string `json:"value"` // canonical, null for none
	Rule  string  `json:"rule"`  // id of the rule that set it, "" for the merge
}

// made encodes what differs between what the vehicle shows and what its records give plainly; "" for nothing.
func (w *Writer) made(v *Vehicle, plain *vehicle.Values, rules vehicle.Fields) string {
	if v.Values == *plain {
		return ""
	}
	b := append(w.scratch[:0], '{')
	for f := range vehicle.NumFields {
		if v.Values[f] == plain[f] {
			continue
		}
		b = vehicle.AppendKey(b, f)
		b = append(b, `{"value":`...)
		b = appendNullable(b, v.Values[f])
		b = append(b, `,"rule":`...)
		rule := ""
		if rules.Has(f) {
			rule = w.rules.Names[w.ruling.By[f]].ID
		}
		b = append(vehicle.AppendString(b, rule), '}')
	}
	w.scratch = append(b, '}')
	return string(w.scratch)
}

func readMade(text string) (map[string]madeValue, error) {
	if text == "" {
		return nil, nil
	}
	var made map[string]madeValue
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		return nil, fmt.Errorf("what is shown is damaged: %w", err)
	}
	return made, nil
}

// remake puts what was made over what the records give.
func remake(v *vehicle.Values, text string) error {
	made, err := readMade(text)
	for name, m := range made {
		if f, ok := vehicle.FieldNamed(name); ok {
			v[f] = ""
			if m.Value != nil {
				v[f] = *m.Value
			}
		}
	}
	return err
}
