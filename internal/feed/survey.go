package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
	"carfluence/internal/vin"
)

// survey is what the first reading of a file tells. It holds some 20 to 60 bytes of each row and each vehicle its source
// lists, and no texts.
type survey struct {
	mapping *mapping.Mapping
	header  []string
	hasher  rowHasher
	rows    int64
	file    vinTable       // of each VIN the latest row
	last    map[string]int // line of the last row of each VIN that stands in the file more than once
	repeats rowSet         // rows whose VIN stands in the file more than once: all of them are read
	same    rowSet         // rows with nothing new to say
	present []string       // VINs in rows that can't be used: refused, but there
	listing *listing       // of a file that is not small
	absent  int64          // vehicles of the listing that the file does not list
}

// lists tells whether the file holds a VIN.
func (s *survey) lists(vin string) bool { return s.file.find(hashVIN(vin)) != nil }

// smallFile is how many rows are looked up one by one; of a larger file the rows are compared with all that its source lists.
const smallFile = 5 * batchRows

// look reads the file for the first time. A file that is unusable is an error.
func (l *loading) look(ctx context.Context, t *sqldb.Tenant) error {
	f, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close()
	rd, m, err := open(f, l.file, l.options)
	if err != nil {
		return err
	}
	l.survey = survey{mapping: m, header: rd.Header, hasher: newRowHasher(rd.Header, l.settled), last: map[string]int{}}
	c := &comparing{l: l, t: t, places: map[string]string{}}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		_ = c.wait()
	}()
	var first *mapping.Problem
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		text, fault := m.VIN(row)
		if fault == nil {
			err = c.add(ctx, text, row)
		} else {
			l.survey.glimpse(row)
			if first == nil {
				first = fault
			}
		}
		if err != nil {
			return err
		}
		if l.survey.rows++; l.survey.rows == smallFile {
			c.list(ctx)
		}
	}
	l.format = rd.Format()
	if !m.Leads() { // of which none need name a vehicle
		if err := l.survey.usable(first); err != nil {
			return err
		}
	}
	l.survey.seal()
	return c.compare(ctx)
}

// glimpse notes the VINs in a row that can't be used for its shape: a comma too many sells no car.
func (s *survey) glimpse(row sheet.Row) {
	if row.Fault == "" {
		return
	}
	for _, cell := range row.Cells {
		if vin.Proven(cell) {
			s.present = append(s.present, vin.Normalise(cell))
		}
	}
}

// seal closes the survey: what was glimpsed counts as listed, unless no row at all can be used.
func (s *survey) seal() {
	for _, text := range s.present {
		_, _ = s.file.put(hashVIN(text), noRow)
	}
}

// usable refuses a file from which nothing could be learned.
func (s *survey) usable(first *mapping.Problem) error {
	switch {
	case s.rows == 0:
		return errs.Invalid("file_without_rows", "The file has a header but no rows.")
	case s.file.n == 0:
		return errs.Invalid("file_without_vins", fmt.Sprintf("None of the file's %d rows has a VIN that can be used; line %d: %s.", s.rows, first.Line, first.Reason))
	}
	return nil
}

// comparing finds out which rows the source's records were read from already.
type comparing struct {
	l      *loading
	t      *sqldb.Tenant
	vins   []string          // of a small file
	places map[string]string // dealership ids by the cells that name them
	listed chan error        // of the reading of the listing; nil while it is not read
}

func (c *comparing) add(ctx context.Context, vin string, row sheet.Row) error {
	id, err := c.place(ctx, row)
	if err != nil {
		return err
	}
	s := &c.l.survey
	of, again := s.file.put(hashVIN(vin), uint32(s.rows))
	if again {
		s.last[vin] = row.Line
		s.repeats.add(int64(of.row)) // that it is superseded
		s.repeats.add(s.rows)        // where each counts, the last word must come last
	}
	of.row, of.hash = uint32(s.rows), rowAt(s.hasher.of(row), id)
	if s.rows < smallFile {
		c.vins = append(c.vins, vin)
	}
	return nil
}

// place is the id of the dealership that a row's cells lead to.
func (c *comparing) place(ctx context.Context, row sheet.Row) (string, error) {
	cells := c.l.survey.mapping.DealerCells(row)
	id, ok := c.places[cells]
	if ok {
		return id, nil
	}
	code, name := c.l.survey.mapping.Dealer(row)
	id, err := c.l.stores.peek(ctx, c.t, code, name)
	if err == nil && len(c.places) < maxPlaces {
		c.places[cells] = id
	}
	return id, err
}

// listing is what a source lists.
type listing struct {
	vehicles []listedHash
	active   int64 // of them, as the source alone shows them
}

type listedHash struct {
	vin uint64
	row int64 // 0 for one to be read again
}

// list begins to read the listing, while the file is read on.
func (c *comparing) list(ctx context.Context) {
	c.vins, c.listed = nil, make(chan error, 1)
	found := &listing{}
	c.l.survey.listing = found
	go func() {
		c.listed <- c.l.stock.EachListing(ctx, c.t, c.l.from, func(v inventory.Listing) {
			h := listedHash{hashVIN(v.VIN), v.Hash}
			if v.Missed > 0 {
				h.row = 0
			}
			if v.Active {
				found.active++
			}
			found.vehicles = append(found.vehicles, h)
		})
	}()
}

func (c *comparing) wait() (err error) {
	if c.listed != nil {
		err = <-c.listed
		c.listed = nil
	}
	return err
}

// compare marks the rows with nothing new to say.
func (c *comparing) compare(ctx context.Context) error {
	s := &c.l.survey
	if s.listing == nil {
		return c.lookUp(ctx)
	}
	if err := c.wait(); err != nil {
		return err
	}
	for _, v := range s.listing.vehicles {
		if !s.match(v) {
			s.absent++
		}
	}
	s.listing.vehicles = nil
	return nil
}

func (c *comparing) lookUp(ctx context.Context) error {
	known, err := c.l.stock.Known(ctx, c.t, c.l.from, c.vins)
	for vin, hash := range known {
		c.l.survey.match(listedHash{hashVIN(vin), hash})
	}
	return err
}

// match compares a vehicle with its row; false for none.
func (s *survey) match(v listedHash) bool {
	of := s.file.find(v.vin)
	if of == nil {
		return false
	}
	if v.row != 0 && of.row != noRow && of.hash == v.row && !s.repeats.has(int64(of.row)) {
		s.same.add(int64(of.row))
	}
	return true
}

// vinTable finds what a file says of a VIN by the hash of it, with open addressing. Two VINs with one hash do no harm: they are
// taken for one that stands twice in the file, and all its rows are read.
type vinTable struct {
	slots []fileRow
	n     int
}

// fileRow is the latest row of a VIN.
type fileRow struct {
	vin  uint64
	hash int64
	row  uint32
	used bool
}

// noRow is the row of a VIN that was only glimpsed.
const noRow = math.MaxUint32

// put finds the entry of a VIN, or makes it with this row; known tells that it was there. It is valid until the next put.
func (t *vinTable) put(vin uint64, row uint32) (of *fileRow, known bool) {
	if t.n*8 >= len(t.slots)*7 {
		t.grow()
	}
	of = t.slot(vin)
	if of.used {
		return of, true
	}
	t.n++
	*of = fileRow{vin: vin, row: row, used: true}
	return of, false
}

// find is nil for a VIN that was not put.
func (t *vinTable) find(vin uint64) *fileRow {
	if t.n == 0 {
		return nil
	}
	if of := t.slot(vin); of.used {
		return of
	}
	return nil
}

// slot is that of a VIN, or the free one where it would be.
func (t *vinTable) slot(vin uint64) *fileRow {
	mask := uint64(len(t.slots) - 1)
	for i := vin * 0x9e3779b97f4a7c15 >> 32 & mask; ; i = (i + 1) & mask {
		if of := &t.slots[i]; !of.used || of.vin == vin {
			return of
		}
	}
}

func (t *vinTable) grow() {
	old := t.slots
	t.slots = make([]fileRow, max(1024, 2*len(old)))
	for _, of := range old {
		if of.used {
			*t.slot(of.vin) = of
		}
	}
}

// hashVIN is FNV-1a.
func hashVIN(vin string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(vin) {
		h = (h ^ uint64(vin[i])) * 1099511628211
	}
	return h
}
