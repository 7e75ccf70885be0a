package sqldb

import (
	"context"
	"io/fs"
	"testing/fstest"
)

// withMore are the program's migrations and those of a later version.
func withMore(more fstest.MapFS) (fs.FS, error) {
	all := fstest.MapFS{}
	for name, file := range more {
		all[name] = file
	}
	err := fs.WalkDir(migrations, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := migrations.ReadFile(name)
		all[name] = &fstest.MapFile{Data: text}
		return err
	})
	return all, err
}

// OpenLaterPostgres is OpenPostgres by a later version of the program.
func OpenLaterPostgres(ctx context.Context, url string, store Store, o PostgresOptions, more fstest.MapFS) (*DB, error) {
	files, err := withMore(more)
	if err != nil {
		return nil, err
	}
	return openPostgres(ctx, url, store, o, files)
}

// OpenLaterSQLite is OpenSQLite by a later version of the program.
func OpenLaterSQLite(ctx context.Context, path string, o Options, more fstest.MapFS) (*DB, error) {
	db, err := OpenSQLite(ctx, path, o)
	if err != nil {
		return nil, err
	}
	db.pool.migrations, err = withMore(more)
	return db, err
}

// Spreads tells whether a store's files are being written to disk beside a transaction.
func (db *DB) Spreads() bool { return db.pool.spreading.Load() }
