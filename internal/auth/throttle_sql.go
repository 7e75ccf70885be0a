package auth

import (
	"context"
	"errors"
	"time"

	"carfluence/internal/sqldb"
)

// lockThrottle comes before counts are read in order to be written.
func lockThrottle(ctx context.Context, tx *sqldb.DB, counters []counter) error {
	names := make([]string, len(counters))
	for i, c := range counters { // kind by kind, so that no two wait for each other
		names[i] = "throttle " + c.subject
	}
	return tx.Lock(ctx, names...)
}

// selectThrottle returns no failures since the zero time for a subject without a row.
func selectThrottle(ctx context.Context, tx *sqldb.DB, subject string) (since time.Time, failures int64, err error) {
	var at sqldb.Time
	err = tx.QueryRow(ctx, `SELECT since, failures FROM login_throttle WHERE subject = $1`, subject).Scan(&at, &failures)
	if errors.Is(err, sqldb.ErrNoRows) {
		err = nil
	}
	return at.Time, failures, err
}

func upsertThrottle(ctx context.Context, tx *sqldb.DB, subject string, since time.Time, failures int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO login_throttle (subject, since, failures) VALUES ($1, $2, $3)
		ON CONFLICT (subject) DO UPDATE SET since = excluded.since, failures = excluded.failures`, subject, sqldb.At(since), failures)
	return err
}

// uncountThrottle takes one failure back if its window still runs.
func uncountThrottle(ctx context.Context, tx *sqldb.DB, subject string, since time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE login_throttle SET failures = failures - 1 WHERE subject = $1 AND since = $2 AND failures > 0`,
		subject, sqldb.At(since))
	return err
}

func deleteThrottles(ctx context.Context, db *sqldb.DB, before time.Time) error {
	_, err := db.Exec(ctx, `DELETE FROM login_throttle WHERE since < $1`, sqldb.At(before))
	return err
}
