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
		Scan(&e.granted, &e.stored)
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
func LastUsed(ctx context.Context, t *sqldb.Tenant, subjects ...string) (map[string]time.Time, error) {
	out := make(map[string]time.Time, len(subjects))
	for _, id := range subjects {
		var at sqldb.Time
		err := t.QueryRow(ctx, `SELECT last_used_at FROM quota WHERE dealer_group_id = $1 AND subject_id = $2 AND last_used_at > 0
			ORDER BY window_no DESC LIMIT 1`, id).Scan(&at)
		if err != nil && !errors.Is(err, sqldb.ErrNoRows) {
			return nil, err
		}
		if err == nil {
			out[id] = at.Time
		}
	}
	return out, nil
}

// prune forgets windows before a number that were last used before a time, but for each subject's latest. It
// goes from subject to subject, so that it reads what it deletes and little else.
func prune(ctx context.Context, t *sqldb.Tenant, window int64, before time.Time) error {
	for subject := ""; ; {
		var next *string
		err := t.QueryRow(ctx, `SELECT min(subject_id) FROM quota WHERE dealer_group_id = $1 AND subject_id > $2`, subject).Scan(&next)
		if err != nil || next == nil {
			return err
		}
		subject = *next
		_, err = t.Exec(ctx, `DELETE FROM quota WHERE dealer_group_id = $1 AND subject_id = $2 AND window_no < $3 AND last_used_at < $4
			AND window_no < (SELECT max(window_no) FROM quota WHERE dealer_group_id = $1 AND subject_id = $2)`, subject, window, sqldb.At(before))
		if err != nil {
			return err
		}
	}
}
