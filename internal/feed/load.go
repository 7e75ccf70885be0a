package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"time"

	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// loading is one file on its way into the inventory. A first reading finds out which of its rows say anything new, without
// holding anybody up (look); then those alone are written in one transaction (apply).
type loading struct {
	stock   *inventory.Stock
	stores  *stores
	from    inventory.Source
	file    string                        // its name; the extension may settle the delimiter
	open    func() (io.ReadCloser, error) // called twice
	options mapping.Options
	settled string // what else the meaning of a row depends on
	now     time.Time

	advance func(bytes, rows int64) // of the file that are done with; may be nil
	problem func(mapping.Problem)   // every refused row and every warning, in order of lines; may be nil

	survey survey
	counts Counts
	same   int64 // of updated, rows that changed nothing
	format sheet.Format
}

const batchRows = 1000

// supersedes tells that of several rows of one VIN only the last is applied. Where a row may be left out altogether each is
// applied, so that each is counted as what became of it.
func (l *loading) supersedes() bool { return !l.from.Lead && !l.from.UpdateOnly }

// open reads a file's format and header.
func open(r io.Reader, name string, o mapping.Options) (*sheet.Reader, *mapping.Mapping, error) {
	rd, err := sheet.NewReader(r, name)
	if err != nil {
		return nil, nil, err
	}
	m, err := mapping.New(rd.Header, rd.Sample(), o)
	return rd, m, err
}

// apply reads, maps and writes the rows with something to say, joining the transaction of the writer, tx. Mapping runs ahead
// of writing.
func (l *loading) apply(ctx context.Context, tx *sqldb.Tenant, w *inventory.Writer) error {
	if l.survey.same.n == l.survey.rows {
		l.same = l.survey.rows
		l.counts.Updated, l.counts.Total = l.same, l.same
		return nil
	}
	f, err := l.open()
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
		defer func() { // a file must not end the process
			if p := recover(); p != nil {
				select {
				case batches <- batch{err: fmt.Errorf("map rows: panic: %v\n%s", p, debug.Stack())}:
				case <-ctx.Done():
				}
			}
		}()
		l.read(ctx, f, batches)
	}()
	for b := range batches {
		if b.err != nil {
			return b.err
		}
		if err := l.write(ctx, tx, w, &b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// batch is a stretch of the file, mapped.
type batch struct {
	changes []vehicle.Change
	hashes  []uint64          // of the rows they were read from, 0 for one to be read again
	entries []mapping.Problem // in order of lines
	bytes   int64             // of the file read so far
	rows    int64

	superseded, same int64 // rows whose VIN stands again further down, and that say nothing new
	err              error
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
	rd, _, err := open(counter, l.file, l.options)
	if err != nil {
		send(batch{err: err})
		return
	}
	clean := vehicle.Cleaner{Now: l.now}.Remembering()
	for row := int64(0); ; {
		b, end := l.mapRows(rd, clean, &row)
		if !send(b) || end || b.err != nil {
			return
		}
	}
}

// skimmed is how many rows without news make a batch: so many that progress is seen.
const skimmed = 20 * batchRows

func (l *loading) mapRows(rd *sheet.Reader, clean vehicle.Cleaner, at *int64) (b batch, end bool) {
	for len(b.changes) < batchRows && len(b.entries) < batchRows && b.rows < skimmed {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return b, true
		}
		if err != nil {
			return batch{err: err}, false
		}
		same := l.survey.same.has(*at)
		*at++
		b.rows++
		if same {
			b.same++
			continue
		}
		l.mapRow(&b, clean, row)
	}
	return b, false
}

func (l *loading) mapRow(b *batch, clean vehicle.Cleaner, row sheet.Row) {
	change, notes, fault := l.survey.mapping.Map(clean, row)
	b.entries = append(b.entries, notes...)
	if fault != nil {
		fault.Refused = !fault.Skipped
		b.entries = append(b.entries, *fault)
		return
	}
	if last, again := l.survey.last[change.VIN]; again && row.Line < last && !l.from.Lead {
		b.entries = append(b.entries, mapping.Problem{Line: row.Line, Column: "VIN", Value: change.VIN, Reason: fmt.Sprintf("the VIN stands again in line %d; the last row counts", last)})
		if l.supersedes() {
			b.superseded++
			return
		}
	}
	hash := uint64(0)
	if len(notes) == 0 { // else it is read again next time, so that it is noted again
		hash = l.survey.hasher.of(row)
	}
	b.changes, b.hashes = append(b.changes, change), append(b.hashes, hash)
}

// write stores one batch.
func (l *loading) write(ctx context.Context, tx *sqldb.Tenant, w *inventory.Writer, b *batch) error {
	for _, p := range b.entries {
		l.note(p)
	}
	kept := b.changes[:0]
	for i := range b.changes {
		c := &b.changes[i]
		p, err := l.stores.of(ctx, tx, c)
		if err != nil {
			return err
		}
		if p.refused {
			l.note(mapping.Problem{Line: c.Line, Reason: p.reason, Refused: true})
			continue
		}
		if p.reason != "" {
			l.note(mapping.Problem{Line: c.Line, Column: "dealership", Value: sheet.Shorten(p.named), Reason: p.reason})
		} else if b.hashes[i] != 0 {
			c.Hash = rowAt(b.hashes[i], p.id)
		}
		c.Put(vehicle.DealershipID, p.id)
		kept = append(kept, *c)
	}
	outcomes, err := w.Apply(ctx, kept)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		l.count(o)
	}
	l.counts.Updated += b.superseded + b.same
	l.same += b.same
	l.counts.Total = l.counts.Created + l.counts.Updated + l.counts.Errors
	if l.advance != nil {
		l.advance(b.bytes, b.rows)
	}
	return nil
}

func (l *loading) count(o inventory.Outcome) {
	switch o {
	case inventory.Added:
		l.counts.Created++
	case inventory.LeftOut:
		l.counts.Skipped++
	case inventory.Unchanged:
		l.same++
		l.counts.Updated++
	default:
		l.counts.Updated++
	}
}

func (l *loading) note(p mapping.Problem) {
	switch {
	case p.Skipped:
		l.counts.Skipped++
		return
	case p.Refused:
		l.counts.Errors++
	default:
		l.counts.Warnings++
	}
	if l.problem != nil {
		l.problem(p)
	}
}

// sourceFile is a file as history names it.
func sourceFile(name string) string { return filepath.Base(name) }

// countingReader counts what is read through it.
type countingReader struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
