package feed

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/sheet"
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

	Progress func(bytes int64)     // of the file read so far while it is loaded; may be nil
	Problem  func(mapping.Problem) // every refused row and every warning, in order of lines; may be nil
}

// Report is what became of a file. Rows = Created + Updated + Unchanged + Refused; a row whose VIN stands
// again further down counts as updated.
type Report struct {
	File     string
	Format   sheet.Format
	Unmapped []string // columns that feed nothing
	Notes    []string // what was odd about the header

	Rows, Created, Updated, Unchanged, Refused int64

	Refusals       []mapping.Problem // the first few; all of them go to Import.Problem
	Warnings       int64
	WarningKinds   []Tally
	DealersCreated []string
	Duration       time.Duration
}

const maxRefusals = 1000 // listed in a report

// Run loads a file as one transaction: all of it is in the inventory when it returns, or none. A file that is
// unusable is an error and changes nothing; rows that can't be used are left out and reported. A dealership
// that no name, code or alias leads to is created.
func (im *Importer) Run(ctx context.Context, t *sqldb.Tenant, in Import) (Report, error) {
	report, err := im.run(ctx, t, in)
	if err != nil && ctx.Err() != nil { // whatever the store made of it
		err = ctx.Err()
	}
	if err != nil {
		return Report{}, fmt.Errorf("import %s: %w", in.File, err)
	}
	im.Stock.Committed(t.Group())
	return report, nil
}

func (im *Importer) run(ctx context.Context, t *sqldb.Tenant, in Import) (Report, error) {
	begun := im.Now()
	edition, err := im.Stock.Edition(ctx, t)
	if err != nil {
		return Report{}, err
	}
	r := Report{File: in.File}
	warnings := tallies{}
	l := &loading{
		stock: im.Stock, file: in.File, open: in.Open, now: begun,
		settled: "import" + editionMark + strconv.FormatInt(edition, 10), // rows that say nothing new may show something else
		stores:  newStores(im.Dealers, in.By, in.Dealer, true),
		from: inventory.Source{
			Name: inventory.SourceImport, ActorType: in.By.Type, ActorID: in.By.ID, ActorName: in.By.Name, File: sourceFile(in.File),
		},
		problem: func(p mapping.Problem) { r.add(p, warnings, in.Problem) },
	}
	if in.Progress != nil {
		l.advance = func(bytes, _ int64) { in.Progress(bytes) }
	}
	if err := l.look(ctx, t); err != nil {
		return Report{}, err
	}
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := im.Stock.Write(ctx, tx, l.from, func(w *inventory.Writer) error { return l.apply(ctx, tx, w) }); err != nil {
			return err
		}
		r.complete(l)
		return im.record(ctx, tx, in.By, &r)
	})
	r.WarningKinds, r.Duration = warnings.list(), im.Now().Sub(begun)
	return r, err
}

// add notes one problem.
func (r *Report) add(p mapping.Problem, warnings tallies, tell func(mapping.Problem)) {
	if p.Refused {
		if len(r.Refusals) < maxRefusals {
			r.Refusals = append(r.Refusals, p)
		}
	} else {
		warnings.add(p)
	}
	if tell != nil {
		tell(p)
	}
}

// complete takes over what the loading has counted.
func (r *Report) complete(l *loading) {
	c := l.counts
	r.Format, r.Unmapped, r.Notes, r.DealersCreated = l.format, l.survey.mapping.Unmapped, l.survey.mapping.Notes, l.stores.created
	r.Rows, r.Created, r.Updated, r.Unchanged, r.Refused, r.Warnings = c.Total, c.Created, c.Updated-l.same, l.same, c.Errors, c.Warnings
}

// record leaves an audit row of the import in its transaction.
func (im *Importer) record(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, r *Report) error {
	return audit.Record(ctx, tx.DB(), tx.Group(), im.Now(), audit.Event{
		Name: "inventory.imported", Actor: by, SubjectType: "file", SubjectID: sourceFile(r.File),
		Detail: map[string]any{"rows": r.Rows, "created": r.Created, "updated": r.Updated, "unchanged": r.Unchanged, "refused": r.Refused},
	})
}
