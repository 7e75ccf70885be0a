package index_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/index"
	"carfluence/internal/money"
	"carfluence/internal/vehicle"
)

// car is a vehicle as the tests know it; -1 is no number, "" no text.
type car struct {
	vin, stock, make, model, trim, body, condition, status, source, dealership string
	year, mileage, price, internet                                             int64
	soldDays, lotSince                                                         int64
	created, updated                                                           int64
	version                                                                    int64
}

// document is written as the inventory writes it; a test there holds its writer to what the index reads.
func (c *car) document() string {
	b := []byte(`{"vin":"` + c.vin + `"`)
	for _, m := range []struct {
		field vehicle.Field
		value string
	}{
		{vehicle.StockNumber, c.stock}, {vehicle.Year, whole(c.year)}, {vehicle.Make, c.make}, {vehicle.Model, c.model}, {vehicle.Trim, c.trim},
		{vehicle.Price, amount(c.price)}, {vehicle.InternetPrice, amount(c.internet)}, {vehicle.Mileage, whole(c.mileage)},
		{vehicle.ExteriorColor, `Ruby "Red"`}, {vehicle.InteriorColor, ""}, {vehicle.BodyStyle, c.body}, {vehicle.Condition, c.condition}, {vehicle.Status, c.status},
	} {
		b = vehicle.AppendValue(vehicle.AppendKey(b, m.field), m.field, m.value)
	}
	b = append(b, `,"days_on_lot":`...)
	if c.status == vehicle.StatusSold {
		b = strconv.AppendInt(b, c.soldDays, 10)
	} else {
		b = append(b, 0x1f)
	}
	b = append(b, `,"source_integration_id":`...)
	if c.source == "" {
		b = append(b, `null`...)
	} else {
		b = vehicle.AppendString(b, c.source)
	}
	return string(b) + `,"created_at":"` + instant(c.created) + `","updated_at":"` + instant(c.updated) + `","vin_status":"valid"}`
}

func whole(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func amount(cents int64) string {
	if cents < 0 {
		return ""
	}
	return money.FromCents(cents).String()
}

func instant(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func (c *car) row() index.Row {
	return index.Row{VIN: c.vin, Version: c.version, LotSince: c.lotSince, DealershipID: c.dealership, Document: c.document()}
}

func rowsOf(cars []*car) []index.Row {
	rows := make([]index.Row, len(cars))
	for i, c := range cars {
		rows[i] = c.row()
	}
	return rows
}

func (c *car) text(column index.Column) string {
	switch column {
	case index.VIN:
		return c.vin
	case index.StockNumber:
		return c.stock
	case index.Make:
		return c.make
	case index.Model:
		return c.model
	case index.Trim:
		return c.trim
	case index.BodyStyle:
		return c.body
	case index.Condition:
		return c.condition
	case index.Status:
		return c.status
	case index.DealershipID:
		return c.dealership
	case index.SourceIntegrationID:
		return c.source
	}
	return ""
}

func (c *car) number(column index.Column, today index.Today) int64 {
	switch column {
	case index.Year:
		return c.year
	case index.Mileage:
		return c.mileage
	case index.Price:
		return c.price
	case index.InternetPrice:
		return c.internet
	case index.Created:
		return c.created
	case index.Updated:
		return c.updated
	case index.DaysOnLot:
		if c.status == vehicle.StatusSold {
			return c.soldDays
		}
		return max(0, today(c.dealership)-c.lotSince)
	}
	return -1
}

// model answers queries the slow and plain way.
type model map[string]*car

func (m model) page(q *index.Query, today index.Today) (vins []string, facets []index.Facet) {
	found := m.found(q, index.VIN, today)
	slices.SortFunc(found, func(a, b *car) int { return compare(q, a, b, today) })
	for _, c := range found {
		vins = append(vins, c.vin)
	}
	for _, column := range q.Facets {
		facets = append(facets, index.Facet{Column: column, Counts: counted(m.found(q, column, today), column)})
	}
	return vins, facets
}

// found are the vehicles that pass all filters but a column's list.
func (m model) found(q *index.Query, but index.Column, today index.Today) (found []*car) {
	for _, c := range m {
		if c.passes(q, but, today) {
			found = append(found, c)
		}
	}
	return found
}

func (c *car) passes(q *index.Query, but index.Column, today index.Today) bool {
	if q.Status != "" && q.Status != c.status || q.UpdatedSince > 0 && c.updated < q.UpdatedSince {
		return false
	}
	text := strings.ToLower(c.vin + "\n" + c.make + "\n" + c.model + "\n" + c.stock)
	if !strings.Contains(text, q.Search) || strings.Contains(q.Search, "\n") {
		return false
	}
	for column, l := range q.Lists {
		value := strings.ToLower(cmp.Or(c.text(column), "null"))
		has := func(list []string) bool {
			return slices.ContainsFunc(list, func(s string) bool { return strings.ToLower(s) == value })
		}
		if column != but && (len(l.Include) > 0 && !has(l.Include) || has(l.Exclude)) {
			return false
		}
	}
	for column, r := range q.Ranges {
		if n := c.number(column, today); n < 0 || n < r.Min || n > r.Max {
			return false
		}
	}
	return true
}

func compare(q *index.Query, a, b *car, today index.Today) int {
	for _, k := range q.Sort {
		s, t := strings.ToLower(a.text(k.Column)), strings.ToLower(b.text(k.Column))
		n, m := a.number(k.Column, today), b.number(k.Column, today)
		none, other := s == "" && n < 0, t == "" && m < 0
		if none != other {
			if none {
				return 1
			}
			return -1
		}
		order := cmp.Or(strings.Compare(s, t), cmp.Compare(n, m))
		if k.Descending {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.vin, b.vin))
}

func counted(found []*car, column index.Column) []index.Count {
	spelled := map[string]map[string]int64{}
	for _, c := range found {
		text := c.text(column)
		fold := strings.ToLower(text)
		if spelled[fold] == nil {
			spelled[fold] = map[string]int64{}
		}
		spelled[fold][text]++
	}
	out := []index.Count{}
	for _, ways := range spelled {
		sum, best, most := int64(0), "", int64(0)
		for text, n := range ways {
			sum += n
			if n > most || n == most && text < best {
				best, most = text, n
			}
		}
		out = append(out, index.Count{Value: best, N: sum})
	}
	slices.SortFunc(out, func(a, b index.Count) int {
		fold := func(c index.Count) string { return cmp.Or(strings.ToLower(c.Value), "\U0010ffff") }
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(fold(a), fold(b)))
	})
	return out
}

// generated is the i-th vehicle of a stock of a million, the same at each run.
func generated(i int) *car {
	h := mix(uint64(i) + 1)
	draw := func(n uint64) int64 { h = mix(h); return int64(h % n) }
	brand := min(draw(40), draw(40))
	name := fmt.Sprintf("%s %d", brands[brand][1:3], min(draw(30), draw(60)))
	c := &car{
		vin: "1FTEW1EF" + fmt.Sprintf("%09d", mix(uint64(i))%1_000_000_000), stock: fmt.Sprintf("%c%06d", 'A'+draw(26), draw(1_000_000)),
		make: brands[brand], model: brands[brand] + " " + name, trim: fmt.Sprintf("Trim %d", draw(200)), body: bodies[draw(uint64(len(bodies)))],
		condition: "used", status: vehicle.StatusActive, source: fmt.Sprintf("0199d5a0-5d2c-7c3f-9b64-0000000000%02d", draw(20)),
		dealership: fmt.Sprintf("0199d5a0-5d2c-7c3f-9b64-000000000%03d", draw(300)),
		year:       2026 - min(draw(20), draw(20)), mileage: draw(120_000), price: (5_000+draw(60_000))*100 - 100, internet: (5_000 + draw(60_000)) * 100,
		lotSince: 20_000 - draw(300), created: 1_700_000_000 + draw(20_000_000), updated: 1_720_000_000 + draw(10_000_000), version: 1, soldDays: -1,
	}
	c.vin = c.vin[:3] + vinLetters[draw(12)] + c.vin[4:]
	if draw(3) == 0 {
		c.condition = "new"
	}
	if draw(5) == 0 {
		c.status, c.soldDays = vehicle.StatusSold, draw(200)
	}
	if draw(20) == 0 {
		c.price, c.mileage, c.trim = -1, -1, ""
	}
	return c
}

var (
	vinLetters = [...]string{"E", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S"}
	bodies     = [...]string{"Sedan", "Coupe", "SUV", "Truck", "Van", "Wagon", "Other", "Minivan"}
	brands     = [...]string{
		"Ford", "Chevrolet", "Toyota", "Honda", "Nissan", "Jeep", "Ram", "GMC", "Hyundai", "Kia", "Subaru", "Volkswagen", "BMW", "Mercedes-Benz", "Audi",
		"Lexus", "Mazda", "Dodge", "Buick", "Cadillac", "Chrysler", "Acura", "Infiniti", "Volvo", "Lincoln", "Mitsubishi", "Porsche", "Land Rover", "Tesla",
		"Genesis", "Jaguar", "Mini", "Fiat", "Alfa Romeo", "Maserati", "Bentley", "Ferrari", "Lamborghini", "Rolls-Royce", "McLaren",
	}
)

// mix scrambles a number (splitmix64).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func open() index.Range { return index.Range{Min: math.MinInt64, Max: math.MaxInt64} }
