package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// The tests run on SQLite, or on the PostgreSQL server that scripts/postgres.sh starts: every data folder then has a
// database of its own there.

// databases are where the stores of a data folder are on PostgreSQL; empty on SQLite.
type databases struct {
	accounts, stock string // URLs; the accounts' database holds both without another for the stock
}

// placed are the databases of data folders.
var placed sync.Map // folder → databases

// place puts the stores of a data folder into databases, which other folders may share.
func (d databases) place(data string) { placed.Store(data, d) }

// databasesOf are those of a data folder; a folder nobody has placed gets a migrated, empty one.
func databasesOf(t testing.TB, data string) databases {
	t.Helper()
	if d, ok := placed.Load(data); ok {
		return d.(databases)
	}
	if sqldbtest.Engine() == sqldb.SQLite {
		return databases{}
	}
	d := databases{accounts: sqldbtest.New(t).URL()}
	d.place(data)
	return d
}

// unmade is a data folder whose stores have no tables yet.
func unmade(t testing.TB) (data string) {
	t.Helper()
	data = t.TempDir()
	if sqldbtest.Engine() == sqldb.PostgreSQL {
		databases{accounts: sqldbtest.Empty(t)}.place(data)
	}
	return data
}

// embedded is a data folder with databases of its own, or those that the environment names.
func embedded(t testing.TB) (data string) {
	t.Helper()
	data = t.TempDir()
	databases{}.place(data)
	return data
}

func (d databases) environment() []string {
	if d.accounts == "" {
		return nil
	}
	return []string{"CARFLUENCE_DATABASE=" + d.accounts, "CARFLUENCE_STOCK_DATABASE=" + d.stock, "CARFLUENCE_SECRET=" + strings.Repeat("secret", 6)}
}

func (d databases) of(store sqldb.Store) string {
	if store == sqldb.Stock && d.stock != "" {
		return d.stock
	}
	return d.accounts
}

// withStore opens a store of a data folder beside whatever works on it, and checks that SQLite's file is sound.
func withStore(t testing.TB, data string, store sqldb.Store, f func(db *sqldb.DB) error) {
	t.Helper()
	ctx := context.Background()
	var db *sqldb.DB
	var err error
	if url := databasesOf(t, data).of(store); url != "" {
		db, err = sqldb.OpenPostgres(ctx, url, store, sqldb.PostgresOptions{Connections: 2})
	} else if db, err = sqldb.OpenSQLite(ctx, filepath.Join(data, string(store)+".db"), sqldb.Options{}); err == nil {
		err = db.Check(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// withStock opens the stock as the only dealer group of the installation.
func withStock(t testing.TB, data string, f func(stock *sqldb.Tenant) error) {
	t.Helper()
	var group string
	withStore(t, data, sqldb.Accounts, func(db *sqldb.DB) error {
		return db.QueryRow(context.Background(), `SELECT id FROM dealer_group`).Scan(&group)
	})
	withStore(t, data, sqldb.Stock, func(db *sqldb.DB) error { return f(db.Tenant(group)) })
}
