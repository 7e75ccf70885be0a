package feed

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/vin"
)

// Problem is what was wrong with a row, or odd about it.
type Problem struct {
	Line   int    // physical line of the row
	Column string // as in the header; "" for the row as a whole
	Value  string // as found, shortened
	Reason string
	// Refused: the row was left out. Otherwise it was used, and this is a warning.
	Refused bool
}

// Mapping knows which columns of one file feed which field. It is safe for use by several goroutines.
type Mapping struct {
	Notes    []string // what was odd about the header
	Unmapped []string // columns that feed nothing

	vins    []column
	targets []target
	photos  []column // one photo each
}

// target is a field and the columns that feed it, best first.
type target struct {
	field   inventory.Field
	columns []column
}

// column is one column of a file.
type column struct {
	index    int
	name     string
	key      string
	doubtful bool
	pipes    bool // lists in it are separated by |
}

// NewMapping maps a header by the synonym table. sample holds the cells of some rows: without a VIN column by
// name, the one whose values are VINs is it.
func NewMapping(header []string, sample [][]string) (*Mapping, error) {
	m := &Mapping{}
	columns := m.columns(header)
	used := map[int]bool{}
	m.vins = pick(columns, strings.Split(vinColumns, ", "), used)
	if len(m.vins) == 0 {
		m.vins = m.vinBySample(header, sample)
	}
	if len(m.vins) == 0 {
		return nil, errs.Invalid("vin_column_missing", "No column of the file holds VINs. Its columns are: "+strings.Join(header, ", ")+".")
	}
	used[m.vins[0].index] = true
	lead := slices.ContainsFunc(leadColumns, func(key string) bool { _, ok := columns[key]; return ok })
	for _, s := range synonyms {
		if s.field == inventory.Status && lead {
			continue
		}
		if found := pick(columns, s.keys(), used); len(found) > 0 {
			if s.field == inventory.OptionList || s.field == inventory.Features {
				lookForPipes(found, sample)
			}
			m.targets = append(m.targets, target{s.field, found})
		}
	}
	for i, name := range header {
		if c := (column{index: i, name: name, key: headerKey(name)}); numberedPhoto(c.key) && !used[i] {
			m.photos = append(m.photos, c)
			used[i] = true
		}
		if !used[i] && headerKey(name) != "" {
			m.Unmapped = append(m.Unmapped, name)
		}
	}
	return m, nil
}

// columns finds a file's columns by key. A column without a name is a row index, or nothing; of two with one
// name the first counts.
func (m *Mapping) columns(header []string) map[string]column {
	out := map[string]column{}
	for i, name := range header {
		key := headerKey(name)
		if key == "" {
			continue
		}
		if first, twice := out[key]; twice {
			m.Notes = append(m.Notes, fmt.Sprintf("column %d, %q, repeats column %d and is ignored", i+1, name, first.index+1))
			continue
		}
		out[key] = column{index: i, name: strings.Join(strings.Fields(name), " "), key: key, doubtful: doubtful[key]}
	}
	return out
}

func pick(columns map[string]column, keys []string, used map[int]bool) []column {
	var out []column
	for _, key := range keys {
		if c, ok := columns[key]; ok {
			out = append(out, c)
			used[c.index] = true
		}
	}
	return out
}

// vinBySample finds the only column whose values are nearly all VINs with the right check digit.
func (m *Mapping) vinBySample(header []string, sample [][]string) []column {
	var found []column
	for i, name := range header {
		if likeVIN(name) { // a row of data in the header's place
			continue
		}
		filled, good := 0, 0
		for _, cells := range sample {
			if i >= len(cells) || strings.TrimSpace(cells[i]) == "" {
				continue
			}
			filled++
			if checkedVIN(cells[i]) {
				good++
			}
		}
		if filled > 0 && good*10 >= filled*9 {
			found = append(found, column{index: i, name: name})
		}
	}
	if len(found) != 1 {
		return nil
	}
	m.Notes = append(m.Notes, fmt.Sprintf("column %d, %q, is taken for the VIN: its values are VINs", found[0].index+1, found[0].name))
	return found
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

// likeVIN tells whether a cell has the structure of a VIN, whatever its check digit.
func likeVIN(cell string) bool {
	_, err := vin.Check(vin.Normalise(cell))
	return err == nil
}

func checkedVIN(cell string) bool {
	status, err := vin.Check(vin.Normalise(cell))
	return err == nil && status == vin.Valid
}

// Has tells whether some column feeds the field.
func (m *Mapping) Has(f inventory.Field) bool {
	return slices.ContainsFunc(m.targets, func(t target) bool { return t.field == f })
}

// Map makes of a row what it says about a vehicle, its values cleaned by c. fault is why the row can't be used, nil when it can; notes
// are what was odd.
func (m *Mapping) Map(c inventory.Cleaner, row Row) (change inventory.Change, notes []Problem, fault *Problem) {
	for _, note := range row.Notes {
		notes = append(notes, Problem{Line: row.Line, Reason: note})
	}
	if row.Fault != "" {
		return change, notes, &Problem{Line: row.Line, Reason: row.Fault}
	}
	r := reading{clean: c, line: row.Line, cells: row.Cells, notes: notes}
	r.change.Line = row.Line
	if fault := r.readVIN(m.vins); fault != nil {
		return r.change, r.notes, fault
	}
	for i := range m.targets {
		r.read(&m.targets[i])
	}
	r.readPhotos(m.photos)
	return r.change, r.notes, nil
}

// VIN reads only the VIN of a row.
func (m *Mapping) VIN(row Row) (string, *Problem) {
	if row.Fault != "" {
		return "", &Problem{Line: row.Line, Reason: row.Fault}
	}
	r := reading{line: row.Line, cells: row.Cells}
	fault := r.readVIN(m.vins)
	return r.change.VIN, fault
}

// reading is one row being mapped.
type reading struct {
	clean  inventory.Cleaner
	line   int
	cells  []string
	change inventory.Change
	notes  []Problem
}

func (r *reading) cell(c column) string { return strings.TrimSpace(r.cells[c.index]) }

func (r *reading) problem(c column, value, reason string) Problem {
	return Problem{Line: r.line, Column: c.name, Value: shorten(value), Reason: reason}
}

func (r *reading) readVIN(columns []column) *Problem {
	for _, c := range columns {
		raw := r.cell(c)
		if raw == "" {
			continue
		}
		r.change.VIN = vin.Normalise(raw)
		if _, err := vin.Check(r.change.VIN); err != nil {
			p := r.problem(c, raw, err.Error())
			return &p
		}
		return nil
	}
	p := r.problem(columns[0], "", "the row has no VIN")
	return &p
}

// read takes the field's value from the first column that holds one. A value that can't be used is like none,
// and noted if no other column has a better one. All empty is a statement too: the field is emptied.
func (r *reading) read(t *target) {
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
		if c.key == "vehicle type" && strings.Contains(raw, "_") { // car_truck: a class, no body
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
func (r *reading) readIfFits(f inventory.Field, raw string) bool {
	if f.Kind() == inventory.Int && strings.Trim(raw, "0123456789") != "" {
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
func (r *reading) settle(f inventory.Field, c column) {
	switch {
	case f != inventory.Mileage:
	case kilometres[c.key]:
		r.change.Put(inventory.MileageUnit, "km")
	case !r.change.Present.Has(inventory.MileageUnit): // a figure without a unit must not keep an older one
		r.change.Put(inventory.MileageUnit, "")
	}
}

// readPhotos joins columns with one photo each to the list.
func (r *reading) readPhotos(columns []column) {
	if len(columns) == 0 || r.change.Values[inventory.Photos] != "" {
		return
	}
	var urls []string
	for _, c := range columns {
		if raw := r.cell(c); raw != "" {
			urls = append(urls, raw)
		}
	}
	if warning := r.clean.Set(&r.change, inventory.Photos, strings.Join(urls, "|")); warning != "" {
		r.notes = append(r.notes, r.problem(columns[0], strings.Join(urls, "|"), warning))
	}
}

const maxShown = 100 // characters of a value in a report

func shorten(value string) string {
	if utf8.RuneCountInString(value) <= maxShown {
		return value
	}
	return string([]rune(value)[:maxShown]) + "…"
}
