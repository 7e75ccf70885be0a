package mapping

import (
	"encoding/json"

	"carfluence/internal/vehicle"
)

// Hidden are columns whose values only administrators may see; nil hides nothing.
type Hidden map[string]bool

// HiddenIn finds the columns of a file that feed costs.
func HiddenIn(header []string, o Options) Hidden {
	h := Hidden{}
	for _, t := range mapHeader(header, nil, o).targets {
		for _, c := range t.columns {
			if t.field.Sensitive() {
				h[c.name] = true
			}
		}
	}
	return h
}

// Redact is a problem as it may be shown.
func (h Hidden) Redact(p Problem) Problem {
	if h[p.Column] {
		p.Value, p.Reason = "", "the value can't be read"
	}
	return p
}

// Redact hides from those who are no administrators what columns of costs hold, and columns nobody knows: floor plans,
// memos, customers.
func (p *Preview) Redact() {
	hidden := map[string]bool{}
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.sensitive() {
			hidden[c.Name], c.Samples = true, []string{}
		}
	}
	for i := range p.Rows {
		row := &p.Rows[i]
		for name := range hidden {
			delete(row.Before, name)
		}
		row.After = withoutSensitive(row.After)
		kept := row.Problems[:0]
		for _, problem := range row.Problems {
			if hidden[problem.Column] {
				problem.Value, problem.Reason = "", "hidden"
			}
			kept = append(kept, problem)
		}
		row.Problems = kept
	}
}

func (c *PreviewColumn) sensitive() bool {
	if c.Target == "" && c.Suggestion == nil {
		return true
	}
	names := append([]string{c.Target}, c.Also...)
	if c.Suggestion != nil {
		names = append(names, c.Suggestion.Field)
	}
	for _, name := range names {
		if f, ok := vehicle.FieldNamed(name); ok && f.Sensitive() {
			return true
		}
	}
	return false
}

func withoutSensitive(shown json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(shown, &members) != nil || members == nil {
		return shown
	}
	for name := range members {
		if f, ok := vehicle.FieldNamed(name); ok && f.Sensitive() {
			delete(members, name)
		}
	}
	out, err := json.Marshal(members)
	if err != nil { // made of parsed JSON
		return nil
	}
	return out
}
