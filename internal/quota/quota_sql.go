package quota

import (
	"context"
	"errors"
	"time"

	"carfluence/internal/lease"
	"carfluence/internal/sqldb"
)

// store is where the rows are. A statement is sent once: after an error it may have been carried out or not.
type store interface {
	// apply writes entries in one transaction, all or none, and sets their outcomes.
	apply(ctx context.Context, entries []entry) error
	// usedIn is what has been handed out in a window.
	usedIn(ctx context.Context, s Subject, window int64) (int64, error)
	// callIn logs that what replicas hold of a window is called in, once for all who ask, and returns the change.
	callIn(ctx context.Context, s Subject, window int64, at time.Time) (int64, error)
	// connect makes the connection that apply goes over, and makes it again when it was lost: the database behind it
	// may then be one that never counted what is in hand. What keeps it from connecting is apply's error.
	connect(ctx context.Context) (again bool)
	close() error
}

// sqlStore has its connection used by one goroutine.
type sqlStore struct {
	db   *sqldb.DB
	line *sqldb.Line
	down error // why there is none
}

func (s *sqlStore) connect(ctx context.Context) (again bool) {
	if s.line != nil && !s.line.Lost() {
		return false
	}
	line, err := s.db.Line(ctx)
	if s.down = err; err != nil {
		return false
	}
	again = s.line != nil
	_ = s.close() // it is lost
	s.line = line
	return again
}

func (s *sqlStore) close() error {
	if s.line == nil {
		return nil
	}
	return s.line.Close()
}

// apply sends one statement per entry, in id order so that two replicas don't lock each other out. Each adds what
// happened and grants as far as the limit allows; the row lock makes the grant exact.
func (s *sqlStore) apply(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	if s.down != nil {
		return s.down
	}
	statements := make([]sqldb.Statement, len(entries))
	for i := range entries {
		e := &entries[i]
		statements[i] = s.db.Tenant(e.subject.Group).Statement([]any{&e.granted, &e.stored, &e.storedSpent, &e.calledIn}, applyEntry,
			e.subject.ID, e.window, e.limit, e.used, e.spent, e.need, e.first(), e.at.UnixMicro(), e.surplus, e.share)
	}
	return s.line.Batch(ctx, statements...)
}

// $5 used, $6 spent, $7 need, $8 granted when the row is new, $9 last use, $10 surplus, $11 the surplus's largest share
// of what is left, as its inverse. entry.grant is the same in Go.
const (
	entryLeft  = `($4 - q.used - CAST($5 AS BIGINT))`
	entryGrant = `CASE WHEN ` + entryLeft + ` <= 0 THEN 0
		WHEN ` + entryLeft + ` <= CAST($7 AS BIGINT) THEN ` + entryLeft + `
		WHEN q.called_in > 0 AND q.lim >= $4 THEN CAST($7 AS BIGINT)
		WHEN (` + entryLeft + ` - $7) / $11 < CAST($10 AS BIGINT) THEN CAST($7 AS BIGINT) + (` + entryLeft + ` - $7) / $11
		ELSE CAST($7 AS BIGINT) + $10 END`
	applyEntry = `INSERT INTO quota AS q (dealer_group_id, subject_id, window_no, lim, used, spent, granted, last_used_at)
VALUES ($1, $2, $3, $4, CAST($5 AS BIGINT) + CAST($8 AS BIGINT), $6, $8, $9)
ON CONFLICT (dealer_group_id, subject_id, window_no) DO UPDATE SET
	lim = $4,
	spent = q.spent + $6,
	last_used_at = CASE WHEN q.last_used_at > $9 THEN q.last_used_at ELSE $9 END,
	called_in = CASE WHEN q.lim < $4 THEN 0 ELSE q.called_in END,
	granted = ` + entryGrant + `,
	used = q.used + $5 + ` + entryGrant + `
RETURNING granted, used, spent, called_in`
)

func (s *sqlStore) usedIn(ctx context.Context, subject Subject, window int64) (int64, error) {
	var used int64
	err := s.db.Tenant(subject.Group).QueryRow(ctx, `SELECT used FROM quota WHERE dealer_group_id = $1 AND subject_id = $2 AND window_no = $3`, subject.ID, window).Scan(&used)
	if errors.Is(err, sqldb.ErrNoRows) {
		return 0, nil
	}
	return used, err
}

// callIn locks the row by writing it as it is, so that one of several replicas logs.
func (s *sqlStore) callIn(ctx context.Context, subject Subject, window int64, at time.Time) (n int64, err error) {
	err = s.db.Tenant(subject.Group).Transact(ctx, func(tx *sqldb.Tenant) error {
		err := tx.QueryRow(ctx, `UPDATE quota SET called_in = called_in WHERE dealer_group_id = $1 AND subject_id = $2 AND window_no = $3 RETURNING called_in`,
			subject.ID, window).Scan(&n)
		if err != nil || n > 0 {
			return err
		}
		lease.Record(tx, Hungry, subject.ID, window, at, &n)
		tx.DB().Last(tx.Statement(nil, `UPDATE quota SET called_in = (SELECT n FROM authority WHERE id = 1)
			WHERE dealer_group_id = $1 AND subject_id = $2 AND window_no = $3`, subject.ID, window))
		return nil
	})
	return n, err
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
