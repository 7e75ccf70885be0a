package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/sqldb"
)

// Importer loads files into the inventory of a dealer group.
type Importer struct {
	Stock   *inventory.Stock
	Dealers *dealer.Dealers
	Now     func() time.Time
}

// Import is a file to load, and how.
type Import struct {
	File   string                        // its name: stands in the history; its extension may settle the delimiter
	Open   func() (io.ReadCloser, error) // called twice: the file is surveyed before anything is written
	Dealer string                        // name, code or alias of the dealership that holds rows which name none
	By     audit.Actor

	Progress func(bytes int64) // of the file read so far while it is loaded; may be nil
	Problem  func(Problem)     // every refused row and every warning, in order of lines; may be nil
}

// Report is what became of a file. Rows = Created + Updated + Unchanged + Refused; a row whose VIN stands
// again further down counts as updated.
type Report struct {
	File     string
	Format   Format
	Unmapped []string // columns that feed nothing
	Notes    []string // what was odd about the header

	Rows, Created, Updated, Unchanged, Refused int64

	Refusals       []Problem // the first few; all of them go to Import.Problem
	Warnings       int64
	WarningKinds   []Tally
	DealersCreated []string
	Duration       time.Duration
}

const (
	batchRows   = 1000
	maxRefusals = 1000 // listed in a report
)

// Run loads a file as one transaction: all of it is in the inventory when it returns, or none. A file that is
// unusable is an error and changes nothing; rows that can't be used are left out and reported. A dealership
// that no name, code or alias leads to is created.
func (im *Importer) Run(ctx context.Context, t *sqldb.Tenant, in Import) (Report, error) {
	begun := im.Now()
	found, err := surveyFile(in)
	if err != nil {
		return Report{}, err
	}
	l := &loading{im: im, in: in, survey: found, report: Report{File: in.File, Unmapped: found.mapping.Unmapped, Notes: found.mapping.Notes}, tally: tallies{}}
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := l.load(ctx, tx); err != nil {
			return err
		}
		return l.record(ctx, tx)
	})
	if err != nil && ctx.Err() != nil { // whatever the store made of it
		err = ctx.Err()
	}
	if err != nil {
		return Report{}, fmt.Errorf("import %s: %w", in.File, err)
	}
	im.Stock.Committed(t.Group())
	l.report.WarningKinds = l.tally.list()
	l.report.Duration = im.Now().Sub(begun)
	return l.report, nil
}

// survey is what a first pass over a file tells before anything is written.
type survey struct {
	mapping *Mapping
	rows    int64
	last    map[string]int // line of the last row of each VIN that stands in the file more than once
}

func surveyFile(in Import) (survey, error) {
	f, err := in.Open()
	if err != nil {
		return survey{}, err
	}
	defer f.Close()
	rd, m, err := open(f, in.File)
	if err != nil {
		return survey{}, err
	}
	s := survey{mapping: m, last: map[string]int{}}
	seen := map[uint64]struct{}{} // hashes: exact VINs are kept only where one comes twice
	var first *Problem
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return survey{}, err
		}
		s.rows++
		vin, fault := m.VIN(row)
		if fault != nil {
			if first == nil {
				first = fault
			}
			continue
		}
		h := hashVIN(vin)
		if _, again := seen[h]; again {
			s.last[vin] = row.Line
		}
		seen[h] = struct{}{}
	}
	return s, s.usable(len(seen), first)
}

// usable refuses a file from which nothing could be learned.
func (s *survey) usable(vins int, first *Problem) error {
	switch {
	case s.rows == 0:
		return errs.Invalid("file_without_rows", "The file has a header but no rows.")
	case vins == 0:
		return errs.Invalid("file_without_vins", fmt.Sprintf("None of the file's %d rows has a VIN that can be used; line %d: %s.", s.rows, first.Line, first.Reason))
	}
	return nil
}

// open reads a file's format and header.
func open(r io.Reader, name string) (*Reader, *Mapping, error) {
	rd, err := NewReader(r, name)
	if err != nil {
		return nil, nil, err
	}
	m, err := NewMapping(rd.Header, rd.Sample(), Options{})
	return rd, m, err
}

// hashVIN is FNV-1a. Two VINs with one hash do no harm: the second is looked up by its text.
func hashVIN(vin string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(vin) {
		h = (h ^ uint64(vin[i])) * 1099511628211
	}
	return h
}

// loading is one file on its way into the inventory.
type loading struct {
	im     *Importer
	in     Import
	survey survey
	report Report
	tally  tallies
	format Format
	stores stores
}

// load reads, maps and applies the file, joining the caller's transaction. Mapping runs ahead of writing.
func (l *loading) load(ctx context.Context, tx *sqldb.Tenant) error {
	f, err := l.in.Open()
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan batch, 2)
	done := make(chan struct{})
	defer func() { // the file is closed only when nobody reads it any more
		cancel()
		for range batches {
		}
		<-done
	}()
	go func() {
		defer close(done)
		defer close(batches)
		l.read(ctx, f, batches)
	}()
	from := inventory.Source{
		Name: inventory.SourceImport, ActorType: l.in.By.Type, ActorID: l.in.By.ID, ActorName: l.in.By.Name, File: filepath.Base(l.in.File),
	}
	l.stores = stores{dealers: l.im.Dealers, by: l.in.By, fallback: l.in.Dealer, known: map[[2]string]place{}}
	for b := range batches {
		if b.err != nil {
			return b.err
		}
		if err := l.apply(ctx, tx, &b, from); err != nil {
			return err
		}
	}
	l.report.DealersCreated = l.stores.created
	return ctx.Err()
}

// batch is a stretch of the file, mapped.
type batch struct {
	changes []inventory.Change
	entries []entry // problems and rows, in order of lines
	bytes   int64   // of the file read so far
	rows    int64

	superseded int64 // rows whose VIN stands again further down
	err        error
}

// entry is a problem found while mapping.
type entry struct {
	Problem
	refused bool
}

// read maps the file into batches. The last one carries the error, if any.
func (l *loading) read(ctx context.Context, f io.Reader, out chan<- batch) {
	counter := &countingReader{r: f}
	send := func(b batch) bool {
		b.bytes = counter.n
		select {
		case out <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}
	rd, _, err := open(counter, l.in.File)
	if err != nil {
		send(batch{err: err})
		return
	}
	clean := inventory.Cleaner{Now: l.im.Now()}
	for {
		b, end := l.mapRows(rd, clean)
		if end {
			l.format = rd.Format()
		}
		if !send(b) || end || b.err != nil {
			return
		}
	}
}

func (l *loading) mapRows(rd *Reader, clean inventory.Cleaner) (b batch, end bool) {
	b.changes = make([]inventory.Change, 0, batchRows)
	for len(b.changes) < batchRows && len(b.entries) < batchRows {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return b, true
		}
		if err != nil {
			return batch{err: err}, false
		}
		b.rows++
		change, notes, fault := l.survey.mapping.Map(clean, row)
		for _, n := range notes {
			b.entries = append(b.entries, entry{n, false})
		}
		switch last, again := l.survey.last[change.VIN]; {
		case fault != nil:
			b.entries = append(b.entries, entry{*fault, true})
		case again && row.Line < last:
			b.entries = append(b.entries, entry{Problem{Line: row.Line, Column: "VIN", Value: change.VIN, Reason: fmt.Sprintf("the VIN stands again in line %d; the last row counts", last)}, false})
			b.superseded++
		default:
			b.changes = append(b.changes, change)
		}
	}
	return b, false
}

// apply writes one batch.
func (l *loading) apply(ctx context.Context, tx *sqldb.Tenant, b *batch, from inventory.Source) error {
	for _, e := range b.entries {
		l.problem(e.Problem, e.refused)
	}
	kept := b.changes[:0]
	for i := range b.changes {
		id, reason, err := l.stores.of(ctx, tx, &b.changes[i])
		if err != nil {
			return err
		}
		if reason != "" {
			l.problem(Problem{Line: b.changes[i].Line, Reason: reason}, true)
			continue
		}
		b.changes[i].Put(inventory.DealershipID, id)
		kept = append(kept, b.changes[i])
	}
	outcomes, err := l.im.Stock.Apply(ctx, tx, kept, from)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		switch o {
		case inventory.Added:
			l.report.Created++
		case inventory.Updated:
			l.report.Updated++
		default:
			l.report.Unchanged++
		}
	}
	l.report.Rows += b.rows
	l.report.Updated += b.superseded
	if l.in.Progress != nil {
		l.in.Progress(b.bytes)
	}
	return nil
}

func (l *loading) problem(p Problem, refused bool) {
	if refused {
		l.report.Refused++
		if len(l.report.Refusals) < maxRefusals {
			l.report.Refusals = append(l.report.Refusals, p)
		}
	} else {
		l.report.Warnings++
		l.tally.add(p)
	}
	if l.in.Problem != nil {
		p.Refused = refused
		l.in.Problem(p)
	}
}

// record leaves an audit row of the import in its transaction.
func (l *loading) record(ctx context.Context, tx *sqldb.Tenant) error {
	l.report.Format = l.format
	r := &l.report
	return audit.Record(ctx, tx.DB(), tx.Group(), l.im.Now(), audit.Event{
		Name: "inventory.imported", Actor: l.in.By, SubjectType: "file", SubjectID: filepath.Base(r.File),
		Detail: map[string]any{"rows": r.Rows, "created": r.Created, "updated": r.Updated, "unchanged": r.Unchanged, "refused": r.Refused},
	})
}

// countingReader counts what is read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
