package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

// headerColumns are the columns of a file while its mapping is made.
type headerColumns struct {
	all    []column          // with a name of their own, in order
	byKey  map[string]column // the same
	own    map[string]*string
	used   map[int]bool
	sample [][]string
	header []string
	lead   bool // of a file of sales opportunities
}

// readHeader finds a file's columns by key. A column without a name is a row index, or nothing; of two with one
// name the first counts.
func (m *Mapping) readHeader(header []string, sample [][]string) *headerColumns {
	h := &headerColumns{byKey: map[string]column{}, used: map[int]bool{}, sample: sample, header: header}
	h.own = m.ownByKey()
	for i, name := range header {
		key := sheet.HeaderKey(name)
		if key == "" {
			continue
		}
		if first, twice := h.byKey[key]; twice {
			m.Notes = append(m.Notes, fmt.Sprintf("column %d, %q, repeats column %d and is ignored", i+1, sheet.Shorten(name), first.index+1))
			continue
		}
		c := column{index: i, name: strings.Join(strings.Fields(name), " "), key: key, own: h.own[key] != nil}
		c.doubtful = !c.own && doubtful[key] && !(key == "type" && m.options.Type == TypeHomeNet)
		h.byKey[key] = c
		h.all = append(h.all, c)
	}
	h.lead = m.Leads() || slices.ContainsFunc(leadColumns, func(key string) bool { _, ok := h.byKey[key]; return ok })
	m.noteAbsent(h)
	return h
}

// ownByKey is the own mapping by header keys. What is no target any more is left out.
func (m *Mapping) ownByKey() map[string]*string {
	own := make(map[string]*string, len(m.options.Own))
	for _, name := range slices.Sorted(maps.Keys(m.options.Own)) {
		key, to := sheet.HeaderKey(name), m.options.Own[name]
		if own[key] != nil || key == "" {
			continue
		}
		if detail := faultOfTarget(&to, map[string]bool{}); detail != "" {
			m.Notes = append(m.Notes, fmt.Sprintf("the mapping of %q is left out: %s", sheet.Shorten(name), detail))
			continue
		}
		if m.Leads() && to == vehicle.Status.String() {
			m.Notes = append(m.Notes, fmt.Sprintf("the mapping of %q is left out: the status of a lead is no vehicle's", sheet.Shorten(name)))
			to = targetIgnore
		}
		own[key] = &to
	}
	return own
}

// noteAbsent names columns of the own mapping that the file lacks.
func (m *Mapping) noteAbsent(h *headerColumns) {
	var absent []string
	for _, name := range slices.Sorted(maps.Keys(m.options.Own)) {
		key := sheet.HeaderKey(name)
		if _, there := h.byKey[key]; !there && h.own[key] != nil && *h.own[key] != targetIgnore {
			absent = append(absent, name)
		}
	}
	if len(absent) > 0 {
		m.Notes = append(m.Notes, "the file lacks columns that the mapping names: "+quoteNames(absent))
	}
}

func (h *headerColumns) use(c column) column {
	h.used[c.index] = true
	return c
}

// owned are the columns that the own mapping gives to a target, in order.
func (h *headerColumns) owned(to string) (out []column) {
	for _, c := range h.all {
		if own := h.own[c.key]; own != nil && *own == to {
			out = append(out, h.use(c))
		}
	}
	return out
}

// named are the columns of these keys that the own mapping leaves to the defaults.
func (h *headerColumns) named(keys []string) (out []column) {
	for _, key := range keys {
		if c, ok := h.byKey[key]; ok && h.own[key] == nil {
			out = append(out, h.use(c))
		}
	}
	return out
}

// properties are the columns of custom properties.
func (h *headerColumns) properties() (out []property) {
	for _, c := range h.all {
		own := h.own[c.key]
		if own == nil {
			continue
		}
		if name, ok := strings.CutPrefix(*own, customPrefix); ok {
			out = append(out, property{name, h.use(c)})
		}
	}
	return out
}

// unmapped names the columns that feed nothing and are not ignored on purpose.
func (h *headerColumns) unmapped(header []string) (names []string) {
	for i, name := range header {
		if key := sheet.HeaderKey(name); key != "" && !h.used[i] && h.own[key] == nil {
			names = append(names, name)
		}
	}
	return names
}

// vins are the columns that hold the VIN, best first: the own ones, and the one whose values are VINs where none
// of a fitting name holds any.
func (h *headerColumns) vins(m *Mapping) []column {
	own := h.owned(targetVIN)
	found := append(own, h.named(synonym{columns: sheet.VINColumns}.keysIn(m.options.Type))...)
	if len(own) > 0 || h.anyVIN(found) {
		return found
	}
	c, ok := h.vinByValues()
	if !ok {
		return found
	}
	m.Notes = append(m.Notes, fmt.Sprintf("column %d, %q, is taken for the VIN: its values are VINs", c.index+1, sheet.Shorten(c.name)))
	return append([]column{h.use(c)}, found...)
}

// anyVIN tells whether the sample has a VIN in one of the columns.
func (h *headerColumns) anyVIN(columns []column) bool {
	return slices.ContainsFunc(columns, func(c column) bool {
		return slices.ContainsFunc(h.sample, func(cells []string) bool {
			if c.index >= len(cells) {
				return false
			}
			return vin.Shaped(cells[c.index])
		})
	})
}

// vinByValues finds the only column whose values are nearly all VINs, by their check digits if they have one.
func (h *headerColumns) vinByValues() (column, bool) {
	for _, isVIN := range []func(string) bool{vin.Proven, looksLikeVIN} {
		var found []column
		for i, name := range h.header {
			c := column{index: i, name: name, key: sheet.HeaderKey(name)}
			// A VIN in the header's place is a row of data.
			if !customers(c.key) && h.own[c.key] == nil && !vin.Shaped(name) && h.nearlyAll(i, isVIN) {
				found = append(found, c)
			}
		}
		if len(found) > 0 {
			return found[0], len(found) == 1
		}
	}
	return column{}, false
}

// nearlyAll tells whether nine of ten filled cells of a column in the sample are of a kind.
func (h *headerColumns) nearlyAll(index int, kind func(string) bool) bool {
	filled, good := 0, 0
	for _, cells := range h.sample {
		if index >= len(cells) || strings.TrimSpace(cells[index]) == "" {
			continue
		}
		filled++
		if kind(cells[index]) {
			good++
		}
	}
	return filled > 0 && good*10 >= filled*9
}

func isVIN(cell string) bool { return vin.Proven(cell) || looksLikeVIN(cell) }

// looksLikeVIN also takes VINs without a right check digit; by their serial number they differ from 17 letters of
// a title.
func looksLikeVIN(cell string) bool {
	v := vin.Normalise(cell)
	if _, err := vin.Check(v); err != nil {
		return false
	}
	return strings.Trim(v[vin.Length-4:], "0123456789") == ""
}
