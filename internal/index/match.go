package index

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// bitset has a bit per slot.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(slot uint32)      { b[slot/64] |= 1 << (slot % 64) }
func (b bitset) has(slot uint32) bool { return b[slot/64]&(1<<(slot%64)) != 0 }

func (b bitset) count() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// condition is one filter of a query and the vehicles that pass it.
type condition struct {
	column Column // numColumns for the others
	pass   bitset
}

// conditions of a query, each by a pass over its column.
func (x *Index) conditions(q *Query, days []int64) []condition {
	var all []condition
	if q.Status != "" {
		all = append(all, condition{numColumns, x.listed(Status, List{Include: []string{q.Status}})})
	}
	for c := range numColumns {
		if l := q.Lists[c]; !l.empty() {
			all = append(all, condition{c, x.listed(c, l)})
		}
		if r, ok := q.Ranges[c]; ok {
			all = append(all, condition{numColumns, x.ranged(c, r, days)})
		}
	}
	if q.UpdatedSince > 0 {
		all = append(all, condition{numColumns, within(x.updated, Range{q.UpdatedSince, OpenMax})})
	}
	if q.Search != "" {
		all = append(all, condition{numColumns, x.search(q.Search)})
	}
	return all
}

// matches are the vehicles that pass all conditions but one column's; nil are all vehicles.
func matches(all []condition, but Column) bitset {
	var pass bitset
	shared := false
	for _, c := range all {
		switch {
		case c.column == but && but != numColumns:
		case pass == nil:
			pass, shared = c.pass, true
		default:
			if shared {
				pass, shared = slices.Clone(pass), false
			}
			for i := range pass {
				pass[i] &= c.pass[i]
			}
		}
	}
	return pass
}

// listed are the vehicles a list lets pass.
func (x *Index) listed(c Column, l List) bitset {
	i := c.text()
	if i < 0 {
		panic("index: no list can filter by " + c.String())
	}
	include, exclude := folded(l.Include), folded(l.Exclude)
	d := x.texts[i]
	pass := make([]uint8, len(d.words))
	for code := range d.words {
		fold := d.words[code].fold
		if fold == "" { // code 0; a value that is "null" goes by that name
			fold = Null
		}
		if (len(include) == 0 || include[fold]) && !exclude[fold] {
			pass[code] = 1
		}
	}
	return coded(x.codes[i], pass)
}

func folded(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, text := range list {
		m[strings.ToLower(text)] = true
	}
	return m
}

// coded are the vehicles whose code passes.
func coded(codes []uint32, pass []uint8) bitset {
	out := newBitset(len(codes))
	for i := range out {
		part, word := codes[i*64:min(i*64+64, len(codes))], uint64(0)
		for j, code := range part {
			word |= uint64(pass[code]) << (j & 63)
		}
		out[i] = word
	}
	return out
}

// ranged are the vehicles whose number lies in a range.
func (x *Index) ranged(c Column, r Range, days []int64) bitset {
	switch c {
	case Year:
		return within(x.years, r)
	case Price:
		return within(x.prices, r)
	case InternetPrice:
		return within(x.internets, r)
	case Mileage:
		return within(x.mileages, r)
	case DaysOnLot:
		all := make([]int64, x.len())
		for slot := range all {
			all[slot] = x.daysOnLot(uint32(slot), days)
		}
		return within(all, r)
	}
	panic("index: no range can filter by " + c.String())
}

// within are the vehicles whose number is there and lies in a range.
func within[T int16 | int32 | int64 | uint32](column []T, r Range) bitset {
	out := newBitset(len(column))
	low := max(r.Min, 0) // no number that is there is negative
	if r.Max < low {
		return out
	}
	size := uint64(r.Max - low)
	for i := range out {
		part, word := column[i*64:min(i*64+64, len(column))], uint64(0)
		for j, v := range part {
			var in uint64
			if uint64(int64(v)-low) <= size {
				in = 1
			}
			word |= in << (j & 63)
		}
		out[i] = word
	}
	return out
}

// daysOnLot of a vehicle, given the day it is at each dealership by its code.
func (x *Index) daysOnLot(slot uint32, days []int64) int64 {
	lot := x.lot[slot]
	if lot < -maxDays {
		return int64(lot) - firstSold
	}
	return max(0, days[x.codes[dealerships][slot]]-int64(lot))
}

// search are the vehicles with a text in their VIN, make, model or stock number.
func (x *Index) search(text string) bitset {
	if !utf8.ValidString(text) || strings.ContainsRune(text, '\n') {
		return newBitset(x.len())
	}
	found := x.searchText(makes, text)
	for i, word := range x.searchText(models, text) {
		found[i] |= word
	}
	x.searchVINs(text, found)
	x.stock.find(text, found)
	return found
}

func (x *Index) searchText(i int, text string) bitset {
	d, some := x.texts[i], false
	pass := make([]uint8, len(d.words))
	for code := range d.words {
		if strings.Contains(d.words[code].fold, text) {
			pass[code], some = 1, true
		}
	}
	if !some {
		return newBitset(x.len())
	}
	return coded(x.codes[i], pass)
}

func (x *Index) searchVINs(text string, found bitset) {
	upper := strings.ToUpper(text)
	if strings.ToLower(upper) != text || !plainVIN(upper) {
		return
	}
	n := *needleOf(upper)
	for slot := range uint32(x.len()) {
		v := x.vin(slot)
		if n.in(v[:8]) || n.in(v[6:14]) || n.in(v[9:17]) { // which overlap enough for three bytes
			if len(upper) <= heads || bytes.Contains(v, n.text) {
				found.set(slot)
			}
		}
	}
}
