// Package index answers lists of one dealer group's vehicles from memory: every combination of filters, sorts, facets,
// totals and search for a million vehicles in a few milliseconds. It knows neither the store nor HTTP nor groups;
// package inventory loads it and keeps it current.
//
// Vehicles have slots, numbers from 0 in the order they came. What lists filter and sort by stands in columns by slot,
// without a pointer per vehicle; texts many share are codes of a dictionary. A filter is a pass over its column that
// makes a bit per vehicle. Orders are lists of all slots, made at first use and repaired by what was put since. What a
// query found is kept until the next Put.
//
// Who only reads holds mu for reading. Orders and kept results are made by readers, each under its own lock, and may
// be changed in place only by the first reader after a Put: readers from before it are gone by then.
package index

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Row is a vehicle as the store has it.
type Row struct {
	VIN          string
	Version      int64
	LotSince     int64  // day number from which days on lot count; of no use, and not kept, for sold vehicles
	DealershipID string // "" for none
	Document     string // as lists show it, 0x1f in the place of days_on_lot until the vehicle is sold; "" when not kept
}

// Index holds one group's vehicles. It is safe for concurrent use; what a method returns is of one moment.
type Index struct {
	writer sync.Mutex // one Put at a time
	mu     sync.RWMutex
	columns
	table  []uint32 // open addressing: slot+1 by the VIN's hash, 0 for free
	texts  [numTexts]*dictionary
	orders [numColumns][2]order
	uses   atomic.Int64 // of orders, counted
	kept   results
	docs   documents
	pairs  sync.Pool // *[]uint64 for sorting
	seed   maphash.Seed
}

// columns by slot.
type columns struct {
	vins             []byte // vinSize a vehicle, zeros behind short ones
	versions         []int64
	lot              []int32 // day number, or firstSold + days on lot
	years            []int16
	mileages         []int32
	prices           []int64
	internets        []int64
	created, updated []uint32
	codes            [numTexts][]uint32
	stock            stockNumbers

	shared columnSet // with another index; VIN is for vins and the table. Only writers look at it
}

// Days on lot of sold vehicles stand in one column with the days from which they count for the others.
const (
	firstSold = math.MinInt32
	maxDays   = 1 << 30
)

const vinSize = 17

// len is the number of vehicles.
func (c *columns) len() int { return len(c.versions) }

// vin is a vehicle's VIN with zeros behind it.
func (c *columns) vin(slot uint32) []byte {
	return c.vins[int(slot)*vinSize : int(slot)*vinSize+vinSize]
}

func unpadded(vin string) string { return strings.TrimRight(vin, "\x00") }

// New makes an empty index that keeps documents within a budget.
func New(documents *Budget) *Index {
	x := &Index{table: make([]uint32, 16), seed: maphash.MakeSeed()}
	x.stock = stockNumbers{text: []byte{'\n'}}
	for i := range x.texts {
		x.texts[i] = newDictionary()
	}
	x.docs.budget = documents
	documents.join(&x.docs)
	return x
}

// Close gives the room of the index's documents back. Who has the index yet may go on.
func (x *Index) Close() { _, _ = x.docs.budget.leave(&x.docs) }

// Reserve makes room for n vehicles in all, so that loading them does not copy columns and leaves none over.
func (x *Index) Reserve(n int) {
	x.writer.Lock()
	defer x.writer.Unlock()
	if more := n - x.len(); more > 0 {
		c, table := x.columns.exact(more), x.tableFor(more)
		x.mu.Lock()
		x.columns, x.table = c, table
		x.mu.Unlock()
	}
}

// Len is the number of vehicles.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.len()
}

// Version of a vehicle in the index.
func (x *Index) Version(vin string) (int64, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	slot, ok := x.find(vin)
	if !ok {
		return 0, false
	}
	return x.versions[slot], true
}

// Put adds vehicles, or replaces those whose version it has is not newer. When a document is damaged, nothing is done. Of
// several rows of one vehicle the last of the newest counts.
func (x *Index) Put(rows []Row) error {
	records := make([]record, len(rows))
	for i := range rows {
		if err := check(&rows[i], &records[i]); err != nil {
			return err
		}
	}
	x.writer.Lock()
	defer x.writer.Unlock()
	x.grow(x.news(records))
	x.docs.grow(cap(x.versions))
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range rows {
		x.put(&rows[i], &records[i])
	}
	x.forgetLateOrders()
	x.kept.clear(x.len())
	return nil
}

// news is how many vehicles there is to be room for, and how many bytes of stock numbers.
func (x *Index) news(records []record) (more, stockSize int) {
	for i := range records {
		r := &records[i]
		slot, known := x.find(r.vin)
		if !known {
			more++
		}
		if !known || string(x.stock.of(slot)) != r.stock {
			stockSize += len(r.stock) + 1 + slotBytes
		}
	}
	return more, stockSize
}

var errRow = errors.New("a vehicle that can't be indexed")

func check(row *Row, r *record) error {
	if err := r.read(row.Document); err != nil {
		return fmt.Errorf("vehicle %q: %w", row.VIN, err)
	}
	switch {
	case r.vin != row.VIN:
		return fmt.Errorf("vehicle %q: %w: it is of %q", row.VIN, errDamaged, r.vin)
	case row.LotSince < -maxDays || row.LotSince > maxDays:
		return fmt.Errorf("%w: %q: on the lot since day %d", errRow, row.VIN, row.LotSince)
	}
	r.text[dealerships] = row.DealershipID
	r.stock = strings.ToLower(r.stock)
	return nil
}

// put adds or replaces one vehicle.
func (x *Index) put(row *Row, r *record) {
	slot, known := x.find(r.vin)
	switch {
	case !known:
		slot = x.add(r.vin)
	case row.Version < x.versions[slot]:
		return
	}
	lot := int32(row.LotSince)
	if r.days != none {
		lot = firstSold + r.days
	}
	var changed columnSet
	x.versions[slot] = row.Version
	set(x, &changed, DaysOnLot, &x.lot, slot, lot)
	set(x, &changed, Year, &x.years, slot, r.year)
	set(x, &changed, Mileage, &x.mileages, slot, r.mileage)
	set(x, &changed, Price, &x.prices, slot, r.price)
	set(x, &changed, InternetPrice, &x.internets, slot, r.internet)
	set(x, &changed, Created, &x.created, slot, r.created)
	set(x, &changed, Updated, &x.updated, slot, r.updated)
	for i, d := range x.texts {
		x.setText(&changed, i, d, slot, r.text[i], known)
	}
	if x.stock.set(slot, r.stock) {
		changed.add(StockNumber)
	}
	if !known || changed.has(Created) { // by which all orders end
		changed = allColumns
	}
	x.disorder(slot, changed)
	x.docs.put(slot, row.Document)
}

func set[T comparable](x *Index, changed *columnSet, c Column, column *[]T, slot uint32, value T) {
	if (*column)[slot] != value {
		own(&x.columns, c, column)
		(*column)[slot] = value
		changed.add(c)
	}
}

// own makes a column one that no other index shares.
func own[T any](c *columns, which Column, column *[]T) {
	if c.shared.has(which) {
		*column = slices.Clone(*column)
		c.shared.remove(which)
	}
}

func (x *Index) setText(changed *columnSet, i int, d *dictionary, slot uint32, text string, known bool) {
	old := x.codes[i][slot]
	if known && d.words[old].text == text {
		return
	}
	own(&x.columns, textColumns[i], &x.codes[i])
	x.codes[i][slot] = d.take(text)
	if known {
		d.give(old)
	}
	changed.add(textColumns[i])
	if i == dealerships {
		changed.add(DaysOnLot) // its day may be another
	}
}

// add gives a new vehicle its slot.
func (x *Index) add(vin string) (slot uint32) {
	slot = uint32(x.len())
	x.columns.extend(int(slot) + 1)
	copy(x.vin(slot), vin)
	for i := x.hash(vin); ; i++ {
		if at := &x.table[i&uint64(len(x.table)-1)]; *at == 0 {
			*at = slot + 1
			return slot
		}
	}
}

// find is the slot of a VIN.
func (x *Index) find(vin string) (slot uint32, ok bool) {
	for i := x.hash(vin); ; i++ {
		at := x.table[i&uint64(len(x.table)-1)]
		if at == 0 {
			return 0, false
		}
		if isVIN(x.vin(at-1), vin) {
			return at - 1, true
		}
	}
}

func isVIN(padded []byte, vin string) bool {
	return len(vin) <= vinSize && string(padded[:len(vin)]) == vin && (len(vin) == vinSize || padded[len(vin)] == 0)
}

func (x *Index) hash(vin string) uint64 { return maphash.String(x.seed, vin) }

// tableFor is a table with room for more vehicles, three quarters full at most.
func (x *Index) tableFor(more int) []uint32 {
	size := len(x.table)
	for (x.len()+more)*4 > size*3 {
		size *= 2
	}
	switch {
	case size > len(x.table):
	case more > 0 && x.shared.has(VIN):
		return slices.Clone(x.table)
	default:
		return x.table
	}
	table := make([]uint32, size)
	for slot := range uint32(x.len()) {
		i := maphash.Bytes(x.seed, bytes.TrimRight(x.vin(slot), "\x00"))
		for table[i&uint64(size-1)] != 0 {
			i++
		}
		table[i&uint64(size-1)] = slot + 1
	}
	return table
}

// grown is a list with room for more items: itself or a copy.
func grown[T any](list []T, more int) []T {
	if len(list)+more <= cap(list) {
		return list
	}
	return sized(list, len(list)+more+len(list)/8)
}

func sized[T any](list []T, size int) []T { return append(make([]T, 0, size), list...) }

// grow makes room for more vehicles and bytes of stock numbers, in what no other index shares. Readers go on meanwhile; only one
// column at a time is there twice.
func (x *Index) grow(more, stockSize int) {
	if more > 0 || stockSize > 0 {
		stock := x.stock
		if x.shared.has(StockNumber) {
			stock.text, stock.at = slices.Clone(stock.text), slices.Clone(stock.at)
		}
		stock = stock.grown(more, stockSize)
		x.replace(StockNumber, func() { x.stock = stock })
	}
	if more == 0 {
		return
	}
	table := x.tableFor(more)
	widen(x, VIN, &x.vins, more*vinSize) // from here on VIN is no longer shared, nor is the new table
	x.replace(VIN, func() { x.table = table })
	widen(x, numColumns, &x.versions, more) // shared with none
	widen(x, DaysOnLot, &x.lot, more)
	widen(x, Year, &x.years, more)
	widen(x, Mileage, &x.mileages, more)
	widen(x, Price, &x.prices, more)
	widen(x, InternetPrice, &x.internets, more)
	widen(x, Created, &x.created, more)
	widen(x, Updated, &x.updated, more)
	for i := range x.codes {
		widen(x, textColumns[i], &x.codes[i], more)
	}
}

func (x *Index) replace(which Column, swap func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	swap()
	x.shared.remove(which)
}

func widen[T any](x *Index, which Column, column *[]T, more int) {
	if wide := grown(free(&x.columns, which, *column), more); cap(wide) != cap(*column) || x.shared.has(which) {
		x.replace(which, func() { *column = wide })
	}
}

// free is a column without the room that another index may use, if there is one.
func free[T any](c *columns, which Column, column []T) []T {
	if c.shared.has(which) {
		return column[:len(column):len(column)]
	}
	return column
}

// exact are the columns with room for so many more vehicles and no others.
func (c *columns) exact(more int) columns {
	n := c.len() + more
	next := columns{
		vins: sized(c.vins, n*vinSize), versions: sized(c.versions, n), lot: sized(c.lot, n), years: sized(c.years, n), mileages: sized(c.mileages, n),
		prices: sized(c.prices, n), internets: sized(c.internets, n), created: sized(c.created, n), updated: sized(c.updated, n),
		stock: stockNumbers{text: slices.Clone(c.stock.text), at: sized(c.stock.at, n), dead: c.stock.dead},
	}
	for i := range c.codes {
		next.codes[i] = sized(c.codes[i], n)
	}
	return next
}

// extend makes the columns n long, which they have room for.
func (c *columns) extend(n int) {
	c.vins, c.versions, c.lot, c.years, c.mileages = c.vins[:n*vinSize], c.versions[:n], c.lot[:n], c.years[:n], c.mileages[:n]
	c.prices, c.internets, c.created, c.updated, c.stock.at = c.prices[:n], c.internets[:n], c.created[:n], c.updated[:n], c.stock.at[:n]
	for i := range c.codes {
		c.codes[i] = c.codes[i][:n]
	}
}

// Bytes of memory the index takes, about, without kept documents.
func (x *Index) Bytes() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.bytes(0)
}

// OwnBytes are those of them that it does not share with the index it was forked from, or with its forks.
func (x *Index) OwnBytes() int64 {
	x.writer.Lock()
	defer x.writer.Unlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.bytes(x.shared)
}

func (x *Index) bytes(without columnSet) (n int64) {
	add := func(c Column, size int) {
		if !without.has(c) {
			n += int64(size)
		}
	}
	add(VIN, cap(x.vins)+4*cap(x.table))
	add(StockNumber, cap(x.stock.text)+4*cap(x.stock.at))
	add(DaysOnLot, 4*cap(x.lot))
	add(Year, 2*cap(x.years))
	add(Mileage, 4*cap(x.mileages))
	add(Price, 8*cap(x.prices))
	add(InternetPrice, 8*cap(x.internets))
	add(Created, 4*cap(x.created))
	add(Updated, 4*cap(x.updated))
	for i, d := range x.texts {
		add(textColumns[i], 4*cap(x.codes[i]))
		n += d.bytes()
	}
	return n + int64(8*cap(x.versions)) + x.orderBytes() + x.kept.size()
}
