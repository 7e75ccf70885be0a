package inventory

import (
	"context"
	"fmt"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

const (
	recordColumns    = `vin, source_id, standing, record, row_hash, created_at, changed_at, missed_syncs, missed_since, gone_at`
	newRecordColumns = recordColumns + `, status, search`
	numRecordColumns = 12

	recordsPerStatement = 12
)

func insertRecords(rows int) string {
	return insertRows("vehicle_source", newRecordColumns, numRecordColumns, rows) + `
		ON CONFLICT (dealer_group_id, vin, source_id) DO UPDATE SET standing = excluded.standing, record = excluded.record, row_hash = excluded.row_hash,
		changed_at = excluded.changed_at, missed_syncs = excluded.missed_syncs, missed_since = excluded.missed_since, gone_at = excluded.gone_at,
		status = excluded.status, search = excluded.search`
}

var insertRecordsFull, insertRecord = insertRecords(recordsPerStatement), insertRecords(1)

// recordRow is a row of recordColumns.
type recordRow struct {
	r                              record
	text                           string
	created, changed, missed, gone sqldb.Time
}

func (r *recordRow) columns() []any {
	return []any{&r.r.vin, &r.r.source, &r.r.standing, &r.text, &r.r.hash, &r.created, &r.changed, &r.r.missed, &r.missed, &r.gone}
}

func (r *recordRow) record() (*record, error) {
	out := &r.r
	out.createdAt, out.changedAt, out.missedSince, out.goneAt = r.created.Time, r.changed.Time, r.missed.Time, r.gone.Time
	err := out.values.ReadJSON(r.text)
	out.storedStatus = out.status()
	return out, err
}

func scanRecord(rows *sqldb.Rows) (*record, error) {
	row := &recordRow{}
	if err := rows.Scan(row.columns()...); err != nil {
		return nil, err
	}
	return row.record()
}

// updateRecord leaves alone what stands in the index: writing the same value there costs as much as a new one.
const updateRecord = `UPDATE vehicle_source SET standing = $4, record = $5, row_hash = $6, changed_at = $7, missed_syncs = $8, missed_since = $9, gone_at = $10,
	search = $11 WHERE dealer_group_id = $1 AND vin = $2 AND source_id = $3`

func (w *Writer) storeRecords(ctx context.Context) error {
	added := w.records[:0:0]
	for _, r := range w.records {
		if r.storedStatus != r.status() { // or none was stored
			added = append(added, r)
			continue
		}
		_, err := w.tx.Exec(ctx, updateRecord, r.vin, r.source, r.standing, w.text(r), r.hash, sqldb.At(r.changedAt), r.missed, sqldb.At(r.missedSince), sqldb.At(r.goneAt),
			searchText(r.vin, &r.values))
		if err != nil {
			return fmt.Errorf("store record: %w", err)
		}
	}
	statements := chunks{size: recordsPerStatement, full: insertRecordsFull, single: insertRecord}
	err := statements.insert(ctx, w.tx, len(added), func(args []any, row int) []any {
		r := added[row]
		return append(args, r.vin, r.source, r.standing, w.text(r), r.hash, sqldb.At(r.createdAt), sqldb.At(r.changedAt), r.missed, sqldb.At(r.missedSince),
			sqldb.At(r.goneAt), r.status(), searchText(r.vin, &r.values))
	})
	if err != nil {
		return fmt.Errorf("store records: %w", err)
	}
	return nil
}

func (w *Writer) text(r *record) string {
	w.scratch = r.values.AppendJSON(w.scratch[:0])
	return string(w.scratch)
}

func (w *Writer) storeMarks(ctx context.Context) error {
	for _, r := range w.marks {
		_, err := w.tx.Exec(ctx, `UPDATE vehicle_source SET row_hash = $4, missed_syncs = $5, missed_since = $6
			WHERE dealer_group_id = $1 AND vin = $2 AND source_id = $3`, r.vin, r.source, r.hash, r.missed, sqldb.At(r.missedSince))
		if err != nil {
			return fmt.Errorf("mark record: %w", err)
		}
	}
	return nil
}

// hashesByVIN hides the source from PostgreSQL's planner, which else goes through all that it lists while the table has
// been vacuumed and not analyzed.
const hashesByVIN = `SELECT vin, row_hash FROM vehicle_source WHERE dealer_group_id = $1 AND source_id || '' = $2
	AND missed_syncs = 0 AND gone_at IS NULL AND vin IN (SELECT value FROM json_each($3))`

// selectHashes adds by VIN the hashes of the rows a source's records were read from, of those it still lists.
func selectHashes(ctx context.Context, t *sqldb.Tenant, source string, vins sqldb.Strings, to map[string]int64) error {
	rows, err := t.Query(ctx, hashesByVIN, source, vins)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var vin string
		var hash int64
		err := r.Scan(&vin, &hash)
		to[vin] = hash
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("read row hashes: %w", err)
	}
	return nil
}

// eachListing calls f for every VIN a source lists.
func eachListing(ctx context.Context, t *sqldb.Tenant, source string, f func(Listing)) error {
	rows, err := t.Query(ctx, `SELECT vin, row_hash, missed_syncs, missed_since, status FROM vehicle_source WHERE dealer_group_id = $1 AND source_id = $2 AND gone_at IS NULL`, source)
	if err != nil {
		return fmt.Errorf("read listings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l Listing
		var since sqldb.Time
		var status string
		if err := rows.Scan(&l.VIN, &l.Hash, &l.Missed, &since, &status); err != nil {
			return fmt.Errorf("read listings: %w", err)
		}
		l.MissedSince, l.Active = since.Time, status == vehicle.StatusActive
		f(l)
	}
	return rows.Err()
}

func countExisting(ctx context.Context, t *sqldb.Tenant, vins sqldb.Strings) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM vehicle WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, vins).Scan(&n)
	return n, err
}

// selectVINs reads the VINs a source knows, whether it still lists them or not.
func selectVINs(ctx context.Context, t *sqldb.Tenant, source string) ([]string, error) {
	rows, err := t.Query(ctx, `SELECT vin FROM vehicle_source WHERE dealer_group_id = $1 AND source_id = $2`, source)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (vin string, err error) {
		err = r.Scan(&vin)
		return vin, err
	})
}

// selectListedElsewhere adds the VINs that integrations other than one list.
func selectListedElsewhere(ctx context.Context, t *sqldb.Tenant, source string, vins sqldb.Strings, to map[string]bool) error {
	rows, err := t.Query(ctx, `SELECT DISTINCT vin FROM vehicle_source WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($3))
		AND source_id NOT IN ($2, '`+SourceAPI+`', '`+SourceImport+`') AND standing = '`+standingLists+`' AND gone_at IS NULL`, source, vins)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (vin string, err error) {
		err = r.Scan(&vin)
		to[vin] = true
		return vin, err
	})
	if err != nil {
		return fmt.Errorf("read listings elsewhere: %w", err)
	}
	return nil
}
