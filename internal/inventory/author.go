package inventory

import (
	"cmp"
	"context"
	"slices"

	"carfluence/internal/vehicle"
)

// author is whom an entry of the history names.
type author struct{ source, actorType, actorID, actorName, file string }

// What the history calls a change that a rule made, and one that uncovers what an integration had said that is deleted now.
const (
	sourceRule        = "rule"
	sourceIntegration = "integration"
)

// authors are those a writer has named so far.
type authors struct {
	self    author
	rules   map[int32]*author
	sources map[string]*author
	names   map[string]IntegrationName
}

// IntegrationName is how history calls an integration.
type IntegrationName struct{ Type, Name string }

// part are changed fields that have one author.
type part struct {
	by     *author
	fields vehicle.Fields
}

// credit divides changed fields by who gave what is shown now: the writer's own source, which also empties fields, another
// source, a rule.
func (w *Writer) credit(ctx context.Context, v, was *Vehicle, l *look, changed vehicle.Fields) ([]part, error) {
	parts := []part{{by: &w.authors.self}}
	for f := range vehicle.NumFields {
		if !changed.Has(f) {
			continue
		}
		by := &w.authors.self
		giver := l.from[f]
		switch {
		case f == vehicle.Custom && len(v.records) > 1:
			giver = propertyGiver(w.merge.order(v.records), was.Values[f], v.Values[f])
		case f == vehicle.Status && w.turned(v):
			giver = nil
		}
		switch {
		case l.rules.Has(f) && (f != vehicle.Custom || l.rulesCustom(&was.Values, &v.Values)):
			by = w.ruleAuthor(w.ruling.By[f])
		case giver != nil && giver.source != w.from.id():
			var err error
			if by, err = w.sourceAuthor(ctx, giver.source); err != nil {
				return nil, err
			}
		}
		i := slices.IndexFunc(parts, func(p part) bool { return p.by == by })
		if i < 0 {
			i = len(parts)
			parts = append(parts, part{by: by})
		}
		parts[i].fields.Add(f)
	}
	return parts, nil
}

// propertyGiver is the first record that gives a custom property its new value; nil when some have only gone.
func propertyGiver(order []*record, was, is string) *record {
	old, now := properties(was), properties(is)
	for _, r := range order {
		for name, value := range properties(r.values[vehicle.Custom]) {
			if now[name] == value && old[name] != value {
				return r
			}
		}
	}
	return nil
}

// turned tells that the writer's own integration has just turned its vehicle to the status that it shows.
func (w *Writer) turned(v *Vehicle) bool {
	r := v.own(w.from.id())
	return r != nil && r.integration() && r.status() != r.storedStatus && r.status() == v.Values[vehicle.Status]
}

// rulesCustom tells that some custom property which has changed shows something else than the sources say: what rules have set
// stands beside what sources say.
func (l *look) rulesCustom(was, is *vehicle.Values) bool {
	old, now, said := properties(was[vehicle.Custom]), properties(is[vehicle.Custom]), properties(l.sources[vehicle.Custom])
	differ := func(a, b map[string]string, name string) bool {
		x, in := a[name]
		y, too := b[name]
		return x != y || in != too
	}
	for name := range now {
		if differ(now, old, name) && differ(now, said, name) {
			return true
		}
	}
	for name := range old {
		_, still := now[name]
		if _, says := said[name]; says && !still {
			return true
		}
	}
	return false
}

func (w *Writer) ruleAuthor(index int32) *author {
	a, ok := w.authors.rules[index]
	if !ok {
		name := w.rules.Names[index]
		a = &author{sourceRule, sourceRule, name.ID, name.Name, w.from.File}
		if w.authors.rules == nil {
			w.authors.rules = map[int32]*author{}
		}
		w.authors.rules[index] = a
	}
	return a
}

func (w *Writer) sourceAuthor(ctx context.Context, source string) (*author, error) {
	if a, ok := w.authors.sources[source]; ok {
		return a, nil
	}
	a := &author{source: source}
	if source != SourceAPI && source != SourceImport {
		names, err := w.integrations(ctx)
		if err != nil {
			return nil, err
		}
		in := names[source] // nothing for one that was deleted
		a = &author{cmp.Or(in.Type, sourceIntegration), "integration", source, in.Name, ""}
	}
	if w.authors.sources == nil {
		w.authors.sources = map[string]*author{}
	}
	w.authors.sources[source] = a
	return a, nil
}

func (w *Writer) integrations(ctx context.Context) (map[string]IntegrationName, error) {
	if w.authors.names != nil || w.stock.Integrations == nil {
		return w.authors.names, nil
	}
	var err error
	w.authors.names, err = w.stock.Integrations(ctx, w.tx)
	return w.authors.names, err
}
