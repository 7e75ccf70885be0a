package sqldb

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations
var migrations embed.FS

// Store names one of the two sets of tables (see docs/architecture.md, "Two stores").
type Store string

// The stores.
const (
	Accounts Store = "accounts" // dealer groups, people, sessions, keys, quota, who did what
	Stock    Store = "stock"    // dealers, vehicles, history
)

// Migrate brings the store's schema to what this program needs and returns how many steps it took. On PostgreSQL
// programs of the version before may be at work, and contract steps that nothing follows are left to Contract, unless the
// database is empty; one process does so at a time, and the others wait and find it done. ErrOlder when a contract
// step has to be taken first, and an older program is at work.
func (db *DB) Migrate(ctx context.Context, store Store) (int, error) {
	return db.migrate(ctx, store, false)
}

// Contract also takes the contract steps that Migrate leaves, after which older programs are refused. ErrOlder while
// one is at work.
func (db *DB) Contract(ctx context.Context, store Store) (int, error) {
	return db.migrate(ctx, store, true)
}

func (db *DB) migrate(ctx context.Context, store Store, all bool) (int, error) {
	p, err := db.provider(store)
	if err != nil {
		return 0, err
	}
	if db.pool.pg == nil {
		done, err := p.Up(ctx)
		return len(done), migrating(store, err)
	}
	held, err := db.Hold(ctx, "migrate", Holding{Wait: true})
	if err != nil {
		return 0, err
	}
	defer held.Release()
	return db.brief().migratePostgres(ctx, p, store, all)
}

func migrating(store Store, err error) error {
	if err != nil {
		return fmt.Errorf("migrate %s: %w", store, err)
	}
	return nil
}

func (db *DB) migratePostgres(ctx context.Context, p *goose.Provider, store Store, all bool) (taken int, err error) {
	made, err := db.Made(ctx, store)
	if err != nil {
		return 0, err
	}
	if !made {
		if err := db.makeSchema(ctx, store); err != nil {
			return 0, err
		}
	}
	steps, err := db.pending(ctx, p, store)
	if err != nil {
		return 0, err
	}
	for i, s := range steps {
		optional := isContract(steps[i:])
		if optional && made && !all {
			break
		}
		err := db.take(ctx, p, s)
		if errors.Is(err, ErrOlder) && optional && !all {
			break
		}
		if err != nil {
			return taken, migrating(store, err)
		}
		taken++
	}
	return taken, retry(ctx, func() error { return db.guard(ctx) })
}

func (db *DB) makeSchema(ctx context.Context, store Store) error {
	_, err := db.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+string(store))
	if pgCode(err) == pgNoPrivilege {
		return fmt.Errorf("%s: the role may not make the schema %s; let the role own the database, or make it: CREATE SCHEMA %[2]s AUTHORIZATION <role>", db.pool.name, store)
	}
	return err
}

// take takes one step on PostgreSQL, and again for as long as others hold what it needs.
func (db *DB) take(ctx context.Context, p *goose.Provider, s step) error {
	if s.kind == contract {
		if err := db.Transact(ctx, func(tx *DB) error { return db.pool.pg.excludeOlder(ctx, tx.tx, s.version) }); err != nil {
			return err
		}
	}
	if s.kind == index { // holds nobody up, and waits for all that is being written
		db = db.Patient()
	}
	return retry(ctx, func() error {
		_, err := p.UpTo(db.in(ctx, scope{}), s.version)
		return err
	})
}

// retry repeats f, with pauses in which others get on, while it fails because of what they hold.
func retry(ctx context.Context, f func() error) error {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := f()
		if !IsBusy(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Made tells whether the store's tables have been made on a PostgreSQL server, if only some of them.
func (db *DB) Made(ctx context.Context, store Store) (made bool, err error) {
	err = db.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, string(store)+"."+versionTable(store)).Scan(&made)
	return made, err
}

// Pending tells whether Migrate has something to do: this program can't work before.
func (db *DB) Pending(ctx context.Context, store Store) (bool, error) {
	if db.pool.pg != nil {
		if made, err := db.Made(ctx, store); err != nil || !made {
			return true, err
		}
	}
	steps, err := db.left(ctx, store)
	if err != nil || db.pool.pg == nil {
		return len(steps) > 0, err
	}
	if !isContract(steps) {
		return true, nil
	}
	open, err := db.tenantTables(ctx, false)
	return len(open) > 0, err
}

// Contracts tells whether contract steps wait for Contract.
func (db *DB) Contracts(ctx context.Context, store Store) (bool, error) {
	steps, err := db.left(ctx, store)
	return len(steps) > 0, err
}

func (db *DB) left(ctx context.Context, store Store) ([]step, error) {
	p, err := db.provider(store)
	if err != nil {
		return nil, err
	}
	return db.pending(ctx, p, store)
}

// pending are the steps that have not been taken, in their order. A schema of a later version of the program
// is beyond that, and has none.
func (db *DB) pending(ctx context.Context, p *goose.Provider, store Store) ([]step, error) {
	steps, err := stepsOf(db.pool.migrations, store)
	if err != nil {
		return nil, err
	}
	current, known, err := p.GetVersions(db.in(ctx, scope{}))
	if err != nil {
		return nil, fmt.Errorf("read schema version of %s: %w", store, err)
	}
	if current > known && db.pool.pg == nil { // on PostgreSQL each connection is asked
		if err := db.suitsSQLite(ctx, known); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(steps, func(s step) bool { return s.version <= current }), nil
}

// Fingerprint tells the schemas of different versions of the program apart.
func Fingerprint() string {
	sum := fnv.New64a()
	_ = fs.WalkDir(migrations, ".", func(name string, d fs.DirEntry, err error) error { // embedded: nothing fails
		if err == nil && !d.IsDir() {
			b, _ := migrations.ReadFile(name)
			_, _ = sum.Write(b)
		}
		return err
	})
	_, _ = fmt.Fprint(sum, jobSchema, currentGroup, guardTable, textColumn)
	return fmt.Sprintf("%016x", sum.Sum64())
}

func versionTable(store Store) string { return "schema_version_" + string(store) }

func (db *DB) provider(store Store) (*goose.Provider, error) {
	dir, err := fs.Sub(db.pool.migrations, "migrations/"+string(store))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	dialect := goose.DialectSQLite3
	if db.pool.pg != nil {
		dialect, dir = goose.DialectPostgres, forPostgres{dir}
	}
	table, err := database.NewStore(dialect, versionTable(store))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	p, err := goose.NewProvider(goose.DialectCustom, db.pool.write, dir,
		goose.WithStore(stepTable{table, db, store}), goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(db.goMigrations(store)...))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	return p, nil
}

// forPostgres are migrations for PostgreSQL: texts compare and sort by their bytes there too, whatever the locale of
// the database, and whatever its next version thinks of it; and indexes of tables that are in use are built beside it.
type forPostgres struct{ fs.FS }

var (
	textColumn  = regexp.MustCompile(`\bTEXT\b`)
	createIndex = regexp.MustCompile(`\bCREATE (UNIQUE )?INDEX (\w+)`)
)

// Open implements fs.FS.
func (f forPostgres) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	text = textColumn.ReplaceAll(text, []byte(`TEXT COLLATE "C"`))
	if kindOf(name) == index {
		text = concurrently(text)
	}
	return changedFile{file, bytes.NewReader(text)}, nil
}

// concurrently is done anew after a failure, which leaves an index that is no good.
func concurrently(text []byte) []byte {
	text = createIndex.ReplaceAll(text, []byte("DROP INDEX CONCURRENTLY IF EXISTS $2;\nCREATE ${1}INDEX CONCURRENTLY $2"))
	return append([]byte("-- +goose NO TRANSACTION\n"), text...)
}

type changedFile struct {
	fs.File
	text io.Reader
}

// Read implements fs.File.
func (f changedFile) Read(b []byte) (int, error) { return f.text.Read(b) }
