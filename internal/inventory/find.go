package inventory

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/index"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Selection is what a list of the inventory is to show.
type Selection struct {
	index.Query
	Fields    []string // members of each vehicle beside its VIN; nil for those of lists
	Sensitive bool     // sensitive fields may be among them
}

// key names a page of the selection in memory.
func (sel *Selection) key(group string, version int64, at rest.Page) pageKey {
	k := pageKey{group: group, version: version, page: at}
	if sel.plain() {
		k.filter = sel.filter()
	} else {
		k.query = sel.Key() + strings.Join(sel.Fields, ",")
	}
	return k
}

// filter is a plain selection as the store is asked for it.
func (sel *Selection) filter() Filter { return Filter{Status: sel.Status, Search: sel.Search} }

// plain selections can be read from the store as well.
func (sel *Selection) plain() bool {
	return sel.simple() && len(sel.Facets)+len(sel.Fields) == 0
}

// simple selections are by status and search alone.
func (sel *Selection) simple() bool {
	return len(sel.Lists)+len(sel.Ranges)+len(sel.Sort) == 0 && sel.UpdatedSince == 0
}

// beyondLists tells whether fields are asked for that list documents don't have.
func (sel *Selection) beyondLists() bool {
	return slices.ContainsFunc(sel.Fields, func(name string) bool {
		f, isField := vehicle.FieldNamed(name)
		return isField && !listedSet.Has(f) || name == "sold_at" || name == "relisted_at"
	})
}

// Find returns a page of the group's vehicles: from memory, or from the store while the index is not there.
func (s *Stock) Find(ctx context.Context, t *sqldb.Tenant, sel *Selection, at rest.Page) (*Page, error) {
	now := s.now()
	v, err := s.pages.version(ctx, t, now)
	if err != nil {
		return nil, err
	}
	key := sel.key(t.Group(), v.n, at)
	if page := s.pages.get(key, now); page != nil {
		return page, nil
	}
	n := needState
	if sel.plain() {
		n = needNothing
	}
	x, current, err := s.indexes.get(ctx, t, v, n)
	if sel.plain() && x == nil && ctx.Err() == nil {
		return s.List(ctx, t, sel.filter(), at)
	}
	if err != nil {
		return nil, err
	}
	days, err := s.calendarAt(ctx, t, v)
	if err != nil {
		return nil, err
	}
	f := finding{s, t, sel, days, now}
	page, whole, err := f.page(ctx, x, at)
	if err == nil && current && whole {
		s.pages.putAgain(key, page)
	}
	return page, err
}

// finding is a page being made.
type finding struct {
	stock *Stock
	t     *sqldb.Tenant
	*Selection
	days calendar
	now  time.Time
}

func (f *finding) today(dealershipID string) int64 { return int64(f.days.today(dealershipID, f.now)) }

// page makes a page. whole tells that all of it is of one version, which may be kept.
func (f *finding) page(ctx context.Context, x *index.Index, at rest.Page) (page *Page, whole bool, err error) {
	found, whole, err := f.find(ctx, x, index.Window{Offset: at.Offset, Limit: at.Limit})
	if err != nil {
		return nil, false, err
	}
	size := 600
	for i := range found.Rows {
		size += len(found.Rows[i].Document) + 8
	}
	body := append(make([]byte, 0, size), `{"vehicles":[`...)
	if f.beyondLists() {
		whole = false
		if body, err = f.appendFull(ctx, body, found.Rows); err != nil {
			return nil, false, err
		}
	} else {
		for i := range found.Rows {
			body = f.appendRow(separated(body), &found.Rows[i])
		}
	}
	body = appendPagination(append(body, ']'), found.Total, at)
	if len(found.Facets) > 0 {
		body = appendFacets(body, found.Facets)
	}
	return newPage(append(body, '}'), f.days.midnight(f.now)), whole, nil
}

// find asks the index, and the store for documents that are not in memory. When the store has newer ones the index is asked
// again, once it has them too; when writes never pause it is settled for what there is.
func (f *finding) find(ctx context.Context, x *index.Index, at index.Window) (found index.Page, whole bool, err error) {
	for range 5 {
		found = x.Page(&f.Query, at, f.today)
		whole, err = f.complete(ctx, x, found.Rows)
		if whole || err != nil {
			return found, whole, err
		}
		v, err := selectVersion(ctx, f.t)
		if err != nil {
			return found, false, err
		}
		newer, current, err := f.stock.indexes.get(ctx, f.t, v, needState)
		if err != nil || !current {
			return found, false, err
		}
		x = newer
	}
	return found, false, nil
}

// complete reads the documents that rows have not got, and lets the index, if there is one, keep them. whole tells that they are of the rows' versions.
func (f *finding) complete(ctx context.Context, x *index.Index, rows []index.Row) (whole bool, err error) {
	var missing sqldb.Strings
	for i := range rows {
		if rows[i].Document == "" {
			missing = append(missing, rows[i].VIN)
		}
	}
	if len(missing) == 0 {
		return true, nil
	}
	stored, err := selectDocuments(ctx, f.t, missing)
	if err != nil {
		return false, err
	}
	if x != nil {
		x.Keep(stored)
	}
	byVIN := make(map[string]*index.Row, len(stored))
	for i := range stored {
		byVIN[stored[i].VIN] = &stored[i]
	}
	var newer sqldb.Strings
	for i := range rows {
		if rows[i].Document != "" {
			continue
		}
		row, ok := byVIN[rows[i].VIN]
		switch {
		case !ok:
			return false, errNoVehicle // vehicles are never deleted
		case row.Version == rows[i].Version:
			rows[i].Document = row.Document
		default:
			newer = append(newer, row.VIN)
		}
	}
	return len(newer) == 0, f.renew(ctx, rows, newer)
}

// renew reads some of the rows anew, whole.
func (f *finding) renew(ctx context.Context, rows []index.Row, vins sqldb.Strings) error {
	if len(vins) == 0 {
		return nil
	}
	stored, err := selectIndexed(ctx, f.t, vins)
	for i := range stored {
		if at := slices.IndexFunc(rows, func(row index.Row) bool { return row.VIN == stored[i].VIN }); at >= 0 {
			rows[at] = stored[i]
		}
	}
	return err
}

func (f *finding) appendRow(b []byte, row *index.Row) []byte {
	days := f.today(row.DealershipID) - row.LotSince
	if f.Fields == nil {
		return appendListDocument(b, row.Document, days)
	}
	return appendMembers(b, appendListDocument(nil, row.Document, days), f.Fields)
}

// appendFull appends vehicles with members that lists don't have.
func (f *finding) appendFull(ctx context.Context, b []byte, rows []index.Row) ([]byte, error) {
	err := f.eachFull(ctx, rows, func(full []byte) { b = appendMembers(separated(b), full, f.Fields) })
	return b, err
}

// eachFull gives do the vehicles of rows with all members.
func (f *finding) eachFull(ctx context.Context, rows []index.Row, do func(full []byte)) error {
	vins := make(sqldb.Strings, len(rows))
	for i := range rows {
		vins[i] = rows[i].VIN
	}
	vehicles, err := selectBatch(ctx, f.t, vins, f.days)
	if err != nil {
		return err
	}
	var full []byte
	for _, vin := range vins {
		v, ok := vehicles[vin]
		if !ok {
			return errNoVehicle
		}
		full = appendFull(full[:0], v, Provenance{}, f.days.daysOnLot(v, f.now), f.Sensitive)
		do(full)
	}
	return nil
}

func appendPagination(b []byte, total int64, at rest.Page) []byte {
	b = append(b, `,"pagination":{"total":`...)
	b = strconv.AppendInt(b, total, 10)
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, at.Limit, 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, at.Offset, 10)
	return append(b, '}')
}

func appendFacets(b []byte, facets []index.Facet) []byte {
	b = append(b, `,"facets":{`...)
	for i, f := range facets {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), f.Column.String()...), `":[`...)
		for _, c := range f.Counts {
			b = append(separated(b), `{"value":`...)
			b = append(appendNullable(b, c.Value), `,"count":`...)
			b = append(strconv.AppendInt(b, c.N, 10), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}
