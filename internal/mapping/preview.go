package mapping

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

// Bounds of a preview. What lies behind them is not looked at, and Preview.Whole says so.
const (
	previewRows    = 100_000
	previewBytes   = 256 << 20
	previewShown   = 100 // rows before and after
	previewValues  = 50  // distinct values of a column that its suggestion is judged by
	previewCell    = 500 // characters kept of a cell
	previewSamples = 3
)

// Preview is what a mapping makes of a file. It shows all columns of the file, sensitive ones too.
type Preview struct {
	Format  sheet.Format
	Columns []PreviewColumn
	Rows    []PreviewRow // the first ones
	// RowsRead is how many data rows the counts are of; Whole, whether these are all of the file.
	RowsRead int64
	Whole    bool
	Notes    []string // what is odd about the header
	Fault    string   // why no row of the file can be used: no column holds VINs
}

// Why a column feeds what it feeds.
const (
	BecauseOwn     = "own"     // the integration's own mapping says so
	BecauseDefault = "default" // by its name, or, for the VIN, its values
	BecauseNone    = "none"
)

// PreviewColumn is one column of a file.
type PreviewColumn struct {
	Name       string   // as written; "" for a column without one
	Target     string   // a field, vin, custom.<name>, or "" for none
	Also       []string // further fields it feeds
	Why        string   // own, default, none
	Suggestion *Suggestion
	Samples    []string // the first distinct values
	Filled     int64    // cells that aren't empty
	// Dropped are filled cells that give no value: they can't be read, say "nothing" (N/A, a price of 0), or the
	// column has no target.
	Dropped int64
}

// What becomes of a row.
const (
	RowUsed    = "used"
	RowSkipped = "skipped"
	RowRefused = "refused"
)

// PreviewRow is one row before and after. A column's value is a fall-back where another one feeds the same field.
type PreviewRow struct {
	Line     int
	Outcome  string            // used, skipped, refused
	Before   map[string]string // column → cell, long ones cut; columns without a name are left out
	After    json.RawMessage   // vin and fields as in a vehicle; null unless used
	Problems []PreviewProblem
}

// PreviewProblem is what was wrong with a row, or odd about it.
type PreviewProblem struct {
	Column string
	Value  string
	Reason string
}

// PreviewFile shows what the options make of a file and what else its columns could feed. rows is how many are shown
// before and after, a hundred at most. A file that can't be read at all is an error; one without a VIN column is
// shown, so that its mapping can be mended.
func PreviewFile(open func() (io.ReadCloser, error), name string, o Options, c vehicle.Cleaner, rows int) (Preview, error) {
	f, err := open()
	if err != nil {
		return Preview{}, err
	}
	defer f.Close() // only read from
	limited := &io.LimitedReader{R: f, N: previewBytes}
	rd, err := sheet.NewReader(limited, name)
	if err != nil {
		return Preview{}, err
	}
	p := newPreviewing(rd, o, c)
	if err := p.read(rd, limited, min(max(rows, 0), previewShown)); err != nil {
		return Preview{}, err
	}
	return p.result(rd), nil
}

// previewing is a preview being made.
type previewing struct {
	out     Preview
	mapping *Mapping
	clean   vehicle.Cleaner
	columns []*profile
}

// profile is what is learned of a column.
type profile struct {
	index   int
	key     string
	feeds   []feeding
	own     bool
	values  []string // the first distinct ones
	filled  int64
	dropped int64
}

// feeding is a field a column feeds, and how many values it has given.
type feeding struct {
	to    string
	field vehicle.Field // of neither vin nor custom
	rank  int
	given int64
}

func newPreviewing(rd *sheet.Reader, o Options, c vehicle.Cleaner) *previewing {
	p := &previewing{mapping: mapHeader(rd.Header, rd.Sample(), o), clean: o.notation(c)}
	for i, name := range rd.Header {
		p.columns = append(p.columns, &profile{index: i, key: sheet.HeaderKey(name)})
	}
	for rank, col := range p.mapping.vins {
		p.feed(col, feeding{to: targetVIN, rank: rank})
	}
	for _, t := range p.mapping.targets {
		for rank, col := range t.columns {
			p.feed(col, feeding{to: t.field.String(), field: t.field, rank: rank})
		}
	}
	for _, col := range append(slices.Clone(p.mapping.ownPhotos), p.mapping.photos...) {
		p.feed(col, feeding{to: vehicle.Photos.String(), field: vehicle.Photos})
	}
	for _, own := range p.mapping.custom {
		p.feed(own.column, feeding{to: customPrefix + own.name})
	}
	return p
}

func (p *previewing) feed(c column, f feeding) {
	at := p.columns[c.index]
	at.own = at.own || c.own
	at.feeds = append(at.feeds, f)
}

func (p *previewing) read(rd *sheet.Reader, limited *io.LimitedReader, shown int) error {
	for p.out.RowsRead < previewRows {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			p.out.Whole = limited.N > 0
			return nil
		}
		if err != nil {
			return err
		}
		p.out.RowsRead++
		if len(p.out.Rows) < shown {
			p.out.Rows = append(p.out.Rows, p.show(rd.Header, row))
		}
		if row.Fault != "" { // its cells may belong to other columns
			continue
		}
		for i, cell := range row.Cells {
			p.columns[i].add(p.clean, strings.TrimSpace(cell))
		}
	}
	_, err := rd.Next()
	p.out.Whole = errors.Is(err, io.EOF) && limited.N > 0
	return nil
}

// add looks at a cell.
func (c *profile) add(clean vehicle.Cleaner, cell string) {
	if cell == "" {
		return
	}
	c.filled++
	if short := cut(cell); len(c.values) < previewValues && !slices.Contains(c.values, short) {
		c.values = append(c.values, strings.Clone(short)) // cells share the memory of their row
	}
	given := false
	for i := range c.feeds {
		if f := &c.feeds[i]; f.gives(clean, cell) {
			f.given++
			given = true
		}
	}
	if !given {
		c.dropped++
	}
}

func (f *feeding) gives(clean vehicle.Cleaner, cell string) bool {
	switch {
	case f.to == targetVIN:
		return vin.Shaped(cell)
	case strings.HasPrefix(f.to, customPrefix):
		return true
	}
	value, _ := clean.Clean(f.field, cell)
	return value != ""
}

// show maps one row for the eye.
func (p *previewing) show(header []string, row sheet.Row) PreviewRow {
	out := PreviewRow{Line: row.Line, Outcome: RowUsed, Before: map[string]string{}, Problems: []PreviewProblem{}}
	for i, cell := range row.Cells[:min(len(row.Cells), len(header))] {
		if _, twice := out.Before[header[i]]; !twice && p.columns[i].key != "" {
			out.Before[header[i]] = strings.Clone(cut(cell))
		}
	}
	if len(p.mapping.vins) == 0 {
		out.Outcome = RowRefused
		return out
	}
	change, notes, fault := p.mapping.Map(p.clean, row)
	if fault != nil {
		out.Outcome = RowRefused
		if fault.Skipped {
			out.Outcome = RowSkipped
		}
		notes = append(notes, *fault)
	} else {
		out.After = change.AppendJSON(nil)
	}
	for _, n := range notes {
		out.Problems = append(out.Problems, PreviewProblem{n.Column, n.Value, n.Reason})
	}
	return out
}

// result closes the preview.
func (p *previewing) result(rd *sheet.Reader) Preview {
	p.out.Format = rd.Format()
	p.out.Notes = append([]string{}, p.mapping.Notes...)
	if len(p.mapping.vins) == 0 {
		p.out.Fault = "No column of the file holds VINs; map one to vin."
	}
	s := newSuggester(p.clean, p.mapping)
	for i, c := range p.columns {
		p.out.Columns = append(p.out.Columns, c.result(rd.Header[i], s, p.mapping.options))
	}
	if p.out.Rows == nil {
		p.out.Rows = []PreviewRow{}
	}
	return p.out
}

func (c *profile) result(name string, s *suggester, o Options) PreviewColumn {
	out := PreviewColumn{
		Name: strings.Join(strings.Fields(name), " "), Why: BecauseNone, Also: []string{}, Filled: c.filled, Dropped: c.dropped,
		Suggestion: s.suggest(c.index, c.key, c.values),
		Samples:    append([]string{}, c.values[:min(previewSamples, len(c.values))]...),
	}
	if c.own || o.ignores(c.key) {
		out.Why = BecauseOwn
	}
	slices.SortStableFunc(c.feeds, func(a, b feeding) int { // what its values give decides, then where it stands first
		if a.given != b.given {
			return int(b.given - a.given)
		}
		return a.rank - b.rank
	})
	for i, f := range c.feeds {
		switch {
		case i == 0:
			out.Target = f.to
		case f.given > 0:
			out.Also = append(out.Also, f.to)
		}
	}
	if out.Target != "" && out.Why == BecauseNone {
		out.Why = BecauseDefault
	}
	return out
}

// ignores tells whether the own mapping ignores a column.
func (o *Options) ignores(key string) bool {
	for name, to := range o.Own {
		if to == targetIgnore && sheet.HeaderKey(name) == key {
			return true
		}
	}
	return false
}

// cut shortens a cell to what a preview keeps of it.
func cut(cell string) string {
	if len(cell) <= previewCell {
		return cell
	}
	return strings.ToValidUTF8(cell[:previewCell], "") + "…"
}
