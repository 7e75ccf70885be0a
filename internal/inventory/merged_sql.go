package inventory

import (
	"context"
	"fmt"
	"strings"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

const changingMerged = `dealership_id, lot_since, conflicts, made, document`

// Statements that write merged vehicles. Most changes leave alone what stands in indexes.
var (
	newMerged       = sqldb.InsertInto("merged_vehicle", "view_id, vin, "+changingMerged+", status, created_at, search, disputed")
	changedMerged   = sqldb.UpdateOf("merged_vehicle", "view_id, vin", changingMerged)
	reindexedMerged = sqldb.UpdateOf("merged_vehicle", "view_id, vin", changingMerged+", status, created_at, search, disputed")
)

// mergedCount are the counters of a view, or a change to them.
type mergedCount struct{ total, active, conflicting int64 }

func (c *mergedCount) add(row *mergedRow, sign int64) {
	c.total += sign
	if row.status == vehicle.StatusActive {
		c.active += sign
	}
	if row.disputed != "" {
		c.conflicting += sign
	}
}

// mergedRow is what is stored of a merged vehicle, but for when it was created.
type mergedRow struct {
	dealership, status, search, disputed, conflicts, made, document string
	lotSince                                                        int64
}

func (w *Writer) mergedRow(m *merged) mergedRow {
	w.scratch = m.document(w.scratch[:0], w.days)
	row := mergedRow{
		dealership: m.Values[vehicle.DealershipID], status: m.Values[vehicle.Status], search: m.search(), conflicts: m.conflicts, made: m.made, document: string(w.scratch),
		lotSince: int64(m.LotSince),
	}
	if !m.disputed.Empty() {
		row.disputed = "," + strings.Join(m.disputed.Names(), ",") + ","
	}
	return row
}

// sameIndexed tells that what stands in indexes is the same in both.
func (r *mergedRow) sameIndexed(was *mergedRow) bool {
	return r.status == was.status && r.search == was.search && r.disputed == was.disputed
}

// storeView stores merged vehicles of a view, those that are new or show something else; n is how many.
func (w *Writer) storeView(ctx context.Context, view *mergeView, list []*merged) (n int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	vins := make(sqldb.Strings, len(list))
	for i, m := range list {
		vins[i] = m.VIN
	}
	stored, err := selectMerged(ctx, w.tx, view.id, vins)
	if err != nil {
		return 0, err
	}
	var counts mergedCount
	var added, reindexed, changed [][]any
	for _, m := range list {
		row := w.mergedRow(m)
		was, known := stored[m.VIN]
		if known && was == row {
			continue
		}
		n++
		values := []any{view.id, m.VIN, text(row.dealership), row.lotSince, row.conflicts, row.made, row.document}
		if known && row.sameIndexed(&was) {
			changed = append(changed, values)
			continue
		}
		counts.add(&row, 1)
		values = append(values, row.status, sqldb.At(m.CreatedAt), row.search, row.disputed)
		if known {
			counts.add(&was, -1)
			reindexed = append(reindexed, values)
		} else {
			added = append(added, values)
		}
	}
	for _, c := range []struct {
		bulk *sqldb.Bulk
		rows [][]any
	}{{changedMerged, changed}, {reindexedMerged, reindexed}, {newMerged, added}} {
		if err := w.tx.Load(ctx, c.bulk, len(c.rows), func(i int, row []any) []any { return append(row, c.rows[i]...) }); err != nil {
			return 0, fmt.Errorf("store merged vehicles: %w", err)
		}
	}
	if counts != (mergedCount{}) {
		err = addMergedCount(ctx, w.tx, view.id, counts)
	}
	return n, err
}

// selectMerged reads merged vehicles of a view by VIN.
func selectMerged(ctx context.Context, t *sqldb.Tenant, view string, vins sqldb.Strings) (map[string]mergedRow, error) {
	rows, err := t.Query(ctx, `SELECT vin, coalesce(dealership_id, ''), status, search, disputed, conflicts, made, document, lot_since FROM merged_vehicle
		WHERE dealer_group_id = $1 AND view_id = $2 AND vin IN (SELECT value FROM json_each($3))`, view, vins)
	out := make(map[string]mergedRow, len(vins))
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var vin string
		var m mergedRow
		err := r.Scan(&vin, &m.dealership, &m.status, &m.search, &m.disputed, &m.conflicts, &m.made, &m.document, &m.lotSince)
		out[vin] = m
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("read merged vehicles: %w", err)
	}
	return out, nil
}

// addMergedCount changes the counters of a view; one that has none yet begins with the change.
func addMergedCount(ctx context.Context, tx *sqldb.Tenant, view string, c mergedCount) error {
	_, err := tx.Exec(ctx, `INSERT INTO merged_count AS k (dealer_group_id, view_id, total, active, conflicting) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (dealer_group_id, view_id) DO UPDATE SET total = k.total + excluded.total, active = k.active + excluded.active,
		conflicting = k.conflicting + excluded.conflicting`, view, c.total, c.active, c.conflicting)
	if err != nil {
		return fmt.Errorf("count merged vehicles: %w", err)
	}
	return nil
}

func selectMergedCount(ctx context.Context, t *sqldb.Tenant, view string) (c mergedCount, err error) {
	err = t.QueryRow(ctx, `SELECT coalesce(max(total), 0), coalesce(max(active), 0), coalesce(max(conflicting), 0) FROM merged_count
		WHERE dealer_group_id = $1 AND view_id = $2`, view).Scan(&c.total, &c.active, &c.conflicting)
	if err != nil {
		return c, fmt.Errorf("read counters of merged vehicles: %w", err)
	}
	return c, nil
}

// deleteUnshown deletes some of the merged vehicles that no config shows or builds; more tells that there may be others.
func deleteUnshown(ctx context.Context, tx *sqldb.Tenant, most int64) (more bool, err error) {
	var view string
	err = tx.QueryRow(ctx, `SELECT coalesce(min(k.view_id), '') FROM merged_count k WHERE k.dealer_group_id = $1 AND NOT EXISTS (
		SELECT 1 FROM merge_config c WHERE c.dealer_group_id = $1 AND (c.view_id = k.view_id OR c.next_view_id = k.view_id))`).Scan(&view)
	if err != nil || view == "" {
		return false, err
	}
	result, err := tx.Exec(ctx, `DELETE FROM merged_vehicle WHERE dealer_group_id = $1 AND view_id = $2 AND vin IN (
		SELECT vin FROM merged_vehicle WHERE dealer_group_id = $1 AND view_id = $2 LIMIT $3)`, view, most)
	if err != nil {
		return false, fmt.Errorf("delete merged vehicles: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == most {
		return true, err
	}
	if _, err = tx.Exec(ctx, `DELETE FROM merged_count WHERE dealer_group_id = $1 AND view_id = $2`, view); err != nil {
		return false, fmt.Errorf("delete counters of merged vehicles: %w", err)
	}
	return true, nil
}
