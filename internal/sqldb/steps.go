package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// kind of a step, which stands in the name of its file: 0012_contract_drop_price.sql.
type kind string

const (
	expand   kind = ""         // programs that don't know it work on
	index    kind = "index"    // an expand step that indexes tables which may be large and in use
	contract kind = "contract" // takes away what programs that don't know it need
)

// kindOf reads a file's name.
func kindOf(name string) kind {
	_, rest, _ := strings.Cut(path.Base(name), "_")
	for _, k := range []kind{index, contract} {
		if strings.HasPrefix(rest, string(k)+"_") {
			return k
		}
	}
	return expand
}

// step is a migration.
type step struct {
	version int64
	kind    kind
}

// stepsOf lists a store's steps in their order.
func stepsOf(files fs.FS, store Store) ([]step, error) {
	names, err := fs.Glob(files, "migrations/"+string(store)+"/*.sql")
	if err != nil {
		return nil, err
	}
	steps := make([]step, 0, len(names)+1)
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		steps = append(steps, step{version, kindOf(name)})
	}
	if store == Stock {
		steps = append(steps, step{version: jobStep})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.version, b.version) })
	return steps, nil
}

// isContract tells whether nothing but contract steps is among them.
func isContract(steps []step) bool {
	return !slices.ContainsFunc(steps, func(s step) bool { return s.kind != contract })
}

// contractTable holds the versions of the contract steps that were taken; the first one makes it. Programs that don't know the
// last of them can't work on the schema.
const contractTable = "schema_version_contract"

// stepTable is where goose notes the steps taken, each in the step's own transaction.
type stepTable struct {
	database.Store
	db    *DB
	store Store
}

// Insert implements database.Store.
func (t stepTable) Insert(ctx context.Context, tx database.DBTxConn, r database.InsertRequest) error {
	if err := t.Store.Insert(ctx, tx, r); err != nil {
		return err
	}
	steps, err := stepsOf(t.db.pool.migrations, t.store)
	if err != nil || !slices.Contains(steps, step{r.Version, contract}) {
		return err
	}
	if pg := t.db.pool.pg; pg != nil { // once more: one may have come since the step began
		if err := pg.excludeOlder(ctx, tx, r.Version); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+contractTable+` (version BIGINT NOT NULL PRIMARY KEY)`); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO `+contractTable+` (version) VALUES ($1)`, r.Version)
	return err
}

// ErrOlder says that a program is at work which could not go on after a contract step.
var ErrOlder = errors.New("a program of an earlier version is at work on the database")

// tooOld says that a program does not know the last contract step.
type tooOld struct {
	name         string // of the database
	least, known int64  // schema versions
}

func (e *tooOld) Error() string {
	return fmt.Sprintf("%s can be used by programs that know its schema %d, and this one knows up to %d: a later version of the program has upgraded it for good; use that one", e.name, e.least, e.known)
}

func (db *DB) suitsSQLite(ctx context.Context, known int64) error {
	var made bool
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = $1)`, contractTable).Scan(&made)
	if err != nil || !made {
		return err
	}
	e := &tooOld{name: db.pool.name, known: known}
	if err := db.QueryRow(ctx, `SELECT max(version) FROM `+contractTable).Scan(&e.least); err != nil || e.least <= known {
		return err
	}
	return e
}

// On PostgreSQL each connection holds, for as long as it lives, a lock that is named by the last schema version its program knows, and
// then looks whether the schema still suits it. A contract step locks out all that don't know it, or is not
// taken; so no statement of an older program meets the schema after it, whenever connections are lost and made.

// attend takes a new connection's lock.
func (p *postgres) attend(ctx context.Context, conn *pgx.Conn) error {
	name := p.lockName(fmt.Sprintf("schema %d", p.known))
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock_shared(hashtextextended($1, 0))`, pgx.QueryExecModeExec, name); err != nil {
		return err
	}
	var made bool // asked once the lock is held, in a statement that sees what was committed until then
	err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, pgx.QueryExecModeExec, contractTable).Scan(&made)
	if err != nil || !made {
		return err
	}
	e := &tooOld{name: p.name, known: p.known}
	if err := conn.QueryRow(ctx, `SELECT max(version) FROM `+contractTable, pgx.QueryExecModeExec).Scan(&e.least); err != nil || e.least <= p.known {
		return err
	}
	return e
}

// excludeOlder keeps out programs that don't know the version until the transaction ends. ErrOlder when one is at work.
func (p *postgres) excludeOlder(ctx context.Context, tx interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, version int64) error {
	var alone bool
	err := tx.QueryRowContext(ctx, `SELECT bool_and(pg_try_advisory_xact_lock(hashtextextended($1 || CAST(v AS TEXT), 0))) FROM generate_series(1, $2 - 1) v`,
		p.lockName("schema "), version).Scan(&alone)
	if err == nil && !alone {
		return ErrOlder
	}
	return err
}

func isTooOld(err error) bool {
	_, is := errors.AsType[*tooOld](err)
	return is
}
