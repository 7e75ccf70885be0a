package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"carfluence/internal/errs"
)

// Options of an embedded store.
type Options struct {
	// FullSync waits for the disk at every commit (accounts). Without it a power cut may take back the
	// last commits, never corrupt the file (stock).
	FullSync bool
	// BusyTimeout is how long a write waits for another process's write; 5 s when zero.
	BusyTimeout time.Duration
}

// OpenSQLite opens or creates an embedded store in one file.
func OpenSQLite(ctx context.Context, path string, o Options) (*DB, error) {
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	write, err := openSide(ctx, dsn(path, o, false), 1)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	read, err := openSide(ctx, dsn(path, o, true), max(4, 2*runtime.GOMAXPROCS(0)))
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &DB{pool: &pool{write: write, read: read, path: path, options: o}}, nil
}

func openSide(ctx context.Context, dsn string, conns int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, classify("open", err)
	}
	return db, nil
}

func dsn(path string, o Options, readOnly bool) string {
	sync := "NORMAL"
	if o.FullSync {
		sync = "FULL"
	}
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", o.BusyTimeout.Milliseconds()))
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous("+sync+")")
	q.Add("_pragma", "foreign_keys(ON)")
	q.Add("_pragma", "cache_size(-8000)")
	q.Add("_pragma", "temp_store(MEMORY)") // else every multi-row upsert writes its statement journal to a file
	if readOnly {
		q.Add("_pragma", "query_only(ON)")
	} else {
		q.Set("_txlock", "immediate")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Backup writes a consistent copy of an embedded store to a new file while the store is in use.
func (db *DB) Backup(ctx context.Context, path string) error {
	_, err := db.pool.write.ExecContext(ctx, "VACUUM INTO $1", path)
	return classify("backup", err)
}

// Flush puts what has been committed beyond the reach of a power cut. Stores with FullSync need none.
func (db *DB) Flush(ctx context.Context) error {
	// A checkpoint begins by syncing the log; what of it can't be moved now waits for the next.
	_, err := db.pool.write.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return classify("flush", err)
}

// Check runs the engine's integrity check.
func (db *DB) Check(ctx context.Context) error {
	var verdict string
	if err := db.pool.read.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict); err != nil {
		return classify("check", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("integrity check of %s: %s", db.pool.path, verdict)
	}
	return nil
}

// LimitPages caps the size of an embedded store in pages (4 KiB each); writes beyond it fail as on a full
// disk. 0 lifts the cap.
func (db *DB) LimitPages(ctx context.Context, pages int64) error {
	if pages == 0 {
		pages = 1<<32 - 2
	}
	_, err := db.pool.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return classify("limit pages", err)
}

// IsUnique tells that a unique index or primary key refused a row.
func IsUnique(err error) bool {
	return hasCode(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsForeignKey tells that a foreign key refused a row.
func IsForeignKey(err error) bool { return hasCode(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY) }

// IsFull tells that the disk (or the store's cap) is full, or can't be written.
func IsFull(err error) bool {
	return hasPrimary(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
}

// IsBusy tells that another connection held the store's write lock for too long.
func IsBusy(err error) bool {
	return hasPrimary(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
}

func hasCode(err error, codes ...int) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code() == c {
			return true
		}
	}
	return false
}

func hasPrimary(err error, codes ...int) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code()&0xff == c {
			return true
		}
	}
	return false
}

// classify turns what the sender can only wait out (full disk, busy store, cancelled request) into
// Unavailable and adds what we were doing to the rest.
func classify(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return sql.ErrNoRows
	case IsFull(err):
		return errs.UnavailableFor(5*time.Second, "The database can't be written at the moment; nothing was changed. Try again shortly.", fmt.Errorf("%s: %w", doing, err))
	case IsBusy(err), hasPrimary(err, sqlite3.SQLITE_CANTOPEN),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone):
		return errs.UnavailableFor(time.Second, "The database is busy; nothing was changed. Try again shortly.", fmt.Errorf("%s: %w", doing, err))
	case strings.Contains(err.Error(), "database is closed"):
		return errs.UnavailableFor(time.Second, "The server is shutting down. Try again shortly.", fmt.Errorf("%s: %w", doing, err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}
