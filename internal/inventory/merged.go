package inventory

import (
	"context"
	"slices"
	"strings"
	"time"
)

// merged is a vehicle as a merge config shows it.
type merged struct {
	Vehicle
	from      givers
	rules     Set // fields that a rule has set
	by        [NumFields]int32
	conflicts string // see merged_vehicle
}

// merged makes the vehicle that a view's sources give together, with overrides and rules over them; ok is false when none of
// the sources brought the vehicle.
func (w *Writer) merged(v *Vehicle, view *mergeView) (m merged, ok bool) {
	var own []*record
	for _, r := range v.records {
		if view.merge.names(r.source) {
			own = append(own, r)
			ok = ok || !r.lead()
		}
	}
	if !ok {
		return m, false
	}
	m.VIN, m.Overrides, m.SourceIntegrationID = v.VIN, v.Overrides, view.merge.latestIntegration(own)
	m.CreatedAt, m.UpdatedAt = own[0].createdAt, own[0].changedAt
	var gone time.Time
	for _, r := range own {
		if r.createdAt.Before(m.CreatedAt) {
			m.CreatedAt = r.createdAt
		}
		if r.changedAt.After(m.UpdatedAt) {
			m.UpdatedAt = r.changedAt
		}
		if r.goneAt.After(gone) {
			gone = r.goneAt
		}
	}
	m.conflicts = disagreement(own, view.tolerance)
	if api := v.own(SourceAPI); api != nil && !v.Overrides.Empty() {
		own = append(own, api.only(covered(v.Overrides)))
	}
	m.Values, m.from = view.merge.shown(own, v.Overrides, w.days.has)
	sources := m.Values
	if m.Values[Status] == StatusSold {
		m.SoldAt = m.UpdatedAt
		if !gone.IsZero() {
			m.SoldAt = gone
		}
	}
	w.rule(&m.Vehicle)
	for f := range NumFields {
		if w.ruling.Set.Has(f) && m.Values[f] != sources[f] {
			m.rules.Add(f)
		}
	}
	m.by = w.ruling.By
	if m.Values[Status] == StatusSold && m.SoldAt.IsZero() {
		m.SoldAt = m.UpdatedAt
	}
	m.LotSince = w.days.lotSince(&m.Vehicle, w.now)
	return m, true
}

// only is a record with nothing but some fields.
func (r *record) only(set Set) *record {
	part := *r
	for f := range NumFields {
		if !set.Has(f) {
			part.values[f] = ""
		}
	}
	return &part
}

// mergedDocument appends the merged vehicle as lists show it: with the source of each field.
func (w *Writer) mergedDocument(b []byte, m *merged) []byte {
	b = w.days.document(b, &m.Vehicle)
	b = append(b[:len(b)-1], `,"_sources":{`...)
	b = w.appendSources(b, m, listedSet)
	return append(b, `}}`...)
}

// appendSources appends the source of each field that has a value: an integration's id, api for an override, rule: and its
// id for a rule.
func (w *Writer) appendSources(b []byte, m *merged, set Set) []byte {
	for f := range NumFields {
		if !set.Has(f) || m.Values[f] == "" {
			continue
		}
		source := ""
		switch {
		case m.rules.Has(f):
			source = "rule:" + w.rules.Names[m.by[f]].ID
		case m.from[f] != nil:
			source = m.from[f].source
		default: // active, for want of another word
			continue
		}
		key := keys[f]
		if b[len(b)-1] == '{' {
			key = key[1:]
		}
		b = appendString(append(b, key...), source)
	}
	return b
}

// disputed are the fields about which sources may disagree. Left out is what each writes in its own way, such as photos and
// descriptions, what names the vehicle's place in the source, and what is for administrators only.
var disputed = func() (set Set) {
	for f := range NumFields {
		if !fields[f].sensitive && !fields[f].bulky && fields[f].kind != URL && fields[f].kind != List {
			set.Add(f)
		}
	}
	for _, f := range []Field{Status, SourceDealerCode, SourceDealerName, PhotoCount, PhotosUpdatedAt, VDPURL, VideoURL, HistoryReportURL} {
		set.Remove(f)
	}
	return set
}()

// disagreement is about what records that still list the vehicle disagree: field to value by source, "" for nothing.
func disagreement(records []*record, tolerance int64) string {
	said := slices.DeleteFunc(slices.Clone(records), func(r *record) bool { return !r.goneAt.IsZero() })
	if len(said) < 2 {
		return ""
	}
	slices.SortFunc(said, func(a, b *record) int { return strings.Compare(a.source, b.source) })
	b := []byte{'{'}
	for f := range NumFields {
		if !disputed.Has(f) || !disagree(f, said, tolerance) {
			continue
		}
		key := keys[f]
		if len(b) == 1 {
			key = key[1:]
		}
		b = append(append(b, key...), '{')
		for _, r := range said {
			if r.values[f] == "" {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = append(appendString(b, r.source), ':')
			b = appendValue(b, f, r.values[f])
		}
		b = append(b, '}')
	}
	if len(b) == 1 {
		return ""
	}
	return string(append(b, '}'))
}

// disagree tells that two records state different values of a field.
func disagree(f Field, records []*record, tolerance int64) bool {
	for i, a := range records {
		for _, b := range records[i+1:] {
			if differing(f, &a.values, &b.values, tolerance) {
				return true
			}
		}
	}
	return false
}

func differing(f Field, a, b *Values, tolerance int64) bool {
	if a[f] == "" || b[f] == "" || a[f] == b[f] || same(f, a[f], b[f]) {
		return false
	}
	if f != Mileage {
		return true
	}
	if (a[MileageUnit] == "km") != (b[MileageUnit] == "km") { // the units disagree, which is told of them
		return false
	}
	x, _ := number(a[f])
	y, _ := number(b[f])
	return max(x-y, y-x) > tolerance
}

// storeMerged brings the views up to date with the batch's vehicles; changed tells that one shows something else.
func (w *Writer) storeMerged(ctx context.Context) (changed bool, err error) {
	for i := range w.views {
		view := &w.views[i]
		var list []*merged
		for _, v := range w.touched {
			if m, ok := w.merged(v, view); ok {
				list = append(list, &m)
			}
		}
		n, err := w.storeView(ctx, view, list)
		if err != nil {
			return false, err
		}
		changed = changed || n > 0
	}
	return changed, nil
}
