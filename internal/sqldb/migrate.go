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

	"github.com/pressly/goose/v3"
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

// Migrate brings the store's schema to this program's version and returns how many steps it took. On PostgreSQL one
// process does so at a time; the others wait and find it done. No other version of the program may be at work.
func (db *DB) Migrate(ctx context.Context, store Store) (int, error) {
	if db.pool.pg == nil {
		return db.migrate(ctx, store)
	}
	held, err := db.Hold(ctx, "migrate", Holding{Wait: true})
	if err != nil {
		return 0, err
	}
	defer held.Release()
	return db.Patient().migratePostgres(ctx, store)
}

func (db *DB) migratePostgres(ctx context.Context, store Store) (steps int, err error) {
	if pending, err := db.Pending(ctx, store); err != nil || !pending {
		return 0, err
	}
	if made, err := db.Made(ctx, store); err != nil {
		return 0, err
	} else if !made {
		_, err = db.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+string(store))
		if pgCode(err) == pgNoPrivilege {
			return 0, fmt.Errorf("%s: the role may not make the schema %s; let the role own the database, or make it: CREATE SCHEMA %[2]s AUTHORIZATION <role>", db.pool.name, store)
		}
		if err != nil {
			return 0, err
		}
	}
	if err := db.unguard(ctx); err != nil {
		return 0, err
	}
	if steps, err = db.migrate(ctx, store); err != nil {
		return steps, err
	}
	return steps, db.guard(ctx)
}

func (db *DB) migrate(ctx context.Context, store Store) (int, error) {
	p, err := db.provider(store)
	if err != nil {
		return 0, err
	}
	done, err := p.Up(db.in(ctx, scope{}))
	if err != nil {
		return len(done), fmt.Errorf("migrate %s: %w", store, err)
	}
	return len(done), nil
}

// Made tells whether the store's tables have been made on a PostgreSQL server, if only some of them.
func (db *DB) Made(ctx context.Context, store Store) (made bool, err error) {
	err = db.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, string(store)+"."+versionTable(store)).Scan(&made)
	return made, err
}

// Pending tells whether Migrate would change the schema. A schema that a later version of the program made is
// an error: this one would not know what it means.
func (db *DB) Pending(ctx context.Context, store Store) (bool, error) {
	if db.pool.pg != nil {
		if made, err := db.Made(ctx, store); err != nil || !made {
			return true, err
		}
	}
	p, err := db.provider(store)
	if err != nil {
		return false, err
	}
	current, known, err := p.GetVersions(db.in(ctx, scope{}))
	if err != nil {
		return false, fmt.Errorf("read schema version of %s: %w", store, err)
	}
	if current > known {
		return false, fmt.Errorf("%s has schema %d and this program knows up to %d: a later version of it made the database", db.pool.name, current, known)
	}
	if current < known || db.pool.pg == nil {
		return current < known, nil
	}
	open, err := db.tenantTables(ctx, false)
	return len(open) > 0, err
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
	dir, err := fs.Sub(migrations, "migrations/"+string(store))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	dialect := goose.DialectSQLite3
	if db.pool.pg != nil {
		dialect, dir = goose.DialectPostgres, collated{dir}
	}
	p, err := goose.NewProvider(dialect, db.pool.write, dir,
		goose.WithTableName(versionTable(store)), goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(db.goMigrations(store)...))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	return p, nil
}

// collated are migrations for PostgreSQL: texts compare and sort by their bytes there too, whatever the locale of
// the database, and whatever its next version thinks of it.
type collated struct{ fs.FS }

var textColumn = regexp.MustCompile(`\bTEXT\b`)

// Open implements fs.FS.
func (c collated) Open(name string) (fs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" {
		return f, err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return collatedFile{f, bytes.NewReader(textColumn.ReplaceAll(b, []byte(`TEXT COLLATE "C"`)))}, nil
}

type collatedFile struct {
	fs.File
	text io.Reader
}

// Read implements fs.File.
func (f collatedFile) Read(b []byte) (int, error) { return f.text.Read(b) }
