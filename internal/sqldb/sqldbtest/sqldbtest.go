// Package sqldbtest gives tests a fresh, migrated store.
package sqldbtest

import (
	"path/filepath"
	"testing"

	"carfluence/internal/sqldb"
)

// Open returns an empty store in the test's own folder, closed when the test ends.
func Open(t testing.TB, store sqldb.Store) *sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), string(store)+".db"), sqldb.Options{FullSync: store == sqldb.Accounts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	if _, err := db.Migrate(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return db
}
