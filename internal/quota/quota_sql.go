package quota

import (
	"context"
	"errors"
	"time"

	"carfluence/internal/sqldb"
)

// apply writes entries in one transaction, each by one statement that adds what happened and grants what
// is wanted as far as the limit allows. The row lock makes the grant exact.
func apply(ctx context.Context, db *sqldb.DB, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	return db.Transact(ctx, func(tx *sqldb.DB) error {
		for i := range entries {
			if err := entries[i].apply(ctx, tx.Tenant(entries[i].subject.Group)); err != nil {
				return err
			}
		}
		return nil
	})
}

// $5 used, $6 spent, $7 wanted, $8 granted when the row is new, $9 last use.
const applyEntry = `INSERT INTO quota AS q (dealer_group_id, subject_id, window_no, lim, used, spent, granted, last_used_at)
VALUES ($1, $2, $3, $4, CAST($5 AS BIGINT) + CAST($8 AS BIGINT), $6, $8, $9)
ON CONFLICT (dealer_group_id, subject_id, window_no) DO UPDATE SET
	lim = $4,
	spent = q.spent + $6,
	last_used_at = CASE WHEN q.last_used_at > $9 THEN q.last_used_at ELSE $9 END,
	granted = CASE WHEN $4 - q.used - $5 >= $7 THEN $7 WHEN $4 - q.used - $5 > 0 THEN $4 - q.used - $5 ELSE 0 END,
	used = q.used + $5 + CASE WHEN $4 - q.used - $5 >= $7 THEN $7 WHEN $4 - q.used - $5 > 0 THEN $4 - q.used - $5 ELSE 0 END
RETURNING granted, used`

func (e *entry) apply(ctx context.Context, tx *sqldb.Tenant) error {
	first := max(0, min(e.want, e.limit-e.used))
	return tx.QueryRow(ctx, applyEntry, e.subject.ID, e.window, e.limit, e.used, e.spent, e.want, first, e.at.UnixMicro()).
		Scan(&e.granted, &e.total)
}

func usedIn(ctx context.Context, t *sqldb.Tenant, subject string, window int64) (int64, error) {
	var used int64
	err := t.QueryRow(ctx, `SELECT used FROM quota WHERE dealer_group_id = $1 AND subject_id = $2 AND window_no = $3`, subject, window).Scan(&used)
	if errors.Is(err, sqldb.ErrNoRows) {
		return 0, nil
	}
	return used, err
}

// LastUsed tells when subjects of a group last called, at most a second behind; who never did is missing.
func LastUsed(ctx context.Context, t *sqldb.Tenant) (map[string]time.Time, error) {
	rows, err := t.Query(ctx, `SELECT subject_id, max(last_used_at) FROM quota WHERE dealer_group_id = $1 GROUP BY subject_id`)
	type use struct {
		id string
		at sqldb.Time
	}
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (use, error) {
		var u use
		err := r.Scan(&u.id, &u.at)
		return u, err
	})
	out := make(map[string]time.Time, len(list))
	for _, u := range list {
		out[u.id] = u.at.Time
	}
	return out, err
}
