package mapping

import (
	"fmt"
	"slices"
	"strings"

	"carfluence/internal/errs"
	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

// Edition is part of the hash by which a row is known again. Raise it when the same cells mean something else in a new
// version of the program; every row is then read again.
const Edition = "1"

// Problem is what was wrong with a row, or odd about it.
type Problem struct {
	Line   int    // physical line of the row
	Column string // as in the header; "" for the row as a whole
	Value  string // as found, shortened
	Reason string
	// Refused: the row was left out. Otherwise it was used, and this is a warning.
	Refused bool
	// Skipped: the row was left out and nothing is wrong with it, as a lead without a vehicle.
	Skipped bool
}

// Mapping knows which columns of one file feed which field. It is safe for use by several goroutines.
type Mapping struct {
	Notes    []string // what was odd about the header, and columns of the own mapping that it lacks
	Unmapped []string // columns that feed nothing, but those the own mapping ignores

	options Options
	vins    []column
	targets []target
	custom  []property
	// Columns of photos that are joined: what the own mapping names comes before the list of photos, what is
	// numbered after it.
	ownPhotos, photos []column
}

// target is a field and the columns that feed it, best first.
type target struct {
	field   vehicle.Field
	columns []column
}

// property is a custom property and the column that feeds it.
type property struct {
	name string
	column
}

// column is one column of a file.
type column struct {
	index    int
	name     string
	key      string
	own      bool // named by the integration's own mapping
	doubtful bool
	pipes    bool // lists in it are separated by |
}

// New maps a header by the own mapping of the options, then by the synonym table of their type. sample holds
// the cells of some rows: without VINs in a column of that name, the one whose values are VINs is it.
func New(header []string, sample [][]string, o Options) (*Mapping, error) {
	m := mapHeader(header, sample, o)
	if len(m.vins) == 0 {
		return nil, errs.Invalid("vin_column_missing", "No column of the file holds VINs. Its columns are: "+quoteNames(header)+".")
	}
	return m, nil
}

// mapHeader is New without the demand for VINs.
func mapHeader(header []string, sample [][]string, o Options) *Mapping {
	m := &Mapping{options: o}
	h := m.readHeader(header, sample)
	m.vins = h.vins(m)
	for _, s := range candidates(o.Type) {
		if s.field == vehicle.Status && h.lead {
			s.columns = ""
		}
		m.feed(h, s)
	}
	for _, c := range h.all {
		if numberedPhoto(c.key) && !h.used[c.index] && !h.lead && h.own[c.key] == nil {
			m.photos = append(m.photos, h.use(c))
		}
	}
	m.custom = h.properties()
	m.Unmapped = h.unmapped(header)
	return m
}

// feed finds the columns of one field: the own ones in the header's order, then the default ones.
func (m *Mapping) feed(h *headerColumns, s synonym) {
	own := h.owned(s.field.String())
	defaults := h.named(s.keysIn(m.options.Type))
	if s.field == vehicle.Photos && len(own) > 1 {
		m.ownPhotos, own = own, nil
	}
	found := append(own, defaults...)
	if len(found) == 0 {
		return
	}
	if s.field == vehicle.OptionList || s.field == vehicle.Features {
		lookForPipes(found, h.sample)
	}
	m.targets = append(m.targets, target{s.field, found})
}

// lookForPipes settles for a whole column how its lists are separated: `Remote keyless entry, power` is one
// option where other rows use |.
func lookForPipes(columns []column, sample [][]string) {
	for i, c := range columns {
		columns[i].pipes = slices.ContainsFunc(sample, func(cells []string) bool {
			return c.index < len(cells) && strings.Contains(cells[c.index], "|")
		})
	}
}

// Leads tells that the file holds sales opportunities: several rows of one VIN are nothing odd, rows without one are
// skipped, and a vehicle is never made, activated or sold by them.
func (m *Mapping) Leads() bool { return m.options.Type == TypeElead }

// notation adds what the options say about numbers and dates.
func (o *Options) notation(c vehicle.Cleaner) vehicle.Cleaner {
	c.DayFirst = c.DayFirst || o.DayFirst
	c.CommaDecimal = c.CommaDecimal || o.DecimalComma
	return c
}

// Map makes of a row what it says about a vehicle, its values cleaned by c in the notation of the options. fault is why the row is left
// out, nil when it is not; notes are what was odd. A fault that says Skipped is no error.
func (m *Mapping) Map(c vehicle.Cleaner, row sheet.Row) (change vehicle.Change, notes []Problem, fault *Problem) {
	for _, note := range row.Notes {
		notes = append(notes, Problem{Line: row.Line, Reason: note})
	}
	if row.Fault != "" {
		return change, notes, &Problem{Line: row.Line, Reason: row.Fault}
	}
	r := reading{clean: m.options.notation(c), line: row.Line, cells: row.Cells, notes: notes}
	r.change.Line = row.Line
	if fault := r.readVIN(m); fault != nil {
		return r.change, r.notes, fault
	}
	r.readPhotos(m.ownPhotos)
	for i := range m.targets {
		r.read(&m.targets[i])
	}
	r.readPhotos(m.photos)
	r.readCustom(m.custom)
	return r.change, r.notes, nil
}

// VIN reads only the VIN of a row.
func (m *Mapping) VIN(row sheet.Row) (string, *Problem) {
	if row.Fault != "" {
		return "", &Problem{Line: row.Line, Reason: row.Fault}
	}
	r := reading{line: row.Line, cells: row.Cells}
	fault := r.readVIN(m)
	return r.change.VIN, fault
}

// DealerCells are the cells of a row that may name its dealership.
func (m *Mapping) DealerCells(row sheet.Row) string {
	var b strings.Builder
	for i := range m.targets {
		if t := &m.targets[i]; t.field == vehicle.SourceDealerCode || t.field == vehicle.SourceDealerName {
			for _, c := range t.columns {
				b.WriteString(row.Cells[c.index])
				b.WriteByte(0x1f)
			}
		}
	}
	return b.String()
}

// Dealer reads only the names of a row's dealership.
func (m *Mapping) Dealer(row sheet.Row) (code, name string) {
	r := reading{line: row.Line, cells: row.Cells}
	for i := range m.targets {
		if t := &m.targets[i]; t.field == vehicle.SourceDealerCode || t.field == vehicle.SourceDealerName {
			r.read(t)
		}
	}
	return r.change.Values[vehicle.SourceDealerCode], r.change.Values[vehicle.SourceDealerName]
}

// reading is one row being mapped.
type reading struct {
	clean  vehicle.Cleaner
	line   int
	cells  []string
	change vehicle.Change
	notes  []Problem
}

func (r *reading) cell(c column) string { return strings.TrimSpace(r.cells[c.index]) }

func (r *reading) problem(c column, value, reason string) Problem {
	return Problem{Line: r.line, Column: c.name, Value: sheet.Shorten(value), Reason: reason}
}

func (r *reading) readVIN(m *Mapping) *Problem {
	for _, c := range m.vins {
		raw := r.cell(c)
		if raw == "" {
			continue
		}
		r.change.VIN = vin.Normalise(raw)
		status, err := vin.Check(r.change.VIN)
		switch {
		case err != nil && nothing(raw):
			continue
		case err != nil:
			p := r.problem(c, raw, "no VIN: "+vin.Explain(r.change.VIN))
			return &p
		case status == vin.CheckDigitFailed:
			r.notes = append(r.notes, r.problem(c, raw, fmt.Sprintf("position 9 of the VIN is no right check digit; it ought to be %c", vin.CheckDigit(r.change.VIN))))
		}
		return nil
	}
	r.change.VIN = ""
	p := r.problem(m.vins[0], "", "the row has no VIN")
	if p.Skipped = m.Leads(); p.Skipped {
		p.Reason = "the lead names no vehicle by its VIN"
	}
	return &p
}

// nothing tells whether a cell holds what sources write for nothing: N/A, TBD.
func nothing(raw string) bool {
	value, _ := vehicle.Cleaner{}.Clean(vehicle.StockNumber, raw)
	return value == ""
}

// read takes the field's value from the first column that holds one. A value that can't be used is like none,
// and noted if no other column has a better one. All empty is a statement too: the field is emptied.
func (r *reading) read(t *target) {
	if t.field == vehicle.Photos && r.change.Values[vehicle.Photos] != "" {
		return
	}
	var lost *Problem
	passedOver := false
	for _, c := range t.columns {
		raw := r.cell(c)
		if raw == "" {
			continue
		}
		if c.pipes {
			raw += "|"
		}
		if !c.own && c.key == "vehicle type" && strings.Contains(raw, "_") { // car_truck: a class, no body
			passedOver = true
			continue
		}
		if c.doubtful {
			passedOver = !r.readIfFits(t.field, raw)
			if passedOver {
				continue
			}
			return
		}
		warning := r.clean.Set(&r.change, t.field, raw)
		misfit := r.change.Values[t.field] == ""
		if warning != "" && lost == nil {
			p := r.problem(c, raw, warning)
			lost = &p
		}
		if !misfit {
			r.settle(t.field, c)
			if warning != "" {
				r.notes = append(r.notes, *lost)
			}
			return
		}
	}
	if lost != nil {
		r.notes = append(r.notes, *lost)
	}
	if !passedOver || lost != nil {
		_ = r.clean.Set(&r.change, t.field, "") // null; not certified
	}
}

// readIfFits takes a value from a column whose name promises little. A count is a bare number there: the
// address of a photo holds digits too.
func (r *reading) readIfFits(f vehicle.Field, raw string) bool {
	if f.Kind() == vehicle.Int && strings.Trim(raw, "0123456789") != "" {
		return false
	}
	before := r.change
	if warning := r.clean.Set(&r.change, f, raw); warning != "" || r.change.Values[f] == "" {
		r.change = before
		return false
	}
	return true
}

// settle completes what a column says by its name.
func (r *reading) settle(f vehicle.Field, c column) {
	switch {
	case f != vehicle.Mileage:
	case kilometres[c.key]:
		r.change.Put(vehicle.MileageUnit, "km")
	case !r.change.Present.Has(vehicle.MileageUnit): // a figure without a unit must not keep an older one
		r.change.Put(vehicle.MileageUnit, "")
	}
}

// readPhotos joins columns to the list of photos, unless it has some.
func (r *reading) readPhotos(columns []column) {
	if len(columns) == 0 || r.change.Values[vehicle.Photos] != "" {
		return
	}
	var urls []string
	for _, c := range columns {
		if raw := r.cell(c); raw != "" {
			urls = append(urls, strings.ReplaceAll(raw, "|", " "))
		}
	}
	joined := strings.Join(urls, " ")
	if warning := r.clean.Set(&r.change, vehicle.Photos, joined); warning != "" {
		r.notes = append(r.notes, r.problem(columns[0], joined, warning))
	}
}

// readCustom collects the custom properties, which the vehicle has all of or, without a value in any, none.
func (r *reading) readCustom(properties []property) {
	if len(properties) == 0 {
		return
	}
	values := map[string]string{}
	for _, p := range properties {
		text, warning := vehicle.CleanCustom(r.cells[p.index])
		if text == "" || values[p.name] != "" {
			continue
		}
		values[p.name] = text
		if warning != "" {
			r.notes = append(r.notes, r.problem(p.column, text, warning))
		}
	}
	r.change.Put(vehicle.Custom, vehicle.MapOf(values))
}
