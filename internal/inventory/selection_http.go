package inventory

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/index"
	"carfluence/internal/money"
	"carfluence/internal/vehicle"
)

// Limits of a selection.
const (
	maxListed   = 100 // values of one filter
	maxSortKeys = 5
)

// SelectionInput are the parameters that say which vehicles of the inventory to show, and in which order. Ranges include their
// ends; a vehicle without the value lies outside any.
type SelectionInput struct {
	Condition    string `query:"condition" doc:"new or used. Like the next four: up to 100 values are separated by commas (\\, for one within a value), letter case does not matter, ! before a value leaves its vehicles out, and null stands for vehicles without a value." example:"used"`
	DealershipID string `query:"dealership_id" doc:"Ids of dealerships."`
	Make         string `query:"make" example:"Ford,!Lincoln"`
	Model        string `query:"model" example:"F-150"`
	BodyStyle    string `query:"body_style" example:"SUV,Truck"`

	YearMin      string `query:"year_min" doc:"Whole number, as all limits but those of the price." example:"2020"`
	YearMax      string `query:"year_max"`
	PriceMin     string `query:"price_min" doc:"Amount with two decimal places at most." example:"19999.50"`
	PriceMax     string `query:"price_max"`
	MileageMin   string `query:"mileage_min"`
	MileageMax   string `query:"mileage_max" example:"60000"`
	DaysOnLotMin string `query:"days_on_lot_min" example:"61"`
	DaysOnLotMax string `query:"days_on_lot_max"`
	UpdatedSince string `query:"updated_since" doc:"RFC 3339 time; its second is included. Sold vehicles are updated too: ask with status=all." example:"2026-11-23T06:00:00Z"`

	Sort string `query:"sort" doc:"Up to five keys separated by commas, - before one for descending: vin, stock_number, year, make, model, trim, price, internet_price, mileage, body_style, condition, status, days_on_lot, created_at, updated_at. Vehicles without the value come last either way; ties are newest first, then by VIN." example:"make,-price"`
}

// sortable and counted are the columns by which lists are sorted and facets are made.
var (
	sortable = []index.Column{
		index.VIN, index.StockNumber, index.Year, index.Make, index.Model, index.Trim, index.Price, index.InternetPrice, index.Mileage,
		index.BodyStyle, index.Condition, index.Status, index.DaysOnLot, index.Created, index.Updated,
	}
	counted = []index.Column{index.Make, index.Model, index.Condition, index.BodyStyle, index.DealershipID}
)

// reader collects what is wrong with parameters.
type reader struct{ faults []errs.Fault }

func (r *reader) fault(parameter, detail string, args ...any) {
	r.faults = append(r.faults, errs.In(parameter, fmt.Sprintf(detail, args...)))
}

func (r *reader) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return errs.Invalid("invalid", "The list can't be made as asked for; errors lists every fault.", r.faults...)
}

// read makes a query of the parameters.
func (in *SelectionInput) read(r *reader, q *index.Query) {
	for _, f := range []struct {
		column index.Column
		text   string
	}{{index.Condition, in.Condition}, {index.DealershipID, in.DealershipID}, {index.Make, in.Make}, {index.Model, in.Model}, {index.BodyStyle, in.BodyStyle}} {
		if f.text != "" {
			r.list(q, f.column, f.text)
		}
	}
	for _, f := range []struct {
		column   index.Column
		min, max string
	}{{index.Year, in.YearMin, in.YearMax}, {index.Price, in.PriceMin, in.PriceMax}, {index.Mileage, in.MileageMin, in.MileageMax}, {index.DaysOnLot, in.DaysOnLotMin, in.DaysOnLotMax}} {
		if f.min+f.max != "" {
			r.limits(q, f.column, f.min, f.max)
		}
	}
	if in.UpdatedSince != "" {
		since, err := time.Parse(time.RFC3339, in.UpdatedSince)
		if err != nil {
			r.fault("updated_since", "must be a time like 2026-11-23T06:00:00Z; in a URL, write + as %%2B")
		}
		q.UpdatedSince = max(1, since.Unix())
	}
	if in.Sort != "" {
		q.Sort = r.keys(in.Sort)
	}
}

// list reads a filter's values.
func (r *reader) list(q *index.Query, c index.Column, text string) {
	var l index.List
	values := separate(text)
	if len(values) > maxListed {
		r.fault(c.String(), "lists %d values, more than %d", len(values), maxListed)
		return
	}
	for _, value := range values {
		value, left := strings.CutPrefix(value, "!")
		value = strings.TrimSpace(value)
		if value == "" {
			r.fault(c.String(), "has an empty value; null stands for vehicles without one")
			return
		}
		if left {
			l.Exclude = append(l.Exclude, value)
		} else {
			l.Include = append(l.Include, value)
		}
	}
	if q.Lists == nil {
		q.Lists = map[index.Column]index.List{}
	}
	q.Lists[c] = l
}

// separate splits at commas that have no backslash before them.
func separate(text string) []string {
	const here = "\x00"
	parts := strings.Split(strings.ReplaceAll(text, `\,`, here), ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(strings.ReplaceAll(parts[i], here, ","))
	}
	return parts
}

func (r *reader) limits(q *index.Query, c index.Column, lowest, highest string) {
	least, ok := r.limit(c, "_min", lowest, index.OpenMin)
	most, ok2 := r.limit(c, "_max", highest, index.OpenMax)
	if ok && ok2 && least > most {
		r.fault(c.String()+"_min", "is above %s_max", c)
	}
	if q.Ranges == nil {
		q.Ranges = map[index.Column]index.Range{}
	}
	q.Ranges[c] = index.Range{Min: least, Max: most}
}

func (r *reader) limit(c index.Column, end, text string, open int64) (n int64, ok bool) {
	if text == "" {
		return open, true
	}
	if c == index.Price {
		a, err := money.Parse(text)
		if err != nil || a.Cents() < 0 {
			r.fault(c.String()+end, "must be an amount like 19999.50")
		}
		return a.Cents(), err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		r.fault(c.String()+end, "must be a whole number from 0 to %d", math.MaxInt32)
	}
	return n, err == nil
}

func (r *reader) keys(text string) (keys []index.Key) {
	names := strings.Split(text, ",")
	if len(names) > maxSortKeys {
		r.fault("sort", "has %d keys, more than %d", len(names), maxSortKeys)
		return nil
	}
	for _, name := range names {
		name, descending := strings.CutPrefix(strings.TrimSpace(name), "-")
		i := slices.IndexFunc(sortable, func(c index.Column) bool { return c.String() == name })
		if i < 0 {
			r.fault("sort", "%s is none of %s", quoted(name), namesOf(sortable))
			continue
		}
		keys = append(keys, index.Key{Column: sortable[i], Descending: descending})
	}
	return keys
}

func (r *reader) facets(text string) (columns []index.Column) {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(counted, func(c index.Column) bool { return c.String() == name })
		switch {
		case i < 0:
			r.fault("facets", "%s is none of %s", quoted(name), namesOf(counted))
		case !slices.Contains(columns, counted[i]):
			columns = append(columns, counted[i])
		}
	}
	return columns
}

func quoted(name string) string {
	if len(name) > 40 {
		name = name[:40] + "…"
	}
	return strconv.Quote(strings.ToValidUTF8(name, "?"))
}

func namesOf(columns []index.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}

// fields reads which members of vehicles to show.
func (r *reader) fields(text string, sensitive bool) (names []string) {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		f, known := vehicle.FieldNamed(name)
		switch {
		case slices.Contains(names, name):
		case known && (sensitive || !f.Sensitive()), slices.Contains(unlisted, name):
			names = append(names, name)
		case known:
			r.fault("fields", "%s is shown to administrators only", name)
		default:
			r.fault("fields", "%s", vehicle.UnknownField(name))
		}
	}
	return names
}

// unlisted are the members of records that are no fields.
var unlisted = []string{"vin", "days_on_lot", "source_integration_id", "created_at", "updated_at", "vin_status", "sold_at", "relisted_at"}
