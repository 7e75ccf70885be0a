// Package sqldb owns the connection to the stores: one SQL text (PostgreSQL's, kept to what SQLite
// shares), a handle that is either a pool or a transaction, the handle bound to a dealer group, and the
// migrations. What the statements mean lives with the features, in their *_sql.go files.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"carfluence/internal/errs"
)

// DB is a store: a pool, or one transaction on it. Outside a transaction Query and QueryRow use read-only
// connections, so a statement that writes and returns rows belongs inside Transact.
type DB struct {
	pool *pool
	tx   *sql.Tx
	// Statements first prepared in this transaction, on its own connection: with one writing connection,
	// asking the pool for another would wait for ever. Kept for later transactions after the commit.
	txStmts map[string]*sql.Stmt
}

// maxStatements bounds the prepared statements kept for each side of a store.
const maxStatements = 500

// pool holds the two sides of one store. SQLite has one writing connection (WAL: readers never wait for
// it); statements are prepared once per side.
type pool struct {
	write, read           *sql.DB
	writeStmts, readStmts statements
	path                  string
	options               Options
}

// statements are prepared once, by their text.
type statements struct {
	byText sync.Map // string → *sql.Stmt
	n      atomic.Int64
}

// Rows are what queries return, so that *_sql.go files need no second import.
type Rows = sql.Rows

// ErrNoRows is returned by Row.Scan when nothing matched.
var ErrNoRows = sql.ErrNoRows

// Transact runs f in one transaction: committed when f returns nil, rolled back otherwise. Inside a
// transaction it joins the one that is open. On SQLite it holds the store's only writing connection, so
// work that needs no lock is done before.
func (db *DB) Transact(ctx context.Context, f func(tx *DB) error) (err error) {
	if db.tx != nil {
		return f(db)
	}
	tx, err := db.pool.write.BeginTx(ctx, nil)
	if err != nil {
		return classify("begin", err)
	}
	defer func() {
		if p := recover(); p != nil {
			_ = tx.Rollback()
			panic(p)
		}
	}()
	joined := &DB{pool: db.pool, tx: tx, txStmts: map[string]*sql.Stmt{}}
	if err := f(joined); err != nil {
		return errors.Join(err, rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return classify("commit", err)
	}
	for query := range joined.txStmts {
		_, _ = db.pool.writeStmts.prepare(ctx, db.pool.write, query)
	}
	return nil
}

func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// Exec runs a statement that returns no rows.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := db.stmt(ctx, query, true)
	if err != nil {
		return nil, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	return res, classify("exec", err)
}

// Query runs a statement that returns rows.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	stmt, err := db.stmt(ctx, query, false)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return rows, classify("query", err)
}

func (db *DB) scanRow(ctx context.Context, query string, args []any, dest ...any) error {
	stmt, err := db.stmt(ctx, query, false)
	if err != nil {
		return err
	}
	return classify("query", stmt.QueryRowContext(ctx, args...).Scan(dest...))
}

// QueryRow runs a statement that returns one row; read it with Scan.
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) RowScanner {
	return RowScanner{db: db, ctx: ctx, query: query, args: args}
}

// RowScanner is one row about to be read.
type RowScanner struct {
	db    *DB
	ctx   context.Context
	query string
	args  []any
}

// Scan runs the statement and reads its row; ErrNoRows when there is none.
func (r RowScanner) Scan(dest ...any) error { return r.db.scanRow(r.ctx, r.query, r.args, dest...) }

func (db *DB) stmt(ctx context.Context, query string, write bool) (*sql.Stmt, error) {
	if db.tx != nil {
		return db.txStmt(ctx, query)
	}
	if write {
		return db.pool.writeStmts.prepare(ctx, db.pool.write, query)
	}
	return db.pool.readStmts.prepare(ctx, db.pool.read, query)
}

func (db *DB) txStmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := db.txStmts[query]; ok {
		return stmt, nil
	}
	if stmt, ok := db.pool.writeStmts.byText.Load(query); ok {
		db.txStmts[query] = db.tx.StmtContext(ctx, stmt.(*sql.Stmt))
		return db.txStmts[query], nil
	}
	stmt, err := db.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, classify("prepare", err)
	}
	db.txStmts[query] = stmt
	return stmt, nil
}

// prepare returns the kept statement, or a new one. Past maxStatements the text varies without bound and
// an old statement makes room.
func (s *statements) prepare(ctx context.Context, side *sql.DB, query string) (*sql.Stmt, error) {
	if stmt, ok := s.byText.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := side.PrepareContext(ctx, query)
	if err != nil {
		return nil, classify("prepare", err)
	}
	if kept, loaded := s.byText.LoadOrStore(query, stmt); loaded {
		_ = stmt.Close()
		return kept.(*sql.Stmt), nil
	}
	if s.n.Add(1) > maxStatements {
		s.evict(query)
	}
	return stmt, nil
}

// evict forgets some other statement. A caller may hold it still, so it is closed a
// minute later.
func (s *statements) evict(keep string) {
	s.byText.Range(func(text, stmt any) bool {
		if text == keep {
			return true
		}
		s.byText.Delete(text)
		s.n.Add(-1)
		time.AfterFunc(time.Minute, func() { _ = stmt.(*sql.Stmt).Close() })
		return false
	})
}

// Close closes both sides of the store.
func (db *DB) Close() error { return errors.Join(db.pool.read.Close(), db.pool.write.Close()) }

// Ping tells whether the store answers reads.
func (db *DB) Ping(ctx context.Context) error { return classify("ping", db.pool.read.PingContext(ctx)) }

// Collect reads all rows with scan and closes them.
func Collect[T any](rows *Rows, err error, scan func(*Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, classify("scan", err)
		}
		out = append(out, v)
	}
	return out, classify("rows", rows.Err())
}

// Found turns a missing row into the given not-found error and leaves other errors alone.
func Found(err error, missing *errs.Error) error {
	if errors.Is(err, ErrNoRows) {
		return missing
	}
	return err
}
