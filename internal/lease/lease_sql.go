package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carfluence/internal/sqldb"
)

type sqlStore struct{ db *sqldb.DB }

// NewStore is the store in the accounts database.
func NewStore(db *sqldb.DB) Store { return sqlStore{db} }

func (s sqlStore) Number(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT n FROM authority WHERE id = 1`).Scan(&n)
	return n, err
}

func (s sqlStore) Register(ctx context.Context, id string, earlier []string, at time.Time) (n int64, err error) {
	statements := make([]sqldb.Statement, 0, len(earlier)+1)
	for _, old := range earlier {
		statements = append(statements, s.db.Statement(nil, `DELETE FROM replica WHERE id = $1`, old))
	}
	statements = append(statements, s.db.Statement([]any{&n}, `INSERT INTO replica (id, seen, started_at)
		VALUES ($1, (SELECT n FROM authority WHERE id = 1), $2) RETURNING seen`, id, sqldb.At(at)))
	return n, s.db.Batch(ctx, statements...)
}

// beat reads everything a replica wants to know in the statement that writes its row.
const beat = `UPDATE replica SET seen = $2, beats = beats + 1 WHERE id = $1
RETURNING (SELECT n FROM authority WHERE id = 1),
	(SELECT string_agg(r.id || ' ' || r.seen || ' ' || r.beats, ',') FROM replica AS r)`

func (s sqlStore) Beat(ctx context.Context, id string, seen int64) (p Pulse, err error) {
	var roster string
	if err := s.db.Batch(ctx, s.db.Statement([]any{&p.N, &roster}, beat, id, seen)); err != nil {
		return Pulse{}, err
	}
	for text := range strings.SplitSeq(roster, ",") {
		var r Row
		if _, err := fmt.Sscan(text, &r.ID, &r.Seen, &r.Beats); err != nil {
			return Pulse{}, fmt.Errorf("read roster: %w", err)
		}
		p.Roster = append(p.Roster, r)
	}
	return p, nil
}

func (s sqlStore) Changes(ctx context.Context, after, upTo int64) ([]Change, error) {
	rows, err := s.db.Query(ctx, `SELECT n, kind, dealer_group_id, subject_id, window_no FROM change WHERE n > $1 AND n <= $2 ORDER BY n`, after, upTo)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (c Change, err error) {
		err = r.Scan(&c.N, &c.Kind, &c.Group, &c.ID, &c.Window)
		return c, err
	})
}

func (s sqlStore) Roster(ctx context.Context) ([]Row, error) {
	rows, err := s.db.Query(ctx, `SELECT id, seen, beats FROM replica`)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (row Row, err error) {
		err = r.Scan(&row.ID, &row.Seen, &row.Beats)
		return row, err
	})
}

func (s sqlStore) Remove(ctx context.Context, id string, beats *int64) error {
	if beats == nil {
		_, err := s.db.Exec(ctx, `DELETE FROM replica WHERE id = $1`, id)
		return err
	}
	_, err := s.db.Exec(ctx, `DELETE FROM replica WHERE id = $1 AND beats = $2`, id, *beats)
	return err
}

func logChange(ctx context.Context, tx *sqldb.Tenant, kind Kind, id string, window int64, at time.Time) (n int64, err error) {
	if err = tx.DB().QueryRow(ctx, `UPDATE authority SET n = n + 1 WHERE id = 1 RETURNING n`).Scan(&n); err != nil {
		return 0, fmt.Errorf("log change: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO change (dealer_group_id, n, kind, subject_id, window_no, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		n, string(kind), id, window, sqldb.At(at))
	if err != nil {
		return 0, fmt.Errorf("log change: %w", err)
	}
	return n, nil
}

func pruneChanges(ctx context.Context, db *sqldb.DB, before time.Time) error {
	_, err := db.Exec(ctx, `DELETE FROM change WHERE created_at < $1`, sqldb.At(before))
	return err
}

func notRegistered(err error) bool { return errors.Is(err, sqldb.ErrNoRows) }
