package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Entry is one entry of a vehicle's history. Its JSON form is that of a vehicle's origin.
type Entry struct {
	Type      ChangeType `json:"-"`
	Changes   string     `json:"-"` // changed_fields: JSON object of field to {"old","new"}
	Source    string     `json:"source"`
	ActorType string     `json:"actor_type"`
	ActorID   string     `json:"actor_id"`
	ActorName string     `json:"actor_name"`
	File      string     `json:"file"` // "" without one
	Line      int64      `json:"line"` // 0 without a file
	CreatedAt time.Time  `json:"-"`

	// Began is, in an origin, the record of what the vehicle began with, where it does not follow from the entries.
	Began json.RawMessage `json:"began,omitempty"`
	// Rules are, in an origin, what rules made of what the source said, in their order.
	Rules []ruledOrigin `json:"rules,omitempty"`
}

// ruledOrigin is what one rule changed when the vehicle was created.
type ruledOrigin struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Changes json.RawMessage `json:"changes"` // changed_fields
}

// History returns a vehicle's entries, oldest first. Sensitive fields, and entries about nothing else, are left
// out unless asked for.
func (s *Stock) History(ctx context.Context, t *sqldb.Tenant, vin string, sensitive bool) ([]Entry, error) {
	v, err := s.Get(ctx, t, vin, "")
	if err != nil {
		return nil, err
	}
	first, err := v.firstEntry()
	if err != nil {
		return nil, err
	}
	// Entries written since the vehicle was read would be undone on values that don't hold them yet.
	all, err := selectHistory(ctx, t, vin, v.entries)
	if err != nil {
		return nil, err
	}
	began, err := v.began(&first, all)
	if err != nil {
		return nil, err
	}
	beginning, err := first.beginning(&began)
	if err != nil {
		return nil, err
	}
	all = append(beginning, all...)
	if sensitive {
		return all, nil
	}
	shown := all[:0]
	for _, e := range all {
		kept, empty := vehicle.WithoutSensitive(e.Changes)
		if e.Changes = kept; !empty || e.Type == Created {
			shown = append(shown, e)
		}
	}
	return shown, nil
}

func (v *Vehicle) firstEntry() (Entry, error) {
	e := Entry{Type: Created, CreatedAt: v.CreatedAt}
	if err := json.Unmarshal([]byte(v.origin), &e); err != nil {
		return e, fmt.Errorf("origin of %s is damaged: %w", v.VIN, err)
	}
	return e, nil
}

// began is what the vehicle began with: what is written down, else its values without all entries.
func (v *Vehicle) began(origin *Entry, all []Entry) (vehicle.Values, error) {
	if len(origin.Began) > 0 {
		var began vehicle.Values
		return began, began.ReadJSON(string(origin.Began))
	}
	values := v.Values
	for i := len(all) - 1; i >= 0; i-- {
		if err := values.Undo(all[i].Changes); err != nil {
			return values, err
		}
	}
	return values, nil
}

// beginning is what the history begins with: what the source said, and what rules made of it.
func (e Entry) beginning(began *vehicle.Values) ([]Entry, error) {
	list := []Entry{e}
	raw := *began
	for _, rule := range e.Rules {
		if err := raw.Undo(string(rule.Changes)); err != nil {
			return nil, err
		}
		set, err := vehicle.ChangedIn(string(rule.Changes))
		if err != nil {
			return nil, err
		}
		for _, d := range Diff(set) {
			by := e
			by.Type, by.Source, by.ActorType, by.ActorID, by.ActorName = d.Type, sourceRule, sourceRule, rule.ID, rule.Name
			by.Changes = vehicle.Pick(string(rule.Changes), d.Fields)
			list = append(list, by)
		}
	}
	list[0].Changes = createdChanges(&raw)
	return list, nil
}

// keepBeginning writes down what a vehicle began with, before a change that leaves no entry.
func (w *Writer) keepBeginning(ctx context.Context, v, was *Vehicle) error {
	origin, err := v.firstEntry()
	if err != nil || len(origin.Began) > 0 {
		return err
	}
	all, err := selectHistory(ctx, w.tx, v.VIN, v.entries)
	if err != nil {
		return err
	}
	values, err := was.began(&origin, all)
	if err != nil {
		return err
	}
	origin.Began = values.AppendJSON(nil)
	text, err := json.Marshal(origin)
	v.origin = string(text)
	return err
}

// origin is what the first entry of a vehicle's history says beside what it began with.
func (w *Writer) origin(v *Vehicle, l *look, line int) string {
	a := &w.authors.self
	b := append(w.scratch[:0], `{"source":`...)
	b = vehicle.AppendString(b, a.source)
	b = append(b, `,"actor_type":`...)
	b = vehicle.AppendString(b, a.actorType)
	b = append(b, `,"actor_id":`...)
	b = vehicle.AppendString(b, a.actorID)
	b = append(b, `,"actor_name":`...)
	b = vehicle.AppendString(b, a.actorName)
	b = append(b, `,"file":`...)
	b = vehicle.AppendString(b, a.file)
	b = append(b, `,"line":`...)
	b = strconv.AppendInt(b, int64(line), 10)
	if !l.rules.Empty() {
		b = w.appendRuled(append(b, `,"rules":[`...), v, l)
		b = append(b, ']')
	}
	w.scratch = append(b, '}')
	return string(w.scratch)
}

// appendRuled appends what each rule made of a new vehicle.
func (w *Writer) appendRuled(b []byte, v *Vehicle, l *look) []byte {
	rest := l.rules
	for f := range vehicle.NumFields {
		if !rest.Has(f) {
			continue
		}
		var set vehicle.Fields
		for g := f; g < vehicle.NumFields; g++ {
			if rest.Has(g) && w.ruling.By[g] == w.ruling.By[f] {
				set.Add(g)
				rest.Remove(g)
			}
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		name := w.rules.Names[w.ruling.By[f]]
		b = vehicle.AppendString(append(b, `{"id":`...), name.ID)
		b = vehicle.AppendString(append(b, `,"name":`...), name.Name)
		b = vehicle.AppendChanges(append(b, `,"changes":`...), set, &l.sources, &v.Values)
		b = append(b, '}')
	}
	return b
}

// createdChanges is changed_fields of a vehicle's first entry: what it began with.
func createdChanges(began *vehicle.Values) string {
	var set vehicle.Fields
	for f := range vehicle.NumFields {
		if began[f] != "" {
			set.Add(f)
		}
	}
	return string(vehicle.AppendChanges(nil, set, &vehicle.Values{}, began))
}

// appendHistory appends the entries as a JSON array.
func appendHistory(b []byte, entries []Entry) []byte {
	b = append(b, '[')
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"change_type":`...)
		b = vehicle.AppendString(b, string(e.Type))
		b = append(b, `,"changed_fields":`...)
		b = append(b, e.Changes...)
		b = append(b, `,"source":`...)
		b = vehicle.AppendString(b, e.Source)
		b = append(b, `,"actor_type":`...)
		b = appendNullable(b, e.ActorType)
		b = append(b, `,"actor_id":`...)
		b = appendNullable(b, e.ActorID)
		b = append(b, `,"actor_name":`...)
		b = appendNullable(b, e.ActorName)
		b = append(b, `,"file":`...)
		b = appendNullable(b, e.File)
		b = append(b, `,"line":`...)
		if e.Line == 0 {
			b = append(b, `null`...)
		} else {
			b = strconv.AppendInt(b, e.Line, 10)
		}
		b = append(b, `,"created_at":`...)
		b = appendTime(b, e.CreatedAt)
		b = append(b, '}')
	}
	return append(b, ']')
}
