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
	stockSize := 0
	for i := range rows {
		if err := check(&rows[i], &records[i]); err != nil {
			return err
		}
		stockSize += len(records[i].stock) + 1 + slotBytes
	}
	x.writer.Lock()
	defer x.writer.Unlock()
	c, table := x.columns.roomy(len(rows), stockSize), x.tableFor(len(rows)) // readers go on meanwhile
	x.docs.grow(cap(c.versions))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.columns, x.table = c, table
	for i := range rows {
		x.put(&rows[i], &records[i])
	}
	x.forgetLateOrders()
	x.kept.clear(x.len())
	return nil
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
	set(&changed, DaysOnLot, x.lot, slot, lot)
	set(&changed, Year, x.years, slot, r.year)
	set(&changed, Mileage, x.mileages, slot, r.mileage)
	set(&changed, Price, x.prices, slot, r.price)
	set(&changed, InternetPrice, x.internets, slot, r.internet)
	set(&changed, Created, x.created, slot, r.created)
	set(&changed, Updated, x.updated, slot, r.updated)
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

func set[T comparable](changed *columnSet, c Column, column []T, slot uint32, value T) {
	if column[slot] != value {
		column[slot] = value
		changed.add(c)
	}
}

func (x *Index) setText(changed *columnSet, i int, d *dictionary, slot uint32, text string, known bool) {
	old := x.codes[i][slot]
	if known && d.words[old].text == text {
		return
	}
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
	if size == len(x.table) {
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

// roomy are the columns with room for more vehicles and bytes of stock numbers.
func (c *columns) roomy(more, stockSize int) columns {
	next := columns{
		vins: grown(c.vins, more*vinSize), versions: grown(c.versions, more), lot: grown(c.lot, more), years: grown(c.years, more), mileages: grown(c.mileages, more),
		prices: grown(c.prices, more), internets: grown(c.internets, more), created: grown(c.created, more), updated: grown(c.updated, more),
		stock: c.stock.grown(more, stockSize),
	}
	for i := range c.codes {
		next.codes[i] = grown(c.codes[i], more)
	}
	return next
}

// exact are the columns with room for so many more vehicles and no others.
func (c *columns) exact(more int) columns {
	n := c.len() + more
	next := columns{
		vins: sized(c.vins, n*vinSize), versions: sized(c.versions, n), lot: sized(c.lot, n), years: sized(c.years, n), mileages: sized(c.mileages, n),
		prices: sized(c.prices, n), internets: sized(c.internets, n), created: sized(c.created, n), updated: sized(c.updated, n), stock: c.stock,
	}
	next.stock.at = sized(c.stock.at, n)
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
	n := int64(cap(x.vins)) + int64(cap(x.versions))*(8+4+2+4+8+8+4+4+4*numTexts) + int64(cap(x.stock.at))*4 + int64(cap(x.stock.text)) + int64(cap(x.table))*4
	for _, d := range x.texts {
		n += d.bytes()
	}
	return n + x.orderBytes() + x.kept.size()
}
