package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"time"

	_ "modernc.org/sqlite" // the driver
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
	write, err := openSide(ctx, writing(path, o, writeCacheKiB), 1)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	read, err := openSide(ctx, dsn(path, o, max(leastCacheKiB, readCacheKiB/readers))+"&_pragma=query_only(ON)", readers)
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close(), read.Close())
	}
	return &DB{pool: &pool{write: write, read: read, name: path, path: path, options: o, migrations: migrations, file: file}}, nil
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

// Pages that connections keep. The driver's memory has twice the size: a page and its header take a block of 8 KiB.
const (
	writeCacheKiB = 48_000 // with less, a file of many rows writes the same pages to the log again and again
	readCacheKiB  = 16_000 // of all readers together: the upper pages of trees; the system has the others
	leastCacheKiB = 1_000  // of each
	sideCacheKiB  = 2_000  // of a library
)

func writing(path string, o Options, cacheKiB int) string {
	return dsn(path, o, cacheKiB) + "&_txlock=immediate"
}

func dsn(path string, o Options, cacheKiB int) string {
	sync := "NORMAL"
	if o.FullSync {
		sync = "FULL"
	}
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", o.BusyTimeout.Milliseconds()))
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous("+sync+")")
	q.Add("_pragma", "foreign_keys(ON)")
	q.Add("_pragma", "temp_store(MEMORY)") // else every multi-row upsert writes its statement journal to a file
	q.Add("_pragma", fmt.Sprintf("cache_size(%d)", -cacheKiB))
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// errEmbedded is for what only embedded stores can do.
var errEmbedded = errors.New("the database is on a PostgreSQL server; use its own tools")

// Backup writes a consistent copy of an embedded store to a new file while the store is in use.
func (db *DB) Backup(ctx context.Context, path string) error {
	if db.pool.pg != nil {
		return errEmbedded
	}
	_, err := db.pool.write.ExecContext(ctx, "VACUUM INTO $1", path)
	return classify("backup", err)
}

// Flush puts what has been committed beyond the reach of a power cut. Stores with FullSync need none.
func (db *DB) Flush(ctx context.Context) error {
	if db.pool.pg != nil { // the server has done so at the commit
		return nil
	}
	// A checkpoint begins by syncing the log; what of it can't be moved now waits for the next.
	_, err := db.pool.write.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return classify("flush", err)
}

// Check runs the integrity check of an embedded store.
func (db *DB) Check(ctx context.Context) error {
	if db.pool.pg != nil {
		return errEmbedded
	}
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
	if db.pool.pg != nil {
		return errEmbedded
	}
	if pages == 0 {
		pages = 1<<32 - 2
	}
	_, err := db.pool.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return classify("limit pages", err)
}
