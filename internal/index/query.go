package index

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"carfluence/internal/vehicle"
)

// Column is a value of vehicles by which lists are filtered, sorted or counted.
type Column uint8

// The columns.
const (
	VIN Column = iota
	StockNumber
	Year
	Make
	Model
	Trim
	Price
	InternetPrice
	Mileage
	BodyStyle
	Condition
	Status
	DaysOnLot
	Created
	Updated
	DealershipID
	SourceIntegrationID

	numColumns
)

var columnNames = [numColumns]string{
	"vin", vehicle.StockNumber.String(), vehicle.Year.String(), vehicle.Make.String(), vehicle.Model.String(), vehicle.Trim.String(),
	vehicle.Price.String(), vehicle.InternetPrice.String(), vehicle.Mileage.String(), vehicle.BodyStyle.String(), vehicle.Condition.String(),
	vehicle.Status.String(), "days_on_lot", "created_at", "updated_at", vehicle.DealershipID.String(), "source_integration_id",
}

// String is the column's name on the wire.
func (c Column) String() string { return columnNames[c] }

// textColumns are the columns that have dictionaries.
var textColumns = [numTexts]Column{
	makes: Make, models: Model, trims: Trim, dealerships: DealershipID, sources: SourceIntegrationID, bodies: BodyStyle, conditions: Condition, statuses: Status,
}

// text is the number of the column's dictionary, -1 when it has none.
func (c Column) text() int { return slices.Index(textColumns[:], c) }

// Listed columns can be filtered by lists and counted.
func (c Column) Listed() bool { return c.text() >= 0 }

// Ranged columns can be filtered by ranges.
func (c Column) Ranged() bool {
	switch c {
	case Year, Price, InternetPrice, Mileage, DaysOnLot:
		return true
	}
	return false
}

type columnSet uint32

const allColumns columnSet = 1<<numColumns - 1

func (s *columnSet) add(c Column)     { *s |= 1 << c }
func (s *columnSet) remove(c Column)  { *s &^= 1 << c }
func (s columnSet) has(c Column) bool { return s&(1<<c) != 0 }

// Query says which vehicles, and in which order. Filters hold together.
type Query struct {
	Status       string           // vehicle.StatusActive, vehicle.StatusSold, "" for both
	Lists        map[Column]List  // of Listed columns
	Ranges       map[Column]Range // of Ranged columns
	UpdatedSince int64            // Unix seconds, inclusive; 0 for any time
	Search       string           // in lower case; part of VIN, make, model or stock number; "" for none
	Sort         []Key            // then, and without any, by created_at descending and VIN; missing values come last
	Facets       []Column         // Listed columns whose values are counted
}

// List is what a text must be and must not be, whatever the case. Null stands for vehicles without a value. An empty Include
// includes all.
type List struct{ Include, Exclude []string }

func (l List) empty() bool { return len(l.Include)+len(l.Exclude) == 0 }

// Null in a list stands for vehicles without a value.
const Null = "null"

// Range of numbers, inclusive; of prices in cents. Vehicles without a value lie outside any.
type Range struct{ Min, Max int64 }

// Open sides of a range.
const (
	OpenMin = math.MinInt64
	OpenMax = math.MaxInt64
)

// Key is one sort key.
type Key struct {
	Column
	Descending bool
}

// Key is a text that is the same for queries that mean the same.
func (q *Query) Key() string {
	b := q.appendSort(q.appendFilter(nil))
	for _, c := range q.Facets {
		b = append(b, 'f', byte(c))
	}
	return string(b)
}

// appendFilter appends what tells the query's matches from others. No part is the beginning of another.
func (q *Query) appendFilter(b []byte) []byte {
	b = appendPart(b, q.Status)
	b = appendPart(b, q.Search)
	b = append(strconv.AppendInt(b, max(0, q.UpdatedSince), 10), ';')
	for c := range numColumns {
		if l := q.Lists[c]; !l.empty() {
			b = append(b, 'l', byte(c))
			b = appendList(appendList(b, l.Include), l.Exclude)
		}
		if r, ok := q.Ranges[c]; ok {
			b = append(b, 'r', byte(c))
			b = append(strconv.AppendInt(b, r.Min, 10), ':')
			b = append(strconv.AppendInt(b, r.Max, 10), ';')
		}
	}
	return append(b, '|')
}

func appendPart(b []byte, text string) []byte {
	b = append(strconv.AppendInt(b, int64(len(text)), 10), ':')
	return append(b, text...)
}

func appendList(b []byte, list []string) []byte {
	folded := make([]string, len(list))
	for i, text := range list {
		folded[i] = strings.ToLower(text)
	}
	slices.Sort(folded)
	folded = slices.Compact(folded)
	b = append(strconv.AppendInt(b, int64(len(folded)), 10), ';')
	for _, text := range folded {
		b = appendPart(b, text)
	}
	return b
}

func (q *Query) appendSort(b []byte) []byte {
	for _, k := range q.sorting() {
		b = append(b, 's', byte(k.Column))
		if k.Descending {
			b = append(b, '-')
		}
	}
	return append(b, '|')
}

// byDefault is how ties of all orders are resolved, then by VIN.
var byDefault = Key{Created, true}

// sorting are the keys that count: each column once, nothing behind the VIN, and nothing that is so anyway.
func (q *Query) sorting() []Key {
	var keys []Key
	for _, k := range q.Sort {
		if !slices.ContainsFunc(keys, func(o Key) bool { return o.Column == k.Column }) {
			keys = append(keys, k)
		}
		if k.Column == VIN {
			break
		}
	}
	if n := len(keys); n > 0 && keys[n-1] == byDefault {
		keys = keys[:n-1]
	}
	return keys
}

// dated queries have other answers on other days.
func (q *Query) dated() bool {
	_, ranged := q.Ranges[DaysOnLot]
	return ranged || slices.ContainsFunc(q.Sort, func(k Key) bool { return k.Column == DaysOnLot })
}
