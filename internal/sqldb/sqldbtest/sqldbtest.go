// Package sqldbtest gives tests a fresh, migrated store: on SQLite, or on the PostgreSQL server that
// CARFLUENCE_TEST_POSTGRES names (scripts/postgres.sh starts one), so that one run of the tests is for one engine.
package sqldbtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carfluence/internal/sqldb"
)

// serverVariable holds the URL of an administrator's role, which may make databases and roles.
const serverVariable = "CARFLUENCE_TEST_POSTGRES"

// Engine tells what the tests run on.
func Engine() sqldb.Engine {
	if os.Getenv(serverVariable) != "" {
		return sqldb.PostgreSQL
	}
	return sqldb.SQLite
}

// Only leaves a test out unless it runs on the engine, and says why it is for that one alone.
func Only(t testing.TB, engine sqldb.Engine, why string) {
	t.Helper()
	if Engine() == engine {
		return
	}
	if engine == sqldb.PostgreSQL {
		why += "; scripts/postgres.sh go test … runs it"
	}
	t.Skipf("LEFT OUT, for %s: %s", engine, why)
}

// Open returns an empty store of the test's own, closed when the test ends.
func Open(t testing.TB, store sqldb.Store) *sqldb.DB {
	t.Helper()
	return New(t).Open(t, store)
}

// Place is where stores of one installation are kept for a test. Several handles on one store are like several
// processes.
type Place struct {
	Busy time.Duration // how long SQLite waits for another's write; the usual time when zero

	folder string // of SQLite's files
	url    string // of a database on the server
}

// New makes an empty place, which is gone when the test has ended.
func New(t testing.TB) Place {
	t.Helper()
	if Engine() == sqldb.PostgreSQL {
		return Place{url: newDatabase(t)}
	}
	return Place{folder: t.TempDir()}
}

// URL is the place's database on the server, "" on SQLite.
func (p Place) URL() string { return p.url }

// Path is the store's file on SQLite.
func (p Place) Path(store sqldb.Store) string { return filepath.Join(p.folder, string(store)+".db") }

// Open opens a store, brings its schema up to date, and closes it when the test ends.
func (p Place) Open(t testing.TB, store sqldb.Store) *sqldb.DB {
	t.Helper()
	db, err := p.open(t, store)
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

func (p Place) open(t testing.TB, store sqldb.Store) (*sqldb.DB, error) {
	if p.url != "" {
		return sqldb.OpenPostgres(t.Context(), p.url, store, sqldb.PostgresOptions{Connections: 10})
	}
	return sqldb.OpenSQLite(t.Context(), p.Path(store), sqldb.Options{FullSync: store == sqldb.Accounts, BusyTimeout: p.Busy})
}

// placeVariable hands a place to another process of the same test.
const placeVariable = "CARFLUENCE_TEST_PLACE"

// Environment makes Inherited find the place in another process.
func (p Place) Environment() string {
	if p.url != "" {
		return placeVariable + "=" + p.url
	}
	return placeVariable + "=" + p.folder
}

// Inherited opens a store of the place that another process has handed to this one; nil when none has.
func Inherited(t testing.TB, store sqldb.Store) *sqldb.DB {
	t.Helper()
	given := os.Getenv(placeVariable)
	switch {
	case given == "":
		return nil
	case strings.HasPrefix(given, "postgres"):
		return Place{url: given}.Open(t, store)
	}
	return Place{folder: given}.Open(t, store)
}
