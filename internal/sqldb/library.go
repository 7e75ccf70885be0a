package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// Lend opens a transaction, or joins the one that is open, and lends it to a library that brings its own
// statements (package job). doing says in errors what it was for.
func (db *DB) Lend(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
	return db.Transact(ctx, func(tx *DB) error { return classify(doing, f(tx.tx)) })
}

// Side are connections of their own for a library that brings its own statements. The caller closes them.
type Side struct {
	*sql.DB
	Pool *pgxpool.Pool // underneath, for what database/sql does not know; nil on SQLite
}

// Close closes the connections.
func (s *Side) Close() error {
	err := s.DB.Close()
	if s.Pool != nil {
		s.Pool.Close()
	}
	return err
}

// sideConnections are enough for a library that works beside the store.
const sideConnections = 4

// Connect opens connections for a library, on SQLite one. Each statement waits up to busy for a lock held
// elsewhere, also by the store's own connections.
func (db *DB) Connect(ctx context.Context, busy time.Duration) (*Side, error) {
	if db.pool.pg != nil {
		return db.pool.pg.connect(ctx, busy)
	}
	o := db.pool.options
	o.BusyTimeout = busy
	conn, err := openSide(ctx, writing(db.pool.path, o, sideCacheKiB), 1)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.pool.path, err)
	}
	return &Side{DB: conn}, nil
}

func (p *postgres) connect(ctx context.Context, busy time.Duration) (*Side, error) {
	config := p.pool.Config()
	config.MaxConns, config.PrepareConn = sideConnections, nil
	chosen := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := chosen(ctx, conn); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', $1, false)`, milliseconds(busy))
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Side{DB: stdlib.OpenDBFromPool(pool), Pool: pool}, nil
}

// jobSchema is the version of the job library's tables that the migration below ends at. A later version of
// the library comes with a migration of its own.
const jobSchema = 8

// jobStep is that migration.
const jobStep = 6

// goMigrations are the steps that no SQL file holds: the tables of the job library, which it makes itself. As
// steps of the store they are counted, and guarded against an older program, like all others.
func (db *DB) goMigrations(store Store) []*goose.Migration {
	if store != Stock {
		return nil
	}
	step := &goose.GoFunc{RunTx: migrateJobs(jobSchema)}
	if db.pool.pg != nil {
		step = &goose.GoFunc{RunDB: migratePostgresJobs(jobSchema)}
	}
	return []*goose.Migration{goose.NewGoMigration(jobStep, step, nil)}
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

// migratePostgresJobs takes a transaction for each of the library's steps; one cut short goes on where it was.
func migratePostgresJobs(version int) func(context.Context, *sql.DB) error {
	return func(ctx context.Context, db *sql.DB) error {
		m, err := rivermigrate.New(riverdatabasesql.New(db), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return fmt.Errorf("job tables: %w", err)
		}
		if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: version}); err != nil {
			return fmt.Errorf("job tables: %w", err)
		}
		return nil
	}
}
