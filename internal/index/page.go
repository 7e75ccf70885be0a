package index

import "slices"

// Today is the day number it is at a dealership, "" for none.
type Today func(dealershipID string) int64

// Window of a list.
type Window struct{ Offset, Limit int64 }

// Page is a part of a list. Its facets must not be changed.
type Page struct {
	Total  int64
	Rows   []Row
	Facets []Facet // in the query's order
}

// Page answers a query. Rows, total and facets are of one moment.
func (x *Index) Page(q *Query, at Window, today Today) Page {
	x.mu.RLock()
	defer x.mu.RUnlock()
	a := answer{x: x, q: q}
	if q.dated() {
		a.days = x.days(today)
	}
	slots, _ := a.slots()
	from := min(max(0, at.Offset), int64(len(slots)))
	to := from + min(max(0, at.Limit), int64(len(slots))-from)
	return Page{Total: int64(len(slots)), Rows: x.rows(slots[from:to]), Facets: a.facets()}
}

// days are the days it is at the dealerships, by their codes.
func (x *Index) days(today Today) []int64 {
	words := x.texts[dealerships].words
	days := make([]int64, len(words))
	for code := range words {
		if code == 0 || words[code].n > 0 {
			days[code] = today(words[code].text)
		}
	}
	return days
}

// answer is a query being answered.
type answer struct {
	x      *Index
	q      *Query
	days   []int64 // if the query depends on them
	judged bool
	all    []condition // once judged
}

func (a *answer) conditions() []condition {
	if !a.judged {
		a.all, a.judged = a.x.conditions(a.q, a.days), true
	}
	return a.all
}

// slots of all matches in order; shared ones are an order's own, which is repaired in place after the next Put.
func (a *answer) slots() (slots []uint32, shared bool) {
	r := a.x.kept.get(string(a.q.appendSort(a.q.appendFilter(nil))), a.days)
	r.once.Do(func() {
		size := 0
		if r.slots, r.shared = a.find(a.q.sorting()); !r.shared {
			size = 4 * cap(r.slots)
		}
		a.x.kept.weigh(r, size)
		a.x.forgetOrders()
	})
	return r.slots, r.shared
}

// find filters and sorts.
func (a *answer) find(keys []Key) (slots []uint32, shared bool) {
	x, pass := a.x, matches(a.conditions(), numColumns)
	first := byDefault
	if n := x.len(); len(keys) == 1 && (pass == nil || pass.count() > n/8) {
		first, keys = keys[0], nil // its order is worth keeping
	}
	slots = x.ordered(first, a.days)
	switch {
	case pass != nil:
		slots = passing(slots, pass)
	case len(keys) == 0:
		return slots, true
	default:
		slots = slices.Clone(slots)
	}
	for _, k := range slices.Backward(keys) {
		x.sort(slots, k, a.days)
	}
	return slots, false
}

// passing are the slots of a list that have their bit set.
func passing(list []uint32, pass bitset) []uint32 {
	out := make([]uint32, pass.count()+1) // the last is written by those that don't pass
	n := 0
	for _, slot := range list {
		out[n] = slot
		n += int(pass[slot/64] >> (slot % 64) & 1)
	}
	return out[:n]
}

// rows are what the index holds of vehicles.
func (x *Index) rows(slots []uint32) []Row {
	rows := make([]Row, len(slots))
	text := make([]byte, 0, vinSize*len(slots))
	for _, slot := range slots {
		text = append(text, x.vin(slot)...)
	}
	vins := string(text)
	for i := range slots {
		rows[i].VIN = unpadded(vins[i*vinSize : (i+1)*vinSize])
	}
	for i, slot := range slots {
		rows[i].Version = x.versions[slot]
	}
	for i, slot := range slots {
		if lot := x.lot[slot]; lot >= -maxDays {
			rows[i].LotSince = int64(lot)
		}
	}
	for i, slot := range slots {
		rows[i].DealershipID = x.texts[dealerships].words[x.codes[dealerships][slot]].text
	}
	x.docs.show(rows, slots)
	return rows
}

// Selection is all a query matched at one moment, in order.
type Selection struct {
	x     *Index
	slots []uint32
}

// Select finds all matches, to be walked in pieces while others write.
func (x *Index) Select(q *Query, today Today) *Selection {
	x.mu.RLock()
	defer x.mu.RUnlock()
	a := answer{x: x, q: q}
	if q.dated() {
		a.days = x.days(today)
	}
	slots, shared := a.slots()
	if shared {
		slots = slices.Clone(slots)
	}
	return &Selection{x, slots}
}

// Len is the number of vehicles selected.
func (s *Selection) Len() int { return len(s.slots) }

// Rows are the vehicles from one place on to before another, as they are now.
func (s *Selection) Rows(from, to int) []Row {
	s.x.mu.RLock()
	defer s.x.mu.RUnlock()
	return s.x.rows(s.slots[from:to])
}
