package inventory

import (
	"context"
	"fmt"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

const recordColumns = `vin, source_id, standing, record, row_hash, created_at, changed_at, missed_syncs, missed_since, gone_at`

// Statements that write records. Most changes leave alone what stands in the index.
var (
	newRecords       = sqldb.InsertInto("vehicle_source", changedRecord+", status, created_at")
	changedRecords   = sqldb.UpdateOf("vehicle_source", "vin, source_id", changingRecord)
	reindexedRecords = sqldb.UpdateOf("vehicle_source", "vin, source_id", changingRecord+", status")
	markedRecords    = sqldb.UpdateOf("vehicle_source", "vin, source_id", "row_hash, missed_syncs, missed_since")
)

const (
	changingRecord = `standing, record, row_hash, changed_at, missed_syncs, missed_since, gone_at, search`
	changedRecord  = `vin, source_id, ` + changingRecord
)

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

func (w *Writer) storeRecords(ctx context.Context) error {
	var added, reindexed, changed []*record
	for _, r := range w.records {
		switch r.storedStatus {
		case "":
			added = append(added, r)
		case r.status():
			changed = append(changed, r)
		default:
			reindexed = append(reindexed, r)
		}
	}
	err := w.tx.Load(ctx, changedRecords, len(changed), func(i int, row []any) []any { return w.changingRecord(row, changed[i]) })
	if err == nil {
		err = w.tx.Load(ctx, reindexedRecords, len(reindexed), func(i int, row []any) []any {
			return append(w.changingRecord(row, reindexed[i]), reindexed[i].status())
		})
	}
	if err == nil {
		err = w.tx.Load(ctx, newRecords, len(added), func(i int, row []any) []any {
			return append(w.changingRecord(row, added[i]), added[i].status(), sqldb.At(added[i].createdAt))
		})
	}
	if err != nil {
		return fmt.Errorf("store records: %w", err)
	}
	return nil
}

// changingRecord are a record's VIN and source, and the columns of that name.
func (w *Writer) changingRecord(row []any, r *record) []any {
	return append(row, r.vin, r.source, r.standing, w.text(r), r.hash, sqldb.At(r.changedAt), r.missed, sqldb.At(r.missedSince), sqldb.At(r.goneAt),
		searchText(r.vin, &r.values))
}

func (w *Writer) text(r *record) string {
	w.scratch = r.values.AppendJSON(w.scratch[:0])
	return string(w.scratch)
}

func (w *Writer) storeMarks(ctx context.Context) error {
	err := w.tx.Load(ctx, markedRecords, len(w.marks), func(i int, row []any) []any {
		r := w.marks[i]
		return append(row, r.vin, r.source, r.hash, r.missed, sqldb.At(r.missedSince))
	})
	if err != nil {
		return fmt.Errorf("mark records: %w", err)
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
