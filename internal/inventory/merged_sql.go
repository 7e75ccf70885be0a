package inventory

import (
	"context"
	"fmt"

	"carfluence/internal/sqldb"
)

const (
	mergedColumns    = `view_id, vin, dealership_id, status, lot_since, created_at, search, conflicts, document`
	numMergedColumns = 9

	mergedPerStatement = 12
)

func insertMerged(rows int) string {
	return insertRows("merged_vehicle", mergedColumns, numMergedColumns, rows) + `
		ON CONFLICT (dealer_group_id, view_id, vin) DO UPDATE SET dealership_id = excluded.dealership_id, status = excluded.status, lot_since = excluded.lot_since,
		created_at = excluded.created_at, search = excluded.search, conflicts = excluded.conflicts, document = excluded.document`
}

var insertMergedFull, insertMergedOne = insertMerged(mergedPerStatement), insertMerged(1)

// mergedCount are the counters of a view, or a change to them.
type mergedCount struct{ total, active, conflicting int64 }

func (c *mergedCount) add(status, conflicts string, sign int64) {
	c.total += sign
	if status == StatusActive {
		c.active += sign
	}
	if conflicts != "" {
		c.conflicting += sign
	}
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
	var news [][]any
	for _, m := range list {
		w.scratch = w.mergedDocument(w.scratch[:0], m)
		row := mergedRow{status: m.Values[Status], conflicts: m.conflicts, document: string(w.scratch), search: m.search(), lotSince: int64(m.LotSince), dealership: m.Values[DealershipID]}
		was, known := stored[m.VIN]
		if known && was == row {
			continue
		}
		if known {
			counts.add(was.status, was.conflicts, -1)
		}
		counts.add(row.status, row.conflicts, 1)
		news = append(news, []any{view.id, m.VIN, text(row.dealership), row.status, row.lotSince, sqldb.At(m.CreatedAt), row.search, row.conflicts, row.document})
	}
	statements := chunks{size: mergedPerStatement, full: insertMergedFull, single: insertMergedOne}
	if err := statements.insert(ctx, w.tx, len(news), func(args []any, row int) []any { return append(args, news[row]...) }); err != nil {
		return 0, fmt.Errorf("store merged vehicles: %w", err)
	}
	if counts != (mergedCount{}) {
		err = addMergedCount(ctx, w.tx, view.id, counts)
	}
	return len(news), err
}

// mergedRow is what is stored of a merged vehicle, but for when it was created.
type mergedRow struct {
	dealership, status, search, conflicts, document string
	lotSince                                        int64
}

func selectMerged(ctx context.Context, t *sqldb.Tenant, view string, vins sqldb.Strings) (map[string]mergedRow, error) {
	rows, err := t.Query(ctx, `SELECT vin, coalesce(dealership_id, ''), status, search, conflicts, document, lot_since FROM merged_vehicle
		WHERE dealer_group_id = $1 AND view_id = $2 AND vin IN (SELECT value FROM json_each($3))`, view, vins)
	out := make(map[string]mergedRow, len(vins))
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var vin string
		var m mergedRow
		err := r.Scan(&vin, &m.dealership, &m.status, &m.search, &m.conflicts, &m.document, &m.lotSince)
		out[vin] = m
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("read merged vehicles: %w", err)
	}
	return out, nil
}

func addMergedCount(ctx context.Context, tx *sqldb.Tenant, view string, c mergedCount) error {
	_, err := tx.Exec(ctx, `INSERT INTO merged_count AS k (dealer_group_id, view_id, total, active, conflicting) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (dealer_group_id, view_id) DO UPDATE SET total = k.total + excluded.total, active = k.active + excluded.active,
		conflicting = k.conflicting + excluded.conflicting`, view, c.total, c.active, c.conflicting)
	if err != nil {
		return fmt.Errorf("count merged vehicles: %w", err)
	}
	return nil
}
