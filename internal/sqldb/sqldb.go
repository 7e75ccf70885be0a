// Package sqldb owns the connection to the stores, on embedded SQLite or on a PostgreSQL server: one SQL text
// (PostgreSQL's, kept to what SQLite shares), a handle that is either a pool or a transaction, the handle bound
// to a dealer group, locks, and the migrations. What the statements mean lives with the features, in their
// *_sql.go files.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"carfluence/internal/errs"
)

// DB is a store: a pool, or one transaction on it. Outside a transaction Query and QueryRow use SQLite's read-only
// connections, so a statement that writes and returns rows belongs inside Transact.
type DB struct {
	pool    *pool
	patient bool
	yields  bool // though patient, it waits for a lock no longer than those who wait behind it can
	tx      *sql.Tx
	own     *sql.Conn // of the transaction, or of a Line on PostgreSQL
	scope   scope     // whose rows the transaction sees on PostgreSQL
	until   time.Time // when a transaction on PostgreSQL has waited long enough; never when zero
	last    []Statement
	// Statements first prepared in this transaction, on its own connection: with one writing connection,
	// asking the pool for another would wait for ever. Kept for later transactions after the commit.
	txStmts map[string]*sql.Stmt
	staged  map[string]bool // temporary tables of the transaction
}

// maxStatements bounds the prepared statements kept for each side of a store.
const maxStatements = 500

// pool holds the two sides of one store. SQLite has one writing connection (WAL: readers never wait for
// it); statements are prepared once per side. On PostgreSQL both sides are one, and each connection
// remembers its statements itself.
type pool struct {
	write, read           *sql.DB
	writeStmts, readStmts statements
	name                  string // in errors
	path                  string // of SQLite's file
	options               Options
	pg                    *postgres // nil on SQLite
	migrations            fs.FS
	held                  sync.Map // name → true: SQLite's locks within this process
	file                  *os.File // SQLite's, open as long as its connections: closing it would end their locks (POSIX)
	spreading             atomic.Bool
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

// Engine is what a store is kept by.
type Engine string

// The engines.
const (
	SQLite     Engine = "sqlite"
	PostgreSQL Engine = "postgresql"
)

// Engine tells what the store is kept by.
func (db *DB) Engine() Engine {
	if db.pool.pg != nil {
		return PostgreSQL
	}
	return SQLite
}

// Patient is the same store for work that nobody waits for, such as imports: on PostgreSQL its statements have no
// time limit, and it waits for connections and locks as long as it takes.
func (db *DB) Patient() *DB {
	if db.tx != nil {
		return db
	}
	return &DB{pool: db.pool, patient: true}
}

// brief is the same store for changes of the schema, behind which all that use a table wait: Patient, but a lock that does not
// come in two thirds of the time a request waits is given up.
func (db *DB) brief() *DB { return &DB{pool: db.pool, patient: true, yields: true} }

// Transact runs f in one transaction: committed when f returns nil, rolled back otherwise. Inside a
// transaction it joins the one that is open. On SQLite it holds the store's only writing connection, so
// work that needs no lock is done before. On PostgreSQL others write meanwhile: what is read in order to be
// written is read after Lock. It is never repeated by itself.
func (db *DB) Transact(ctx context.Context, f func(tx *DB) error) (err error) {
	return db.transact(ctx, scope{}, f)
}

func (db *DB) transact(ctx context.Context, s scope, f func(tx *DB) error) (err error) {
	if db.tx != nil {
		return f(db)
	}
	until := db.waitsUntil()
	whole, giveUp := context.WithCancel(ctx)
	defer giveUp()
	stop := db.after(giveUp)
	own, tx, err := db.begin(whole, s)
	stop()
	if err != nil && whole.Err() != nil && ctx.Err() == nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return db.classify("begin", err)
	}
	if own != db.own {
		defer own.Close()
	}
	defer func() {
		if p := recover(); p != nil {
			defer db.after(giveUp)()
			_ = tx.Rollback()
			panic(p)
		}
	}()
	if own == db.own { // a line's session has no group of its own
		s = scope{}
	}
	joined := &DB{pool: db.pool, patient: db.patient, yields: db.yields, tx: tx, own: own, scope: s, until: until, txStmts: map[string]*sql.Stmt{}, staged: map[string]bool{}}
	err = f(joined)
	defer db.after(giveUp)()
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	if err := joined.commit(whole); err != nil {
		return errors.Join(db.uncertain(ctx, "commit", err), rollback(tx))
	}
	if len(joined.txStmts) > 0 {
		_ = own.Close() // statements are prepared on the same connection
	}
	for query := range joined.txStmts {
		_, _ = db.pool.writeStmts.prepare(ctx, db.pool.write, query)
	}
	return nil
}

// begin returns the transaction and its connection.
func (db *DB) begin(ctx context.Context, s scope) (own *sql.Conn, tx *sql.Tx, err error) {
	if own = db.own; own == nil {
		if own, err = db.pool.write.Conn(db.in(ctx, s)); err != nil {
			return nil, nil, err
		}
	}
	if tx, err = own.BeginTx(ctx, nil); err != nil && own != db.own {
		_ = own.Close()
	}
	return own, tx, err
}

// Last adds statements to the end of the transaction that is under way; what they read is known once Transact has
// returned, as in a Batch. On PostgreSQL they are one message with the commit, so that what they lock is not held while this process
// is slow, or stopped.
func (db *DB) Last(statements ...Statement) { db.last = append(db.last, statements...) }

func (db *DB) commit(ctx context.Context) error {
	for _, s := range db.last {
		if s.err != nil {
			return s.err
		}
	}
	if db.pool.pg != nil && len(db.last) > 0 {
		return db.commitWithLast(ctx)
	}
	var missing error
	for _, s := range db.last {
		if err := s.run(ctx, db); errors.Is(err, ErrNoRows) {
			missing = ErrNoRows
		} else if err != nil {
			return err
		}
	}
	return errors.Join(db.tx.Commit(), missing)
}

func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// Exec runs a statement that returns no rows.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return db.exec(ctx, scope{}, query, args)
}

func (db *DB) exec(ctx context.Context, s scope, query string, args []any) (sql.Result, error) {
	if err := db.enter(ctx, s); err != nil {
		return nil, err
	}
	to, err := db.runner(ctx, query, true)
	if err != nil {
		return nil, err
	}
	limited, done := db.limited(ctx)
	defer done()
	res, err := to.ExecContext(db.in(limited, s), args...)
	if db.tx == nil {
		return res, db.uncertain(ctx, "exec", err)
	}
	return res, db.classify("exec", err)
}

// Query runs a statement that returns rows.
func (db *DB) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	return db.query(ctx, scope{}, query, args)
}

func (db *DB) query(ctx context.Context, s scope, query string, args []any) (*Rows, error) {
	if err := db.enter(ctx, s); err != nil {
		return nil, err
	}
	to, err := db.runner(ctx, query, false)
	if err != nil {
		return nil, err
	}
	rows, err := to.QueryContext(db.in(db.reading(ctx), s), args...)
	return rows, db.classify("query", err)
}

func (db *DB) scanRow(ctx context.Context, s scope, query string, args []any, dest ...any) error {
	if err := db.enter(ctx, s); err != nil {
		return err
	}
	to, err := db.runner(ctx, query, false)
	if err != nil {
		return err
	}
	limited, done := db.limited(db.unwatched(ctx))
	defer done()
	return db.classify("query", to.QueryRowContext(db.in(limited, s), args...).Scan(dest...))
}

// unwatched is for statements on SQLite that are over at once: database/sql lets a goroutine watch for the end of a context, which
// costs as much as reading a few rows.
func (db *DB) unwatched(ctx context.Context) context.Context {
	if db.pool.pg != nil || ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// runner is a statement ready to be run: *sql.Stmt, or direct.
type runner interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

func (db *DB) runner(ctx context.Context, query string, write bool) (runner, error) {
	switch {
	case db.pool.pg == nil:
		return db.stmt(ctx, query, write)
	case db.tx != nil:
		return direct{db.tx, dialect(query)}, nil
	case db.own != nil:
		return direct{db.own, dialect(query)}, nil
	}
	return direct{db.pool.write, dialect(query)}, nil
}

// direct runs a text on PostgreSQL, where the connection knows its statements by their text.
type direct struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	text string
}

// ExecContext implements runner.
func (d direct) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return d.on.ExecContext(ctx, d.text, args...)
}

// QueryContext implements runner.
func (d direct) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return d.on.QueryContext(ctx, d.text, args...)
}

// QueryRowContext implements runner.
func (d direct) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return d.on.QueryRowContext(ctx, d.text, args...)
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
func (r RowScanner) Scan(dest ...any) error {
	return r.db.scanRow(r.ctx, scope{}, r.query, r.args, dest...)
}

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

// Close closes both sides of the store. Every transaction has ended, and all rows are closed: it waits for them.
func (db *DB) Close() error {
	err := errors.Join(db.pool.read.Close(), db.pool.write.Close())
	if db.pool.file != nil {
		_ = db.pool.file.Close() // nothing was written through it
	}
	if db.pool.pg != nil {
		db.pool.pg.pool.Close()
	}
	return err
}

// Ping tells whether the store answers reads.
func (db *DB) Ping(ctx context.Context) error {
	ctx, done := db.limited(ctx)
	defer done()
	return classify("ping", db.pool.read.PingContext(db.in(ctx, scope{})))
}

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
