package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"carfluence/internal/sqldb"
)

type sqlStore struct {
	db *sqldb.DB

	mu   sync.Mutex
	line *sqldb.Line // of the registration, whole or lost; nil while alone
}

// NewStore is the store in the accounts database.
func NewStore(db *sqldb.DB) Store { return &sqlStore{db: db} }

// alone runs f with the connection of the registration, which one statement uses at a time.
func (s *sqlStore) alone(f func(on *sqldb.DB) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return f(s.db)
	}
	return f(s.line.DB)
}

func (s *sqlStore) connect(ctx context.Context) error {
	line, err := s.db.Line(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != nil {
		_ = s.line.Close() // it is lost, or has failed
	}
	s.line = line
	return nil
}

func (s *sqlStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil {
		return nil
	}
	return s.line.Close()
}

func (s *sqlStore) Number(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRow(ctx, `SELECT n FROM authority WHERE id = 1`).Scan(&n)
	return n, err
}

func (s *sqlStore) Register(ctx context.Context, id string, earlier []string, at time.Time) (n int64, err error) {
	if err := s.connect(ctx); err != nil {
		return 0, err
	}
	err = s.alone(func(on *sqldb.DB) error {
		statements := make([]sqldb.Statement, 0, len(earlier)+1)
		for _, old := range earlier {
			statements = append(statements, on.Statement(nil, `DELETE FROM replica WHERE id = $1`, old))
		}
		statements = append(statements, on.Statement([]any{&n}, `INSERT INTO replica (id, seen, started_at)
			VALUES ($1, (SELECT n FROM authority WHERE id = 1), $2) RETURNING seen`, id, sqldb.At(at)))
		return on.Batch(ctx, statements...)
	})
	return n, err
}

// beat reads everything a replica wants to know in the statement that writes its row.
const beat = `UPDATE replica SET seen = $2, beats = beats + 1 WHERE id = $1
RETURNING (SELECT n FROM authority WHERE id = 1),
	(SELECT string_agg(r.id || ' ' || r.seen || ' ' || r.beats, ',') FROM replica AS r)`

func (s *sqlStore) Beat(ctx context.Context, id string, seen int64) (p Pulse, err error) {
	var roster string
	var at sqldb.Time
	err = s.alone(func(on *sqldb.DB) error {
		return on.Batch(ctx, on.Statement([]any{&p.N, &roster}, beat, id, seen), on.Clock(&at))
	})
	if err != nil {
		return Pulse{}, err
	}
	p.At = at.Time
	for text := range strings.SplitSeq(roster, ",") {
		var r Row
		if _, err := fmt.Sscan(text, &r.ID, &r.Seen, &r.Beats); err != nil {
			return Pulse{}, fmt.Errorf("read roster: %w", err)
		}
		p.Roster = append(p.Roster, r)
	}
	return p, nil
}

func (s *sqlStore) Changes(ctx context.Context, after, upTo int64) (all []Change, err error) {
	err = s.alone(func(on *sqldb.DB) error {
		rows, err := on.Query(ctx, `SELECT n, kind, dealer_group_id, subject_id, window_no FROM change WHERE n > $1 AND n <= $2 ORDER BY n`, after, upTo)
		all, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (c Change, err error) {
			err = r.Scan(&c.N, &c.Kind, &c.Group, &c.ID, &c.Window)
			return c, err
		})
		return err
	})
	return all, err
}

func (s *sqlStore) Roster(ctx context.Context) (all []Row, err error) {
	err = s.alone(func(on *sqldb.DB) error {
		rows, err := on.Query(ctx, `SELECT id, seen, beats FROM replica`)
		all, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (row Row, err error) {
			err = r.Scan(&row.ID, &row.Seen, &row.Beats)
			return row, err
		})
		return err
	})
	return all, err
}

func (s *sqlStore) Remove(ctx context.Context, id string, beats *int64) error {
	return s.alone(func(on *sqldb.DB) (err error) {
		if beats == nil {
			_, err = on.Exec(ctx, `DELETE FROM replica WHERE id = $1`, id)
			return err
		}
		_, err = on.Exec(ctx, `DELETE FROM replica WHERE id = $1 AND beats = $2`, id, *beats)
		return err
	})
}

func logChange(tx *sqldb.Tenant, kind Kind, id string, window int64, at time.Time, n *int64) {
	tx.DB().Last(
		tx.DB().Statement([]any{n}, `UPDATE authority SET n = n + 1 WHERE id = 1 RETURNING n`),
		tx.Statement(nil, `INSERT INTO change (dealer_group_id, n, kind, subject_id, window_no, created_at)
			VALUES ($1, (SELECT n FROM authority WHERE id = 1), $2, $3, $4, $5)`, string(kind), id, window, sqldb.At(at)))
}

func pruneChanges(ctx context.Context, db *sqldb.DB, before time.Time) error {
	_, err := db.Exec(ctx, `DELETE FROM change WHERE created_at < $1`, sqldb.At(before))
	return err
}

func notRegistered(err error) bool { return errors.Is(err, sqldb.ErrNoRows) }
