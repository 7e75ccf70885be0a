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
	dir, err := fs.Sub(migrations, "migrations/"+string(store))
	if err != nil {
		return 0, fmt.Errorf("migrations of %s: %w", store, err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.pool.write, dir,
		goose.WithTableName("schema_version_"+string(store)), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, fmt.Errorf("migrations of %s: %w", store, err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return len(done), fmt.Errorf("migrate %s: %w", store, err)
	}
	return len(done), nil
}
