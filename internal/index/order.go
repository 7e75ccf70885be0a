package index

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"
)

// order lists all slots by one key, then by default.
type order struct {
	mu    sync.Mutex
	slots []uint32 // nil until it is made
	dirty []uint32 // slots put since that may stand elsewhere now
	days  []int64  // that it was made with, if it depends on them
	used  int64    // when, in uses
}

// keptOrders is how many orders are kept beside the default one.
const keptOrders = 8

func (x *Index) orderOf(k Key) *order {
	if k.Descending {
		return &x.orders[k.Column][1]
	}
	return &x.orders[k.Column][0]
}

// ordered are all slots by a key, for reading until the index's lock is given back.
func (x *Index) ordered(k Key, days []int64) []uint32 {
	o := x.orderOf(k)
	o.mu.Lock()
	defer o.mu.Unlock()
	if k.Column == DaysOnLot && !slices.Equal(o.days, days) {
		o.slots, o.days = nil, days
	}
	switch {
	case o.slots == nil:
		o.slots = x.order(k, days)
	case len(o.dirty) > 0:
		x.repair(o, k, days)
	}
	o.dirty = nil
	o.used = x.uses.Add(1)
	return o.slots
}

// forgetOrders drops those used longest ago. Who reads one keeps it until he is done.
func (x *Index) forgetOrders() {
	for {
		var oldest *order
		n, used := 0, int64(math.MaxInt64)
		for c := range x.orders {
			for d := range x.orders[c] {
				o := &x.orders[c][d]
				if o == x.orderOf(byDefault) {
					continue
				}
				o.mu.Lock()
				if o.slots != nil {
					if n++; o.used < used {
						oldest, used = o, o.used
					}
				}
				o.mu.Unlock()
			}
		}
		if n <= keptOrders {
			return
		}
		oldest.mu.Lock()
		oldest.slots = nil
		oldest.mu.Unlock()
	}
}

// Trim lets go of what is made again when it is asked for: kept results, and all orders but the default one.
func (x *Index) Trim() {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.kept.clear(x.len())
	for c := range x.orders {
		for d := range x.orders[c] {
			if o := &x.orders[c][d]; o != x.orderOf(byDefault) {
				o.mu.Lock()
				o.slots, o.dirty = nil, nil
				o.mu.Unlock()
			}
		}
	}
}

// disorder notes, during a Put, that a vehicle's values changed.
func (x *Index) disorder(slot uint32, changed columnSet) {
	for c := range x.orders {
		if !changed.has(Column(c)) {
			continue
		}
		for d := range x.orders[c] {
			if o := &x.orders[c][d]; o.slots != nil {
				o.dirty = append(o.dirty, slot)
			}
		}
	}
}

// forgetLateOrders drops, at the end of a Put, orders for which making them anew is cheaper than repair.
func (x *Index) forgetLateOrders() {
	for c := range x.orders {
		for d := range x.orders[c] {
			if o := &x.orders[c][d]; len(o.dirty) > 1000+x.len()/16 {
				o.slots, o.dirty = nil, nil
			}
		}
	}
}

func (x *Index) orderBytes() (n int64) {
	for c := range x.orders {
		for d := range x.orders[c] {
			o := &x.orders[c][d]
			o.mu.Lock()
			n += 4 * int64(cap(o.slots)+cap(o.dirty))
			o.mu.Unlock()
		}
	}
	return n
}

// order sorts all slots by a key.
func (x *Index) order(k Key, days []int64) []uint32 {
	switch {
	case k.Column == VIN:
		slots := x.byVIN()
		if k.Descending {
			slices.Reverse(slots)
		}
		return slots
	case k == byDefault:
		slots := x.byVIN()
		x.sort(slots, k, days)
		return slots
	case k.Column == StockNumber:
		return x.byStock(k)
	}
	slots := slices.Clone(x.ordered(byDefault, nil))
	x.sort(slots, k, days)
	return slots
}

// Parts of a VIN that fit into 32 bits as numbers to the base 37.
var vinParts = [...][2]int{{12, 17}, {6, 12}, {0, 6}}

// vinDigit is a character's place in the order of VINs' characters, 0 for what is none. The end of a short VIN is 0.
var vinDigit = func() (d [256]uint8) {
	for i, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		d[c] = uint8(i + 1)
	}
	return d
}()

// byVIN are all slots by VIN.
func (x *Index) byVIN() []uint32 {
	slots := make([]uint32, x.len())
	sorted := true
	for i := range slots {
		slots[i] = uint32(i)
		sorted = sorted && (i == 0 || bytes.Compare(x.vin(uint32(i-1)), x.vin(uint32(i))) < 0)
	}
	if sorted { // stores give vehicles by VIN
		return slots
	}
	pairs, release := x.pairsFor(len(slots))
	defer release()
	for _, part := range vinParts {
		for i, slot := range slots {
			n := uint64(0)
			for _, c := range x.vin(slot)[part[0]:part[1]] {
				n = n*37 + uint64(vinDigit[c])
			}
			pairs[i] = n<<32 | uint64(slot)
		}
		radix(pairs, slots, math.MaxUint32)
	}
	return slots
}

// byStock are all slots by stock number. Most are told apart by their beginning.
func (x *Index) byStock(k Key) []uint32 {
	type entry struct {
		head  uint64
		place uint32 // by default
		slot  uint32
	}
	standard := x.ordered(byDefault, nil)
	entries, without := make([]entry, 0, len(standard)), []uint32{}
	for i, slot := range standard {
		stock := x.stock.of(slot)
		if stock == nil {
			without = append(without, slot)
			continue
		}
		var head [8]byte
		copy(head[:], stock)
		entries = append(entries, entry{bigEndian(head), uint32(i), slot})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		n := cmp.Compare(a.head, b.head)
		if n == 0 {
			n = bytes.Compare(x.stock.of(a.slot), x.stock.of(b.slot))
		}
		if k.Descending {
			n = -n
		}
		return cmp.Or(n, cmp.Compare(a.place, b.place))
	})
	slots := make([]uint32, 0, len(standard))
	for _, e := range entries {
		slots = append(slots, e.slot)
	}
	return append(slots, without...)
}

func bigEndian(b [8]byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// sort sorts slots by a key and leaves those it does not tell apart in their order. Missing values come last.
func (x *Index) sort(slots []uint32, k Key, days []int64) {
	if len(slots) < 2 {
		return
	}
	values := make([]int64, len(slots))
	x.values(k.Column, slots, days, values)
	low, high := int64(math.MaxInt64), int64(none)
	for _, v := range values {
		if v != none {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == none {
		return
	}
	for i, v := range values {
		switch {
		case v == none:
			values[i] = high - low + 1
		case k.Descending:
			values[i] = high - v
		default:
			values[i] = v - low
		}
	}
	x.sortNumbers(slots, values, uint64(high-low+1))
}

// sortNumbers sorts slots by their numbers, from 0 to most.
func (x *Index) sortNumbers(slots []uint32, values []int64, most uint64) {
	pairs, release := x.pairsFor(len(slots))
	defer release()
	if most <= math.MaxUint32 {
		for i, slot := range slots {
			pairs[i] = uint64(values[i])<<32 | uint64(slot)
		}
		radix(pairs, slots, most)
		return
	}
	places := make([]uint32, len(slots)) // by the lower halves first
	for i, v := range values {
		pairs[i] = uint64(v)<<32 | uint64(i)
	}
	radix(pairs, places, math.MaxUint32)
	for i, place := range places {
		pairs[i] = uint64(values[place])>>32<<32 | uint64(slots[place])
	}
	radix(pairs, slots, most>>32)
}

func (x *Index) pairsFor(n int) (pairs []uint64, release func()) {
	p, _ := x.pairs.Get().(*[]uint64)
	if p == nil || cap(*p) < n {
		p = new(make([]uint64, n))
	}
	return (*p)[:n], func() { x.pairs.Put(p) }
}

// radix sorts pairs of a number (upper half) and a slot stably by number, none above most, and writes the slots.
func radix(pairs []uint64, slots []uint32, most uint64) {
	width := bits.Len64(most)
	passes := (width + 10) / 11
	if passes == 0 {
		for i, p := range pairs {
			slots[i] = uint32(p)
		}
		return
	}
	digit := (width + passes - 1) / passes
	other := pairs
	if passes > 1 {
		other = make([]uint64, len(pairs))
	}
	for pass := range passes {
		shift, mask := 32+pass*digit, uint64(1)<<digit-1
		var at [1 << 11]uint32
		for _, p := range pairs {
			at[p>>shift&mask]++
		}
		sum := uint32(0)
		for i, n := range at[:mask+1] {
			at[i], sum = sum, sum+n
		}
		if pass == passes-1 {
			for _, p := range pairs {
				d := p >> shift & mask
				slots[at[d]] = uint32(p)
				at[d]++
			}
			return
		}
		for _, p := range pairs {
			d := p >> shift & mask
			other[at[d]] = p
			at[d]++
		}
		pairs, other = other, pairs
	}
}

// values are the numbers by which a column sorts slots; texts are ranks. None of a missing value.
func (x *Index) values(c Column, slots []uint32, days []int64, out []int64) {
	switch c {
	case Year:
		gather(x.years, slots, out)
	case Mileage:
		gather(x.mileages, slots, out)
	case Price:
		gather(x.prices, slots, out)
	case InternetPrice:
		gather(x.internets, slots, out)
	case Created:
		gather(x.created, slots, out)
	case Updated:
		gather(x.updated, slots, out)
	case DaysOnLot:
		for i, slot := range slots {
			out[i] = x.daysOnLot(slot, days)
		}
	case VIN, StockNumber:
		gather(x.places(c), slots, out)
	default:
		i := c.text()
		codes, ranks := x.codes[i], x.texts[i].ranked()
		for j, slot := range slots {
			if out[j] = none; codes[slot] != 0 {
				out[j] = int64(ranks[codes[slot]])
			}
		}
	}
}

func gather[T int16 | int32 | int64 | uint32](column []T, slots []uint32, out []int64) {
	for i, slot := range slots {
		out[i] = int64(column[slot])
	}
}

// places are the ranks, by slot, of texts that have no dictionary.
func (x *Index) places(c Column) []int32 {
	out := make([]int32, x.len())
	var last []byte
	rank := int32(0)
	for i, slot := range x.ordered(Key{Column: c}, nil) {
		text := x.vin(slot)
		if c == StockNumber {
			text = x.stock.of(slot)
		}
		if text == nil {
			out[slot] = none
			continue
		}
		if i > 0 && !bytes.Equal(text, last) {
			rank++
		}
		out[slot], last = rank, text
	}
	return out
}

// compare tells which of two vehicles comes first in an order.
func (x *Index) compare(k Key, a, b uint32, days []int64) int {
	var two [2]int64
	n := 0
	switch k.Column {
	case VIN:
		n = bytes.Compare(x.vin(a), x.vin(b))
	case StockNumber:
		s, t := x.stock.of(a), x.stock.of(b)
		if (s == nil) != (t == nil) {
			two = [2]int64{int64(len(s)), int64(len(t))}
			return cmp.Compare(two[1], two[0]) // the one that is there is longer
		}
		n = bytes.Compare(s, t)
	default:
		x.values(k.Column, []uint32{a, b}, days, two[:])
		if n = cmp.Compare(two[0], two[1]); n != 0 && (two[0] == none || two[1] == none) {
			return -n
		}
	}
	if k.Descending {
		n = -n
	}
	if n != 0 {
		return n
	}
	return cmp.Or(cmp.Compare(x.created[b], x.created[a]), bytes.Compare(x.vin(a), x.vin(b)))
}

// repair moves the vehicles put since to where they belong, in one pass.
func (x *Index) repair(o *order, k Key, days []int64) {
	slices.Sort(o.dirty)
	moved := slices.Compact(o.dirty)
	slots := without(o.slots, moved, x.len())
	slices.SortFunc(moved, func(a, b uint32) int { return x.compare(k, a, b, days) })
	end := len(slots)
	slots = grown(slots, len(moved))[:end+len(moved)]
	for i := len(moved) - 1; i >= 0; i-- {
		at, _ := slices.BinarySearchFunc(slots[:end], moved[i], func(s, m uint32) int { return x.compare(k, s, m, days) })
		copy(slots[at+i+1:], slots[at:end])
		slots[at+i] = moved[i]
		end = at
	}
	o.slots = slots
}

// without takes sorted slots out of a list, in place; n is more than any slot.
func without(list, out []uint32, n int) []uint32 {
	gone := newBitset(n)
	for _, slot := range out {
		gone.set(slot)
	}
	to := 0
	for _, slot := range list {
		list[to] = slot
		to += int(^gone[slot/64] >> (slot % 64) & 1)
	}
	return list[:to]
}
