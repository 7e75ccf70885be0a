package inventory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// merged is a vehicle as a merge config shows it. All of it follows from what the config's sources say, the overrides and
// the rules, in whatever order that came.
type merged struct {
	Vehicle
	from      givers
	ruled     map[vehicle.Field]string // rule that set the field, by id
	disputed  vehicle.Fields           // fields about which sources disagree
	conflicts string                   // see merged_vehicle

	sold time.Time // when the inventory showed it as sold

	provenance Provenance // of a single record only
}

// merged is the vehicle that a view's sources give together, with overrides over them; ok is false when none of the sources
// brought the vehicle.
func (c calendar) merged(v *Vehicle, view *mergeView, now time.Time) (m merged, ok bool) {
	for _, r := range v.records {
		if view.merge.names(r.source) {
			m.records = append(m.records, r)
			ok = ok || !r.lead()
		}
	}
	if !ok {
		return m, false
	}
	own := m.records
	m.VIN, m.Overrides, m.SourceIntegrationID, m.sold = v.VIN, v.Overrides, view.merge.latestIntegration(own), v.SoldAt
	m.CreatedAt = slices.MinFunc(own, func(a, b *record) int { return a.createdAt.Compare(b.createdAt) }).createdAt
	m.UpdatedAt = slices.MaxFunc(own, func(a, b *record) int { return a.changedAt.Compare(b.changedAt) }).changedAt
	all := own
	if api := v.own(SourceAPI); api != nil && !v.Overrides.Empty() {
		all = append(slices.Clip(own), api.only(covered(v.Overrides)))
	}
	m.Values, m.from = view.merge.shown(all, v.Overrides, c.has)
	if r := m.from[vehicle.Status]; r != nil && !r.goneAt.IsZero() { // all have given it up, and it is no matter who did last
		m.from[vehicle.Status] = view.merge.first(own)
	}
	m.settle(c, now)
	return m, true
}

// settle updates what follows from a merged vehicle's values.
func (m *merged) settle(c calendar, now time.Time) {
	m.SoldAt = time.Time{}
	if m.Values[vehicle.Status] == vehicle.StatusSold {
		m.SoldAt = m.UpdatedAt
		switch r := m.from[vehicle.Status]; {
		case m.Overrides.Has(vehicle.Status):
			m.SoldAt = m.sold
		case r != nil && !r.goneAt.IsZero():
			m.SoldAt = slices.MaxFunc(m.records, func(a, b *record) int { return a.goneAt.Compare(b.goneAt) }).goneAt
		}
	}
	m.LotSince = c.lotSince(&m.Vehicle, now)
}

// first is the source to believe first, leads left out.
func (m *Merge) first(records []*record) *record {
	order := m.order(records)
	if i := slices.IndexFunc(order, func(r *record) bool { return !r.lead() }); i >= 0 {
		return order[i]
	}
	return nil
}

// merged makes the vehicle of a view, with the rules over it.
func (w *Writer) merged(v *Vehicle, view *mergeView) (m merged, ok bool) {
	m, ok = w.days.merged(v, view, w.now)
	if !ok {
		return m, false
	}
	sources := m.Values
	w.rule(&m.Vehicle)
	var rules vehicle.Fields
	for f := range vehicle.NumFields {
		if w.ruling.Set.Has(f) && m.Values[f] != sources[f] {
			rules.Add(f)
			m.rule(f, w.rules.Names[w.ruling.By[f]].ID)
		}
	}
	m.made = w.made(&m.Vehicle, &sources, rules)
	if !rules.Empty() {
		m.settle(w.days, w.now)
	}
	m.disagreement(view.tolerance)
	return m, true
}

func (m *merged) rule(f vehicle.Field, id string) {
	if m.ruled == nil {
		m.ruled = map[vehicle.Field]string{}
	}
	m.ruled[f] = id
}

// restore makes a merged vehicle have the values that it had when it was stored.
func (m *merged) restore(row *mergedRow) error {
	m.made = row.made
	made, err := readMade(m.made)
	if err != nil {
		return err
	}
	for name, one := range made {
		if f, ok := vehicle.FieldNamed(name); ok && one.Rule != "" {
			m.rule(f, one.Rule)
		}
	}
	return remake(&m.Values, m.made)
}

// only is a record with nothing but some fields.
func (r *record) only(set vehicle.Fields) *record {
	part := *r
	for f := range vehicle.NumFields {
		if !set.Has(f) {
			part.values[f] = ""
		}
	}
	return &part
}

// document appends the merged vehicle as lists show it: with the source of each field.
func (m *merged) document(b []byte, c calendar) []byte {
	return m.withSources(c.document(b, &m.Vehicle), listedSet)
}

// full appends the whole merged vehicle, sensitive fields only if the caller may see them.
func (m *merged) full(b []byte, days int64, sensitive bool) []byte {
	set := allFields
	if !sensitive {
		set = openFields
	}
	return m.withSources(appendFull(b, &m.Vehicle, m.provenance, days, sensitive), set)
}

// withSources adds to an object that stands at the end, as its last member, the source of each field that has a value: an
// integration's id, api for an override, rule: and its id for a rule.
func (m *merged) withSources(b []byte, set vehicle.Fields) []byte {
	b = append(b[:len(b)-1], `,"_sources":{`...)
	for f := range vehicle.NumFields {
		source := m.source(f)
		if !set.Has(f) || m.Values[f] == "" || source == "" {
			continue
		}
		b = vehicle.AppendString(vehicle.AppendKey(b, f), source)
	}
	return append(b, `}}`...)
}

// source of a field's value; "" for none, and for a vehicle that is active for want of another word.
func (m *merged) source(f vehicle.Field) string {
	if id, ok := m.ruled[f]; ok {
		return sourceRule + ":" + id
	}
	if r := m.from[f]; r != nil {
		return r.source
	}
	return ""
}

// allFields and openFields are the fields administrators and others see.
var allFields, openFields = func() (all, open vehicle.Fields) {
	for f := range vehicle.NumFields {
		all.Add(f)
		if !f.Sensitive() {
			open.Add(f)
		}
	}
	return all, open
}()

// comparedFields are those about which sources may disagree. Left out is what each writes in its own way, such as photos and
// descriptions, what names the vehicle's place in the source, and what is for administrators only.
var comparedFields = func() (set vehicle.Fields) {
	for f := range vehicle.NumFields {
		if !f.Sensitive() && !f.Bulky() && f.Kind() != vehicle.URL && f.Kind() != vehicle.List {
			set.Add(f)
		}
	}
	for _, f := range []vehicle.Field{vehicle.Status, vehicle.SourceDealerCode, vehicle.SourceDealerName, vehicle.PhotoCount, vehicle.PhotosUpdatedAt} {
		set.Remove(f)
	}
	return set
}()

// disagreement finds out about what the records that still list the vehicle disagree. Call it when all else is settled.
func (m *merged) disagreement(tolerance int64) {
	said := slices.DeleteFunc(slices.Clone(m.records), func(r *record) bool { return !r.goneAt.IsZero() })
	if len(said) < 2 {
		return
	}
	slices.SortFunc(said, func(a, b *record) int { return strings.Compare(a.source, b.source) })
	var b []byte
	for f := range vehicle.NumFields {
		if !comparedFields.Has(f) || !disagree(f, said, tolerance) {
			continue
		}
		if m.disputed.Empty() {
			b = append(b, '{')
		}
		m.disputed.Add(f)
		b = m.conflict(vehicle.AppendKey(b, f), f, said)
	}
	if !m.disputed.Empty() {
		m.conflicts = string(append(b, '}'))
	}
}

// conflict appends what is shown of a field, and what each source says of it.
func (m *merged) conflict(b []byte, f vehicle.Field, said []*record) []byte {
	b = append(b, `{"shown":`...)
	b = vehicle.AppendValue(b, f, m.Values[f])
	b = append(b, `,"source":`...)
	b = appendNullable(b, m.source(f))
	b = append(b, `,"values":[`...)
	for _, r := range said {
		value := stated(f, &r.values)
		if value == "" {
			continue
		}
		b = vehicle.AppendString(append(separated(b), `{"source_integration_id":`...), r.source)
		b = append(b, `,"value":`...)
		b = append(vehicle.AppendValue(b, f, value), '}')
	}
	return append(b, `]}`...)
}

// stated is what values say of a field: a mileage is in miles unless they say otherwise, and its unit means nothing alone.
func stated(f vehicle.Field, v *vehicle.Values) string {
	switch {
	case f != vehicle.MileageUnit:
		return v[f]
	case v[vehicle.Mileage] == "":
		return ""
	}
	return cmp.Or(v[vehicle.MileageUnit], "mi")
}

// disagree tells that two records state different values of a field.
func disagree(f vehicle.Field, records []*record, tolerance int64) bool {
	for i, a := range records {
		for _, b := range records[i+1:] {
			if differing(f, &a.values, &b.values, tolerance) {
				return true
			}
		}
	}
	return false
}

// differing tells that two records state different values of a field. The units of two mileages that mean the same differ for
// a reason.
func differing(f vehicle.Field, a, b *vehicle.Values, tolerance int64) bool {
	x, y := stated(f, a), stated(f, b)
	switch {
	case x == "" || y == "" || x == y || f.Same(x, y):
		return false
	case f == vehicle.Mileage || f == vehicle.MileageUnit:
		return !nearMileages(a, b, tolerance)
	}
	return true
}

// nearMileages tells that two mileages differ by no more than the tolerance: in their unit, in miles if that differs.
func nearMileages(a, b *vehicle.Values, tolerance int64) bool {
	x, _ := number(a[vehicle.Mileage])
	y, _ := number(b[vehicle.Mileage])
	if stated(vehicle.MileageUnit, a) != stated(vehicle.MileageUnit, b) {
		x, y = inMiles(x, a[vehicle.MileageUnit]), inMiles(y, b[vehicle.MileageUnit])
	}
	return max(x-y, y-x) <= tolerance
}

// inMiles rounds to whole miles; a mile is 1.609344 km.
func inMiles(n int64, unit string) int64 {
	if unit != "km" {
		return n
	}
	return (n*1_000_000 + 804_672) / 1_609_344
}

// merged makes the vehicle of a VIN as a merge config shows it. Not found for unknown and foreign ids, and when none of the
// config's sources brought the vehicle.
func (s *Stock) merged(ctx context.Context, t *sqldb.Tenant, configID, vin string, days calendar) (m merged, err error) {
	c, row, err := shownRow(ctx, t, configID, vin)
	if err != nil {
		return m, err
	}
	v, err := selectVehicle(ctx, t, vin, days)
	if err != nil {
		return m, err
	}
	view := viewOf(c.view, &c.built)
	m, ok := days.merged(v, &view, s.now())
	if !ok {
		return m, errNoVehicle
	}
	if err := m.restore(&row); err != nil {
		return m, err
	}
	m.settle(days, s.now())
	m.LotSince = Day(row.lotSince)
	m.provenance, err = s.provenance(ctx, t, &m.Vehicle, &view.merge, days)
	return m, err
}

// shownRow reads what a config shows of a VIN.
func shownRow(ctx context.Context, t *sqldb.Tenant, configID, vin string) (c MergeConfig, row mergedRow, err error) {
	if c, err = shownConfig(ctx, t, configID); err != nil {
		return c, row, err
	}
	for {
		stored, err := selectMerged(ctx, t, c.view, sqldb.Strings{vin})
		if row, ok := stored[vin]; ok || err != nil {
			return c, row, err
		}
		looked := c.view
		if c, err = shownConfig(ctx, t, configID); err != nil {
			return c, row, err
		}
		if c.view == looked { // else another view took its place meanwhile
			return c, row, errNoVehicle
		}
	}
}

// shownConfig reads a merge config that has vehicles to show.
func shownConfig(ctx context.Context, t *sqldb.Tenant, id string) (MergeConfig, error) {
	c, err := selectMergeConfig(ctx, t, id)
	if err == nil && c.view == "" {
		err = errMergeBuilding
	}
	return c, err
}

// errMergeBuilding refuses to show vehicles that are not all there.
var errMergeBuilding = &errs.Error{
	Kind: errs.KindUnavailable, Code: "merge_config_building", Detail: "The vehicles of this merge config are being merged for the first time.", RetryAfter: 5 * time.Second,
}

// storeMerged brings the views up to date with the batch's vehicles; changed tells that one shows something else.
func (w *Writer) storeMerged(ctx context.Context) (changed bool, err error) {
	for i := range w.views {
		view := &w.views[i]
		if from := w.from.IntegrationID; from != "" && !view.merge.names(from) { // it has no say there
			continue
		}
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
