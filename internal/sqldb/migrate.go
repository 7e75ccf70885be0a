package sqldb

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

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

// Migrate brings the store's schema to this program's version and returns how many steps it took.
func (db *DB) Migrate(ctx context.Context, store Store) (int, error) {
	p, err := db.provider(store)
	if err != nil {
		return 0, err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate %s: %w", store, err)
	}
	return len(done), nil
}

// Pending tells whether Migrate would change the schema. A schema that a later version of the program made is
// an error: this one would not know what it means.
func (db *DB) Pending(ctx context.Context, store Store) (bool, error) {
	p, err := db.provider(store)
	if err != nil {
		return false, err
	}
	current, known, err := p.GetVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("read schema version of %s: %w", store, err)
	}
	if current > known {
		return false, fmt.Errorf("%s has schema %d and this program knows up to %d: a later version of it made the database", db.pool.path, current, known)
	}
	return current < known, nil
}

func (db *DB) provider(store Store) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations/"+string(store))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.pool.write, dir,
		goose.WithTableName("schema_version_"+string(store)), goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(goMigrations(store)...))
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", store, err)
	}
	return p, nil
}
