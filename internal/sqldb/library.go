package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// Lend opens a transaction, or joins the one that is open, and lends it to a library that brings its own
// statements (package job). doing says in errors what it was for.
func (db *DB) Lend(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
	return db.Transact(ctx, func(tx *DB) error { return classify(doing, f(tx.tx)) })
}

// Connect opens one more writing connection for a library that brings its own statements. Each of them waits
// up to busy for a write lock held elsewhere, also by the store's own connection. The caller closes it.
func (db *DB) Connect(ctx context.Context, busy time.Duration) (*sql.DB, error) {
	o := db.pool.options
	o.BusyTimeout = busy
	conn, err := openSide(ctx, dsn(db.pool.path, o, false), 1)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.pool.path, err)
	}
	return conn, nil
}

// jobSchema is the version of the job library's tables that the migration below ends at. A later version of
// the library comes with a migration of its own.
const jobSchema = 8

// goMigrations are the steps that no SQL file holds: the tables of the job library, which it makes itself. As
// steps of the store they are counted, and guarded against an older program, like all others.
func goMigrations(store Store) []*goose.Migration {
	if store != Stock {
		return nil
	}
	return []*goose.Migration{goose.NewGoMigration(6, &goose.GoFunc{RunTx: migrateJobs(jobSchema)}, nil)}
}

func migrateJobs(version int) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		m, err := rivermigrate.New(riversqlite.New(nil), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return fmt.Errorf("job tables: %w", err)
		}
		//lint:ignore SA1019 discouraged for PostgreSQL's enum types, which can't be used in the transaction that adds to them
		if _, err := m.MigrateTx(ctx, tx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: version}); err != nil {
			return fmt.Errorf("job tables: %w", err)
		}
		return nil
	}
}
