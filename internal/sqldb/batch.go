package sqldb

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Statement is one of a Batch: it writes or reads at most one row, which is scanned into dest.
type Statement struct {
	scope scope
	query string
	args  []any
	dest  []any
	err   error
}

// Statement makes one for a Batch; without dest it returns no row.
func (db *DB) Statement(dest []any, query string, args ...any) Statement {
	return Statement{query: query, args: args, dest: dest}
}

// Statement makes one for a Batch, bound to the dealer group.
func (t *Tenant) Statement(dest []any, query string, args ...any) Statement {
	return Statement{scope: t.scope(), query: query, args: t.args(args), dest: dest, err: bound(query)}
}

// Clock reads the time of the store: of the server, or of this machine.
func (db *DB) Clock(to *Time) Statement {
	if db.pool.pg != nil {
		return db.Statement([]any{to}, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`)
	}
	return db.Statement([]any{to}, `SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)`)
}

// Batch runs statements in one transaction, in their order. An error undoes all; but a statement that has a dest
// and finds no row is no reason to, and ErrNoRows is returned when the others are done.
//
// On PostgreSQL a batch is one round trip (and one more when a connection sees a statement for the first time).
// Each statement is sent once, whatever happens to its answer.
func (db *DB) Batch(ctx context.Context, statements ...Statement) error {
	for _, s := range statements {
		if s.err != nil {
			return s.err
		}
	}
	if db.pool.pg != nil && db.tx == nil {
		return db.pipeline(ctx, statements)
	}
	var missing error
	err := db.Transact(ctx, func(tx *DB) error {
		for _, s := range statements {
			if err := s.run(ctx, tx); errors.Is(err, ErrNoRows) {
				missing = ErrNoRows
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, missing)
}

func (s Statement) run(ctx context.Context, tx *DB) error {
	if s.dest == nil {
		_, err := tx.exec(ctx, s.scope, s.query, s.args)
		return err
	}
	return tx.scanRow(ctx, s.scope, s.query, s.args, s.dest...)
}

// pipeline sends all statements before it reads the first answer. Without BEGIN they are one transaction, which
// ends with the last: https://www.postgresql.org/docs/15/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
func (db *DB) pipeline(ctx context.Context, statements []Statement) (err error) {
	conn := db.own
	if conn == nil {
		if conn, err = db.pool.write.Conn(db.in(ctx, scope{})); err != nil {
			return db.classify("connect", err)
		}
		defer conn.Close()
	}
	missing := false
	batch := queue(statements, &missing)
	err = conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().SendBatch(ctx, batch).Close() })
	if err == nil && missing {
		return ErrNoRows
	}
	return db.uncertain(ctx, "batch", err)
}

// commitWithLast begins another transaction, which database/sql ends in place of the one it knows of. How that goes
// changes nothing.
func (db *DB) commitWithLast(ctx context.Context) error {
	missing := false
	batch := queue(db.last, &missing)
	batch.Queue(`COMMIT AND CHAIN`)
	err := db.own.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().SendBatch(ctx, batch).Close() })
	if err != nil {
		return err
	}
	_ = db.tx.Rollback()
	if missing {
		return ErrNoRows
	}
	return nil
}

func queue(statements []Statement, missing *bool) *pgx.Batch {
	batch, current := &pgx.Batch{}, scope{}
	for _, s := range statements {
		if s.scope != current {
			current = s.scope
			batch.Queue(`SELECT set_config('carfluence.group', $1, true)`, current.setting())
		}
		q := batch.Queue(dialect(s.query), s.args...)
		if s.dest == nil {
			continue
		}
		q.QueryRow(func(row pgx.Row) error {
			err := row.Scan(s.dest...)
			if errors.Is(err, sql.ErrNoRows) {
				*missing = true
				return nil
			}
			return err
		})
	}
	return batch
}
