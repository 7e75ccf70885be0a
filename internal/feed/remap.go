package feed

import (
	"context"
	"io"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/mapping"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Preview shows what an integration's mapping makes of its latest kept file; name is "" while there is none.
func (f *Feeds) Preview(ctx context.Context, t *sqldb.Tenant, integrationID string, rows int) (in Integration, name string, p mapping.Preview, err error) {
	if in, err = f.Integration(ctx, t, integrationID); err != nil {
		return in, "", p, err
	}
	r, ok, err := selectLatestKept(ctx, t, in.ID)
	if err != nil || !ok {
		return in, "", emptyPreview, err
	}
	leave, err := f.previews.enter(in.ID, previewsEach, previewsAll, "previews")
	if err != nil {
		return in, "", p, err
	}
	defer leave()
	w := &processing{f: f, t: t, in: in, run: r}
	u, cleanUp, err := w.unpack(ctx)
	if errs.KindOf(err) == errs.KindInvalid { // the file itself is unusable: its log says why
		p = emptyPreview
		p.Fault = errs.DetailOf(err)
		return in, r.Filename, p, nil
	}
	if err != nil {
		return in, "", p, err
	}
	defer cleanUp()
	p, err = mapping.PreviewFile(func() (io.ReadCloser, error) { return io.NopCloser(u), nil }, w.name(), in.options(), vehicle.Cleaner{Now: f.Now()}, rows)
	if errs.KindOf(err) == errs.KindInvalid {
		p = emptyPreview
		p.Fault, err = errs.DetailOf(err), nil
	}
	return in, r.Filename, p, err
}

var emptyPreview = mapping.Preview{Columns: []mapping.PreviewColumn{}, Rows: []mapping.PreviewRow{}, Notes: []string{}}

// Remap changes an integration's own mapping: of each column named, nil goes back to the default. With reprocess the latest
// kept file is run again.
func (f *Feeds) Remap(ctx context.Context, t *sqldb.Tenant, by audit.Actor, integrationID string, changes map[string]*string, reprocess bool) (in Integration, run *Run, err error) {
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		in, err = f.UpdateIntegration(ctx, tx, by, integrationID, func(i *Integration) { i.Mappings = mapping.Amend(i.Mappings, changes) })
		if err != nil || !reprocess {
			return err
		}
		run, err = f.again(ctx, tx, by, in)
		return err
	})
	return in, run, err
}

// again queues the latest kept file once more.
func (f *Feeds) again(ctx context.Context, tx *sqldb.Tenant, by audit.Actor, in Integration) (*Run, error) {
	if in.Status == StatusPaused {
		return nil, errPaused
	}
	last, ok, err := selectLatestKept(ctx, tx, in.ID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errFileGone
	}
	if last.Status == RunQueued { // it will be read with the new mapping
		return &last, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	r := Run{
		ID: id.String(), IntegrationID: in.ID, Filename: last.Filename, Size: last.Size, SHA256: last.SHA256, FileTime: last.FileTime, TimeOf: last.TimeOf,
		ReceivedAt: f.Now().UTC(), ReceivedBy: by, Status: RunQueued, Reprocess: last.Status != RunFailed,
	}
	if err := copyPieces(ctx, tx, last.ID, r.ID); err != nil {
		return nil, err
	}
	if err := insertRun(ctx, tx, &r); err != nil {
		return nil, err
	}
	return &r, f.Enqueue(ctx, tx, in.ID)
}
